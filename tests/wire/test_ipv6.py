from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.ipv6 import EXTENSIONS_MAX, walk_extensions

from .generators import ip6_option_area, ip6_packets


@given(ip6_packets())
def test_packed_packet_is_walked_to_its_transport_header(packet):
    octets = packet.pack()
    ip = wire.IPv6.parse(octets)
    assert ip.payload_length == len(octets) - 40
    chain = walk_extensions(octets, ip.next_header, 40)
    kinds = (wire.HopByHop, wire.Destination, wire.Fragment)
    built = [layer for layer in packet.layers if isinstance(layer, kinds)]
    assert [extension.kind for extension in chain.extensions] == [k.protocol_number for k in built]
    assert (chain.defect, chain.protocol in (6, 17, 1, 58)) == ("", True)
    assert sum(extension.size for extension in chain.extensions) == chain.offset - 40


@given(st.binary(max_size=120), st.sampled_from([0, 43, 44, 51, 60, 6]))
def test_any_octets_are_walked_forwards_with_a_bound(octets, protocol):
    chain = walk_extensions(octets, protocol, 0)
    assert len(chain.extensions) <= EXTENSIONS_MAX
    assert all(extension.size >= 8 for extension in chain.extensions)
    if not chain.defect:
        assert chain.offset <= len(octets)


def test_chain_without_end_stops_with_a_reason():
    octets = bytes([60, 0, 0, 0, 0, 0, 0, 0]) * 20
    chain = walk_extensions(octets, 60, 0)
    assert (chain.defect, chain.offset) == ("too many extension headers", EXTENSIONS_MAX * 8)


def test_authentication_header_counts_in_words_of_four():
    chain = walk_extensions(bytes([6, 4]) + bytes(30), 51, 0)
    assert (chain.offset, chain.protocol) == (24, 6)


@given(ip6_option_area)
def test_built_options_fill_words_and_are_walked_back(area):
    octets = (wire.HopByHop() / area).pack()
    header = wire.HopByHop.parse(octets)
    assert len(octets) % 8 == 0 or not area
    assert not any(item.defect for item in header.options(octets))
    assert not any(item.defect for item in wire.Destination.parse(octets).options(octets))


def test_routing_header_counts_its_data():
    packet = wire.IPv6() / wire.Routing() / wire.Options(bytes(20)) / wire.UDP()
    filled = packet.filled()
    assert (filled[wire.Routing].length, filled[wire.Routing].next_header) == (2, 17)
    assert filled[wire.IPv6].next_header == 43
