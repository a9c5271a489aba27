from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.errors import WireError
from portulan.wire.dissect import DEPTH_MAX, dissect
from portulan.wire.header import BY_PORT, Header
from portulan.wire.inside import Inside, Told
from portulan.wire.layout import u16

from .generators import LINK_TYPES, hostile_octets


@given(hostile_octets, st.sampled_from([*LINK_TYPES, 9999]))
def test_any_octets_are_dissected_within_bounds(octets, link_type):
    found = dissect(octets, link_type)
    assert len(found.layers) <= DEPTH_MAX
    assert 0 <= found.payload_at <= found.payload_end <= len(octets)
    for layer in found.layers:
        assert layer.at + layer.header.size <= layer.end <= len(octets)
    try:
        assert dissect(octets, link_type, strict=True) == found
    except WireError:
        assert found.defect


def test_tagged_packet_names_its_layers_from_the_outside():
    packet = wire.Ethernet() / wire.VLAN(id=7) / wire.VLAN(id=8) / wire.IPv6() / wire.TCP()
    found = dissect(packet.pack())
    assert found.protocols == "ethernet:vlan:vlan:ip6:tcp"
    assert found.get("vlan.id") == 7
    assert not found.defect


def test_padding_of_the_link_is_no_payload():
    packet = (wire.Ethernet() / wire.IPv4() / wire.UDP(dport=9)).pack()
    found = dissect(packet + bytes(18))
    assert found.payload_at == found.payload_end == len(packet)


def test_cut_header_says_which_and_where():
    packet = (wire.IPv4() / wire.TCP()).pack()
    found = dissect(packet[:30], 228)
    assert found.defect == "tcp: cut short, needs 20 bytes, has 10"
    assert (found.defect_at, found.protocols) == (20, "ip")


def test_later_fragment_is_not_taken_for_a_header():
    packet = (wire.IPv4(fragment_offset=3, protocol=6) / bytes(40)).pack()
    assert dissect(packet, 228).protocols == "ip"


def test_tunnels_without_end_stop_at_the_bound():
    packet = wire.IPv4() / wire.IPv4()
    for _ in range(40):
        packet = packet / wire.IPv4()
    found = dissect(packet.pack(), 228)
    assert len(found.layers) == DEPTH_MAX
    assert found.defect == f"more than {DEPTH_MAX} headers"


def test_unknown_link_type_is_told():
    assert dissect(b"abc", 9999).defect == "link type 9999 is not known"


def test_protocol_of_a_user_is_found_by_its_port_and_tells_its_fields():
    class Toy(Header, udp=4242):
        """A toy.

        kind: what it is
        """

        kind: u16 = 0

        word = Told("the word behind it")

        def inside(self, octets, at, end):
            return Inside(end, end, told={"word": octets[at + 2 : end].decode()})

    try:
        packet = (wire.IPv4() / wire.UDP(dport=4242) / Toy(kind=7) / b"hi").pack()
        found = dissect(packet, 228)
        assert (found.get("toy.kind"), found.get("toy.word")) == (7, "hi")
        broken = (wire.IPv4() / wire.UDP(dport=4242) / Toy(kind=7) / b"\xff").pack()
        assert "UnicodeDecodeError" in dissect(broken, 228).defect
        with pytest.raises(UnicodeDecodeError):
            dissect(broken, 228, strict=True)
    finally:
        del BY_PORT[17, 4242]
        from portulan.wire import header
        del header._HEADERS["toy"]
