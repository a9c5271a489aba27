from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.replies import Heard
from portulan.target.space import TCP
from portulan.wire.checksum import internet_checksum
from tests.wire.generators import ethernet_packets, hostile_octets

from .crafting import frames_of

ETH = wire.Ethernet()
IP = wire.IPv4(src=0x0A000001, dst=0x0A000002, ttl=9)
IP6 = wire.IPv6(src=5 << 64 | 6, dst=7, hop_limit=8)
SYN = wire.TCP(sport=61000, dport=80, seq=0xDEADBEEF, flags="S")


def test_tcp_columns_say_who_what_and_which_frame():
    frames = frames_of([
        b"", (ETH / IP / SYN).pack(), (ETH / IP / wire.UDP()).pack(), (ETH / IP6 / SYN).pack()])
    tcp = Heard(frames).tcp()
    assert tcp.row.tolist() == [1, 3]
    assert tcp.family.tolist() == [4, 6]
    assert tcp.hi.tolist() == [0, 5]
    assert tcp.lo.tolist() == [0x0A000001, 6]
    assert tcp.ttl.tolist() == [9, 8]
    assert tcp.seq.tolist() == [0xDEADBEEF] * 2
    assert tcp.time_ns.tolist() == [1001, 1003]
    asked = tcp.asked(TCP)
    assert asked.port.tolist() == [61000, 61000]
    assert asked.protocol.tolist() == [6, 6]
    assert tcp.take(np.array([False, True])).row.tolist() == [3]
    assert tcp.take(np.array([1, 0])).lo.tolist() == [6, 0x0A000001]


def test_icmp_is_told_by_family_and_type():
    frames = frames_of([
        (ETH / IP / wire.ICMP.echo_reply(id=3, seq=4)).pack(),
        (ETH / IP6 / wire.ICMPv6.echo_reply(id=5, seq=6)).pack(),
        (ETH / IP / wire.ICMP.echo(id=3, seq=4)).pack(),
        # ICMPv6's number inside of IPv4 and the reverse mean nothing.
        (ETH / IP / wire.ICMPv6(type=129)).pack(), (ETH / IP6 / wire.ICMP(type=0)).pack(),
    ])
    heard = Heard(frames)
    four, six = heard.icmp(4, 0), heard.icmp(6, 129)
    assert (four.row.tolist(), four.id.tolist(), four.seq.tolist()) == ([0], [3], [4])
    assert (six.row.tolist(), six.id.tolist(), six.seq.tolist()) == ([1], [5], [6])
    assert four.probes(1, 8).port.tolist() == [8]


def test_error_quotes_the_probe_and_who_complains():
    probe = (wire.IPv4(src=0x0A000002, dst=0x0A000063) / SYN).pack()
    error = Heard(frames_of([(ETH / IP / wire.ICMP.unreachable(1, probe)).pack()])).errors(TCP)
    assert error.probes.lo.tolist() == [0x0A000063]
    assert error.probes.port.tolist() == [80]
    assert error.sport.tolist() == [61000]
    assert error.word.tolist() == [0xDEADBEEF]
    assert error.from_lo.tolist() == [0x0A000001]
    assert error.take(np.zeros(1, np.bool_)).probes.lo.tolist() == []


def test_error_about_another_protocol_or_family_is_left_out():
    udp = (wire.IPv4(dst=9) / wire.UDP(dport=80)).pack()
    six = (IP6 / SYN).pack()
    frames = frames_of([
        (ETH / IP / wire.ICMP.unreachable(3, quote)).pack() for quote in (udp, six)])
    assert not len(Heard(frames).errors(TCP).row)


def test_arp_is_found_whole_only():
    arp = (ETH / wire.ARP(operation=2)).pack()
    at, row = Heard(frames_of([arp[:-1], arp, b""])).arp()
    assert row.tolist() == [1]
    assert at.tolist() == [len(arp) - 1 + 14]


def test_octets_are_copied_from_where_they_lie():
    heard = Heard(frames_of([b"abcdef", b"ghijkl"]))
    assert heard.octets(np.array([1, 8]), 3).tobytes() == b"bcdijk"


@settings(deadline=None)
@given(st.lists(st.one_of(hostile_octets, ethernet_packets().map(lambda p: p.pack())), max_size=9))
def test_any_batch_is_walked_without_exception(parts):
    for ethernet in (True, False):
        heard = Heard(frames_of(parts, ethernet=ethernet))
        heard.tcp(), heard.arp(), heard.errors(TCP), heard.errors(17)
        for family in (4, 6):
            for kind in (0, 3, 8, 14, 129, 136):
                heard.icmp(family, kind)


def test_checksum_of_made_replies_is_right():
    echo = (ETH / IP / wire.ICMP.echo_reply(id=3, seq=4)).pack()
    assert internet_checksum(echo[34:]) == 0
