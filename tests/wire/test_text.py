from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.tcp import NOP, SACK_OK, mss, timestamps, wscale
from portulan.wire.text import LINE_MAX_CHARS, line, lines

from .generators import LINK_TYPES, hostile_octets

A, B, MAC = "10.9.0.1", "10.9.0.2", "02:00:00:00:00:01"
ETH, IP, BACK = wire.Ethernet(), wire.IPv4(src=A, dst=B), wire.IPv4(src=B, dst=A)
SYN = wire.TCP(sport=40000, dport=80, seq=1)
PROBE = IP / wire.UDP(sport=4000, dport=53) / b"abc"
CASES = [
    (ETH / IP / SYN / wire.tcp_options(mss(1460)),
     "10.9.0.1:40000 > 10.9.0.2:80 TCP S seq=1 win=64240 len=0 <mss 1460>"),
    (ETH / IP / SYN / wire.tcp_options(mss(1460), SACK_OK, timestamps(5, 6), NOP, wscale(7)),
     "10.9.0.1:40000 > 10.9.0.2:80 TCP S seq=1 win=64240 len=0"
     " <mss 1460, sack-ok, ts 5 6, nop, wscale 7>"),
    (ETH / IP / SYN.replace(flags="PA", ack=9) / b"hello",
     "10.9.0.1:40000 > 10.9.0.2:80 TCP PA seq=1 ack=9 win=64240 len=5"),
    (ETH / wire.ARP(spa=A, tpa=B), "ARP who-has 10.9.0.2 tell 10.9.0.1"),
    (ETH / wire.ARP(operation=2, spa=A, sha=MAC), f"ARP 10.9.0.1 is-at {MAC}"),
    (ETH / wire.ARP(operation=9, spa=A), "ARP operation=9 10.9.0.1 > 0.0.0.0"),
    (ETH / wire.ARP(hlen=8), "ARP hardware=1 protocol=0x0800"),
    (ETH / wire.VLAN(id=4) / wire.IPv6(src="::1", dst="::2") / wire.UDP(sport=1, dport=2),
     "vlan 4 [::1]:1 > [::2]:2 UDP len=0"),
    (ETH / wire.IPv6() / wire.Destination() / wire.ip6_options((30, b"")) / wire.ICMPv6.echo(id=1),
     ":: > :: ICMPv6 echo id=1 seq=0 len=0 <destination>"),
    (ETH / BACK / wire.ICMP.unreachable(3, PROBE.pack()),
     "10.9.0.2 > 10.9.0.1 ICMP unreachable port (10.9.0.1:4000 > 10.9.0.2:53 UDP len=3)"),
    (ETH / BACK / wire.ICMP.unreachable(4, (IP / SYN).pack()[:28], mtu=1400),
     "10.9.0.2 > 10.9.0.1 ICMP unreachable fragmentation-needed mtu=1400"
     " (10.9.0.1:40000 > 10.9.0.2:80 TCP seq=1)"),
    (ETH / BACK / wire.ICMP.time_exceeded(PROBE.pack()[:24]),
     "10.9.0.2 > 10.9.0.1 ICMP time-exceeded (10.9.0.1:4000 > 10.9.0.2:53 UDP"
     " [udp at byte 62: cut short (needs 8 bytes, has 4)])"),
    (ETH / wire.IPv6() / wire.ICMPv6.unreachable(4, (wire.IPv6() / wire.UDP()).pack()),
     ":: > :: ICMPv6 unreachable port ([::]:0 > [::]:0 UDP len=0)"),
    (ETH / wire.IPv6() / wire.ICMPv6.neighbour_solicitation("fe80::7", mac=MAC),
     ":: > :: ICMPv6 neighbour-solicitation fe80::7"),
    (ETH / IP / wire.TCP(data_offset=3),
     "10.9.0.1:0 > 10.9.0.2:0 TCP S seq=0 win=64240"
     " [tcp at byte 34: data offset is 3 with 20 bytes left]"),
    (ETH / wire.IPv4(ihl=2) / b"",
     "0.0.0.0 > 0.0.0.0 [ip at byte 14: ihl is 2, total length 20]"),
    (ETH / IP / wire.Options(b"\x07\0\0\0") / wire.UDP(),
     "10.9.0.1:0 > 10.9.0.2:0 UDP len=0 <ip [option 7 at byte 34: length 0 is below 2]>"),
    (ETH / IP.replace(fragment_offset=3, protocol=17) / b"abcdefgh",
     "10.9.0.1 > 10.9.0.2 UDP fragment id=0 at=24 len=8"),
    (ETH / IP.replace(flags=1) / wire.UDP(),
     "10.9.0.1:0 > 10.9.0.2:0 UDP len=0 fragment id=0 at=0"),
    (ETH / wire.IPv6() / wire.Fragment(fragment_offset=1, next_header=6) / b"ab",
     ":: > :: TCP fragment at=8 len=2"),
    (ETH / wire.IPv6() / wire.HopByHop(length=9),
     ":: > :: [ip6 at byte 54: extension header cut short]"),
    (ETH / IP / IP / wire.UDP(),
     "10.9.0.1 > 10.9.0.2 tunnel 10.9.0.1:0 > 10.9.0.2:0 UDP len=0"),
    (ETH / IP / IP / IP / IP / IP / b"", "10.9.0.1 > 10.9.0.2 tunnel " * 4 + "..."),
    (ETH / IP / wire.UDP(length=99), "10.9.0.1:0 > 10.9.0.2:0 UDP len=0"
     " [udp at byte 34: length says 99 of 8]"),
    (ETH / IP.replace(protocol=132) / b"abc", "10.9.0.1 > 10.9.0.2 SCTP len=3"),
    (wire.Ethernet(ethertype=0x88CC) / b"xx", "LLDP len=2"),
    (wire.Ethernet(ethertype=60) / b"xx", "802.3 len=60"),
    (ETH / wire.IPv4(version=7) / b"", "[ip at byte 14: version is 7]"),
]


@pytest.mark.parametrize(("packet", "want"), CASES, ids=[want[:60] for _, want in CASES])
def test_packet_reads_as_one_line(packet, want):
    assert line(packet.pack()) == want


@given(hostile_octets, st.sampled_from([*LINK_TYPES, 9999]))
@settings(max_examples=400)
def test_any_octets_of_any_link_make_a_printable_bounded_line(octets, link_type):
    text = line(octets, link_type)
    assert text.isprintable()
    assert 0 < len(text) <= LINE_MAX_CHARS


def test_packet_cut_at_every_byte_ends_in_a_reason():
    octets = (ETH / IP / SYN).pack()
    for have in range(len(octets)):
        assert line(octets[:have]).endswith("]")


def test_link_types_reach_the_same_text():
    octets = (IP / SYN).pack()
    want = line(ETH.replace(ethertype=0x0800).pack() + octets)
    assert line(octets, wire.LinkType.RAW) == want
    assert line(b"\2\0\0\0" + octets, wire.LinkType.NULL) == want
    assert line(wire.LinuxSLL().pack() + octets, wire.LinkType.LINUX_SLL) == want
    assert line(wire.LinuxSLL2().pack() + octets, wire.LinkType.LINUX_SLL2) == want
    assert list(lines(wire.Frames.of([octets, b""], link_type=wire.LinkType.RAW))) == [
        want, "[ip at byte 0: cut short (needs 1 bytes, has 0)]",
    ]
