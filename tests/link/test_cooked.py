from __future__ import annotations

import socket

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.link.cooked import CookedLink, interface_numbers, kernel_program
from portulan.link.packet import PacketLink
from portulan.wire.filter import compile_filter
from portulan.wire.frames import Frames, LinkType
from tests.link.namespace import inside, namespace

__all__ = ["namespace"]

ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
UDP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=7, dport=53) / bytes(20)


def heard(link, count):
    """Return the packets of a link, looked for until there are so many."""
    found = []
    for _ in range(50):
        found += list(link.receive(100_000_000))
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} came")


@pytest.mark.live
def test_packet_passing_two_interfaces_is_seen_on_both_as_cooked(namespace):
    with inside(namespace):
        sender, link = PacketLink("va", rx=False), CookedLink()
        numbers = [socket.if_nametoindex(name) for name in ("va", "vb")]
    with sender, link:
        sender.send(Frames.of([(ETH / UDP).pack()]))
        out, into = heard(link, 2)
    first, second = (wire.LinuxSLL2.parse(each) for each in (out, into))
    assert [first.interface, second.interface] == numbers
    assert [first.packet_type, second.packet_type] == [4, 1]
    assert (first.ethertype, first.hardware, first.address_length) == (0x0800, 1, 6)
    assert out[20:] == into[20:] == UDP.pack()
    assert out[12:20] == bytes.fromhex("0200000000010000")


@pytest.mark.live
def test_loopback_packet_is_seen_once_and_nothing_can_be_sent(namespace):
    with inside(namespace):
        link = CookedLink()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("127.0.0.1", 9))
    with link:
        frames = link.receive(10**9)
        assert [wire.UDP.parse(each, 40).dport for each in frames if each[29] == 17] == [9]
        assert len(set(interface_numbers(frames).tolist())) == 1
        assert link.counters().received == len(frames) <= link.seen()
        with pytest.raises(UsageError, match="listened to only"):
            link.send(frames)


@pytest.mark.live
@pytest.mark.parametrize("text", ["udp port 53", "ip6", "outbound", "inbound and ip", "not ip",
                                  "ip[8] = 64 and udp[4:2] > 20", "host 10.9.0.2"])
def test_program_in_the_kernel_accepts_what_the_filter_does(namespace, text):
    compiled = compile_filter(text, LinkType.LINUX_SLL2)
    program = kernel_program(compiled.program())
    assert program is not None
    with inside(namespace):
        sender, link, every = PacketLink("va", rx=False), CookedLink(filter=program), CookedLink()
    arp = (ETH / wire.ARP.who_has("10.9.0.2")).pack()
    six = (ETH / wire.IPv6(src="fd00::1", dst="fd00::2") / wire.UDP(dport=9)).pack()
    with sender, link, every:
        sender.send(Frames.of([(ETH / UDP).pack(), arp, six]))
        whole = Frames.of(heard(every, 6), link_type=LinkType.LINUX_SLL2)
        wanted = list(whole.take(compiled.mask(whole)))
        assert wanted and sorted(heard(link, len(wanted))) == sorted(wanted)


def test_program_moves_loads_and_asks_the_kernel_for_the_header():
    program = [(0x28, 0, 0, 0), (0x30, 0, 0, 10), (0x20, 0, 0, 4), (0x28, 0, 0, 8),
               (0x30, 0, 0, 29), (0xB1, 0, 0, 20), (0x48, 0, 0, 22), (0x15, 1, 0, 6),
               (0x60, 0, 0, 3), (6, 0, 0, 96), (6, 0, 0, 0), (0x16, 0, 0, 0)]
    moved = [(0x28, 0xFFFFF000), (0x30, 0xFFFFF004), (0x20, 0xFFFFF008), (0x28, 0xFFFFF01C),
             (0x30, 9), (0xB1, 0), (0x48, 2), (0x15, 6), (0x60, 3), (6, 76), (6, 0), (0x16, 0)]
    assert [(code, value) for code, _, _, value in kernel_program(program)] == moved


@pytest.mark.parametrize("step", [(0x80, 0, 0, 0), (0x30, 0, 0, 11), (0x20, 0, 0, 12),
                                  (0x50, 0, 0, 10)])
def test_program_that_asks_what_the_kernel_does_not_know_is_none(step):
    assert kernel_program([step, (6, 0, 0, 1)]) is None
