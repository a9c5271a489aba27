from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire import (
    ARP,
    ICMP,
    SCTP,
    TCP,
    UDP,
    VLAN,
    Ethernet,
    Frames,
    ICMPv6,
    IPv4,
    IPv6,
    LinkType,
    build,
)
from portulan.wire.craft_fragment import fragment
from portulan.wire.filter import compile_filter
from portulan.wire.match import Questions
from portulan.wire.match_filter import PROTOCOLS_MAX, replies_text

from . import test_match

OUT, OUT6 = IPv4(src="10.9.0.1", dst="10.9.0.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")


def pairs():
    """Return every probe with a reply to it that the tests of matching know."""
    marks = [mark for name in dir(test_match) if name.startswith("test_")
             for mark in getattr(getattr(test_match, name), "pytestmark", [])]
    return [pair for mark in marks for pair in mark.args[1]
            if mark.name == "parametrize" and mark.args[0] == ("probe", "reply")]


def test_every_reply_that_matches_passes():
    seen = 0
    for probe, reply in pairs():
        probes, replies = build(probe), build(reply)
        if len(Questions(probes).match(replies)[0]):
            compiled = compile_filter(replies_text(probes), probes.link_type)
            assert compiled.mask(replies).all(), replies_text(probes)
            assert compiled.program()
            seen += 1
    assert seen >= 15


@pytest.mark.parametrize(("packet", "text"), [
    (OUT / TCP(sport=(7, 9), dport=80), "icmp or tcp dst portrange 7-9"),
    (OUT / UDP(sport=[5, 900]), "icmp or udp dst portrange 5-900"),
    (OUT / SCTP(sport=7), "icmp or sctp dst portrange 7-7"),
    (OUT / ICMP.echo(), "icmp"),
    (OUT.replace(protocol=253) / b"x", "icmp or ip proto 253"),
    (Ethernet() / ARP.who_has("10.9.0.2"), "arp"),
    (Ethernet() / VLAN(id=7) / OUT / UDP(sport=5), "icmp or udp dst portrange 5-5"),
])
def test_probe_is_heard_by_its_protocol_and_port(packet, text):
    assert replies_text(build(packet)) == text


def test_ipv6_replies_behind_extension_headers_pass():
    text = replies_text(build(OUT6 / TCP(sport=7)))
    assert text.startswith("icmp6 or ip6[6] = 0 or") and text.endswith("tcp dst portrange 7-7")
    assert replies_text(build(OUT6 / ICMPv6.echo())).startswith("icmp6")


def test_other_traffic_of_a_busy_host_is_kept_out():
    probes = build(OUT / TCP(sport=50_000, dport=(1, 100)))
    compiled = compile_filter(replies_text(probes), LinkType.RAW)
    others = build(IPv4(src="10.9.0.2", dst="10.9.0.1") / TCP(sport=443, dport=(40_000, 40_099)))
    assert not compiled.mask(others).any()


@pytest.mark.parametrize("packet", [
    Ethernet(ethertype=0x88B5) / b"what", OUT.replace(ihl=3) / UDP(), IPv4(version=7) / b""])
def test_packet_of_which_anything_may_be_a_reply_has_no_filter(packet):
    assert replies_text(build(packet)) is None


def test_no_probes_or_too_many_protocols_have_no_filter():
    assert replies_text(Frames.empty()) is None
    kinds = range(200, 201 + PROTOCOLS_MAX)
    assert replies_text(build(OUT.replace(protocol=list(kinds)) / b"x")) is None


def test_later_fragments_open_all_ports_of_their_protocol():
    pieces = fragment(OUT / UDP(sport=9) / bytes(100), mtu=60)
    frames = Frames.of([piece.pack() for piece in pieces], link_type=LinkType.RAW)
    assert replies_text(frames) == "icmp or udp"


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from([1, 101, 113, 276]))
def test_any_octets_have_a_filter_that_compiles_or_none(octets, link_type):
    text = replies_text(Frames.of(octets, link_type=link_type))
    if text is not None:
        compile_filter(text, link_type)
