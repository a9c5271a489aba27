from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from portulan.errors import PeerError, UsageError
from portulan.link import raw
from portulan.link.raw import RawLink
from portulan.link.sendmmsg import Outcome
from portulan.wire.frames import Frames, LinkType
from tests.link.conformance import Ends, LinkConformance, receive_all, send_all
from tests.link.namespace import inside, namespace, run

__all__ = ["namespace"]
pytestmark = pytest.mark.live

EXPERIMENT = 253  # RFC 3692: a protocol number that no host answers with more than ICMP
FILTER4, FILTER6 = (
    [(0x30, 0, 0, at), (0x15, 0, 1, EXPERIMENT), (0x06, 0, 0, 65535), (0x06, 0, 0, 0)]
    for at in (9, 6))


def checksum(header: bytes) -> int:
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(count: int, size: int, to: str = "127.0.0.2") -> list[bytes]:
    """Return packets with all that the kernel would fill in already there."""
    packets = []
    for index in range(count):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, index + 1, 0, 64, EXPERIMENT, 0,
                           socket.inet_aton("127.0.0.1"), socket.inet_aton(to))
        head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
        packets.append(head + (b"%08d" % index).ljust(size - 20, b"."))
    return packets


def ipv6(count: int, size: int) -> list[bytes]:
    one = socket.inet_pton(socket.AF_INET6, "::1")
    return [struct.pack("!IHBB16s16s", 6 << 28, size - 40, EXPERIMENT, 64, one, one)
            + (b"%08d" % index).ljust(size - 40, b".") for index in range(count)]


class TestRawLink(LinkConformance):
    @pytest.fixture
    def ends(self, namespace: str) -> Iterator[Ends]:
        with inside(namespace):
            link = RawLink("lo", filter=FILTER4)
        with link:
            yield Ends(link, link, ipv4)


class TestRawLinkOfIPv6(LinkConformance):
    @pytest.fixture
    def ends(self, namespace: str) -> Iterator[Ends]:
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")
        with inside(namespace):
            link = RawLink("lo", family=6, filter=FILTER6)
        with link:
            yield Ends(link, link, ipv6)


def test_syn_to_a_listener_on_loopback_is_answered(namespace: str):
    with inside(namespace):
        listener = socket.create_server(("127.0.0.9", 8080))
        link = RawLink("lo")
    with listener, link:
        tcp = struct.pack("!HHIIBBHHH", 40000, 8080, 77, 0, 5 << 4, 2, 1024, 0, 0)
        one, nine = socket.inet_aton("127.0.0.1"), socket.inet_aton("127.0.0.9")
        pseudo = one + nine + struct.pack("!HH", 6, 20)
        total = sum(struct.unpack("!16H", pseudo + tcp))
        tcp = tcp[:16] + (0xFFFF - (total & 0xFFFF) - (total >> 16)).to_bytes(2, "big") + tcp[18:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, one, nine)
        send_all(link, Frames.of([head + tcp], link_type=LinkType.RAW))
        seen = list(receive_all(link, 3))
        # The probe itself, once and not twice; the SYN-ACK; our own kernel's RST.
        assert [packet[33] for packet in seen] == [0x02, 0x12, 0x04]
        assert seen[1][28:32] == (78).to_bytes(4, "big")
        # The kernel filled in the checksum of the probe's IP header.
        assert checksum(seen[0][:20]) == 0


def test_packets_to_any_address_of_ours_arrive_and_no_other_finds_a_way_out(namespace: str):
    run("ip", "-n", namespace, "addr", "add", "10.66.0.1/24", "dev", "va")
    try:
        with inside(namespace):
            link, wire = RawLink("lo", filter=FILTER4), RawLink("va", tx=False, filter=FILTER4)
            with link, wire:
                own = [*ipv4(2, 60, to="10.66.0.1"), *ipv4(1, 60, to="127.0.0.3")]
                send_all(link, Frames.of(own, link_type=LinkType.RAW))
                assert list(receive_all(link, 3)) == own
                # Refused or lost on `lo`, but never on the wire.
                link.send(Frames.of(ipv4(2, 60, to="10.66.0.2"), link_type=LinkType.RAW))
                send_all(link, Frames.of(own[:1], link_type=LinkType.RAW))
                assert own[0] in list(receive_all(link, 1))
                assert not len(wire.receive(50_000_000))
    finally:
        run("ip", "-n", namespace, "addr", "del", "10.66.0.1/24", "dev", "va")


def test_packet_without_a_way_is_counted_and_holds_up_no_other(namespace: str):
    with inside(namespace):
        link = RawLink("lo", filter=FILTER4)
    with link:
        good = ipv4(4, 60)
        lost = ipv4(1, 60, to="127.255.255.255")  # broadcast: EACCES without SO_BROADCAST
        frames = Frames.of([*good[:2], *lost, *good[2:], *lost], link_type=LinkType.RAW)
        assert link.send(frames) == 6
        assert list(receive_all(link, 4)) == good
        assert (link.counters().sent, link.counters().refused) == (4, 2)


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.EAGAIN])
def test_queue_full_the_caller_keeps_the_rest(namespace: str, monkeypatch, code: int):
    with inside(namespace):
        link = RawLink("lo", rx=False)
    monkeypatch.setattr(raw, "send_many", lambda *call: Outcome(3, code))
    with link:
        assert link.send(Frames.of(ipv4(9, 60), link_type=LinkType.RAW)) == 3
        assert link.counters().refused == 0


def test_interface_gone_says_so(namespace: str):
    run("ip", "-n", namespace, "link", "add", "gone", "type", "veth", "peer", "name", "goner")
    for end in ("gone", "goner"):
        run("ip", "-n", namespace, "link", "set", end, "up")
    with inside(namespace):
        link = RawLink("gone")
    with link:
        run("ip", "-n", namespace, "link", "del", "gone")
        with pytest.raises(PeerError, match="'gone' went down or away"):
            link.receive(100_000_000)
        with pytest.raises(PeerError, match="'gone' went down or away"):
            link.send(Frames.of(ipv4(1, 60), link_type=LinkType.RAW))


@pytest.mark.parametrize(("packet", "reason"), [
    (b"\x45" * 19, "a packet of 19 bytes does not fit lo: 20 to 65536"),
    (b"\x45" * 65_537, "a packet of 65537 bytes"),
    (b"\x60" * 40, "not of IPv4"),
])
def test_packet_that_cannot_be_is_refused(namespace: str, packet: bytes, reason: str):
    with inside(namespace):
        link = RawLink("lo", rx=False)
    with link, pytest.raises(UsageError, match=reason):
        link.send(Frames.of([packet], link_type=LinkType.RAW))


def test_unknown_family_is_refused():
    with pytest.raises(UsageError, match="4 or 6, not 5"):
        RawLink("lo", family=5)


def test_one_way_links_refuse_the_other_way(namespace: str):
    with inside(namespace):
        out, into = RawLink("lo", rx=False), RawLink("lo", tx=False)
    with out, into:
        with pytest.raises(UsageError, match="send only"):
            out.receive()
        with pytest.raises(UsageError, match="receive only"):
            into.send(Frames.of(ipv4(1, 60), link_type=LinkType.RAW))
