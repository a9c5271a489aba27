from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.render.exchange import Rung, see, spelled, taken, words
from portulan.wire.arp import ARP
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import LinkType
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.tcp import TCP

from .exchanges import US, error_pair, ours, rung, tcp_pair, udp_probe


def test_packets_are_sorted_and_told_ours_from_theirs():
    first, second = see(tcp_pair()[::-1])
    assert (first.out, second.out) == (True, False)
    assert (first.src, first.ports, second.ttl) == (US, (61_000, 80), 63)


def test_both_sides_on_one_address_are_told_apart_by_port():
    pair = [rung(n, IPv4(src="127.0.0.1", dst="127.0.0.1") / TCP(sport=a, dport=b, flags=f))
            for n, a, b, f in ((1, 61_000, 80, "S"), (2, 80, 61_000, "RA"), (3, 61_000, 80, "S"))]
    assert [one.out for one in see(pair)] == [True, False, True]


def test_echo_to_oneself_is_told_apart_by_type():
    pair = [rung(n, IPv4(src="127.0.0.1", dst="127.0.0.1") / message)
            for n, message in ((1, ICMP.echo(id=1, seq=2)), (2, ICMP.echo_reply(id=1, seq=2)))]
    assert [one.out for one in see(pair)] == [True, False]


def test_words_say_what_people_look_for():
    firsts = {}
    assert [words(one, firsts) for one in see(tcp_pair(told_seq=0xFFFF_FFFF))] == [
        "SYN seq=0", "SYN ACK seq=0 ack=1"]
    assert words(see([udp_probe()])[0], {}) == "UDP, 5 bytes"
    assert words(see(error_pair(13))[1], {}) == "ICMP admin prohibited unreachable"
    asked = Ethernet(dst=1, src=2) / ARP.request(sha=2, spa="10.0.0.1", tpa="10.0.0.2")
    assert words(see([rung(1, asked, link=LinkType.ETHERNET)])[0], {}) == "ARP who has 10.0.0.2?"
    six = IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6.unreachable(4, bytes(48))
    assert words(see([rung(1, six)])[0], {}) == "ICMPv6 port unreachable"


def test_quote_is_the_packet_that_an_error_is_about():
    probe, error = see(error_pair(3))
    assert error.quote.ports == probe.ports
    assert probe.quote is None


def test_flags_are_spelled_and_syn_and_fin_take_a_number():
    assert spelled(TCP(flags="SA").flags) == "SYN ACK"
    assert spelled(TCP(flags="").flags) == "no flag"
    assert [taken(TCP(flags=f), 3) for f in ("S", "F", "SF", "A")] == [4, 4, 5, 3]


@given(st.binary(max_size=120), st.sampled_from([LinkType.RAW, LinkType.ETHERNET, 147]))
def test_any_octets_have_words(octets, link):
    for one in see([Rung(1, 0, octets, link), Rung(2, 1, octets[::-1], link)]):
        assert words(one, {})
        assert one.quote is None or isinstance(one.quote.src, str)
        assert isinstance(one.src + one.dst, str) and one.ttl >= 0


@given(st.binary(max_size=60))
def test_any_octets_behind_an_icmp_error_are_looked_at(octets):
    one = see([rung(1, ours(ICMP.unreachable(3, octets)))])[0]
    assert one.quote.rung.octets == octets
