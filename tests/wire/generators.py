"""Random headers, option areas and hostile frames, shared by all property tests of the room."""

from __future__ import annotations

from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.dissect import PROTOCOLS
from portulan.wire.header import Header
from portulan.wire.tcp import NOP, SACK_OK, mss, timestamps, wscale

assert PROTOCOLS  # all of ours are declared by now
ALL_HEADERS = sorted(
    (header for header in wire.headers().values() if header.size), key=lambda header: header.layer)


def values_of(header: type[Header]) -> st.SearchStrategy[dict[str, int]]:
    """Numbers that fit each field of a header."""
    return st.fixed_dictionaries({
        field.attr: st.integers(0, (1 << field.bits) - 1) for field in header.layout.fields
    })


def header_of(kind: type[Header]) -> st.SearchStrategy[Header]:
    return values_of(kind).map(lambda values: kind(**values))


any_header = st.sampled_from(ALL_HEADERS).flatmap(header_of)
u8 = st.integers(0, 255)
u16 = st.integers(0, 65535)
u32 = st.integers(0, (1 << 32) - 1)
ip4_address = u32
ip6_address = st.integers(0, (1 << 128) - 1)
payload = st.binary(max_size=64)

tcp_option = st.one_of(
    u16.map(mss), st.just(SACK_OK), st.just(NOP), st.integers(0, 14).map(wscale),
    st.tuples(u32, u32).map(lambda pair: timestamps(*pair)),
)
tcp_option_area = st.lists(tcp_option, max_size=4).map(lambda items: wire.tcp_options(*items))
ip4_option = st.one_of(
    st.tuples(st.just(1), st.just(b"")), st.tuples(st.integers(2, 255), st.binary(max_size=6)),
)
ip4_option_area = st.lists(ip4_option, max_size=4).map(lambda items: wire.ip4_options(*items))
ip6_option_area = st.lists(
    st.tuples(st.integers(2, 255), st.binary(max_size=12)), max_size=3,
).map(lambda items: wire.ip6_options(*items))


@st.composite
def transports(draw):
    """A TCP, UDP or ICMP header with what may stand behind it, and whether it is for IPv6."""
    kind = draw(st.sampled_from([wire.TCP, wire.UDP, wire.ICMP, wire.ICMPv6]))
    if kind is wire.TCP:
        ports = {"sport": draw(u16), "dport": draw(u16), "flags": draw(u8)}
        header = kind(seq=draw(u32), ack=draw(u32), **ports)
        return header / draw(tcp_option_area) / draw(payload)
    if kind is wire.UDP:
        return kind(sport=draw(u16), dport=draw(u16)) / draw(payload)
    return kind(type=draw(u8), code=draw(u8), id=draw(u16), seq=draw(u16)) / draw(payload)


@st.composite
def ip4_packets(draw):
    header = wire.IPv4(src=draw(ip4_address), dst=draw(ip4_address), ttl=draw(u8))
    return header / draw(ip4_option_area) / draw(transports())


@st.composite
def ip6_packets(draw):
    packet = wire.IPv6(src=draw(ip6_address), dst=draw(ip6_address)) / b""
    extension = st.sampled_from([wire.HopByHop, wire.Destination, wire.Fragment])
    for kind in draw(st.lists(extension, max_size=3)):
        packet = packet / kind()
        if kind is not wire.Fragment:
            area = draw(ip6_option_area)
            packet = packet / (area or wire.ip6_options((1, b"")))
    return packet / draw(transports())


ip_packets = st.one_of(ip4_packets(), ip6_packets())


@st.composite
def ethernet_packets(draw):
    packet = wire.Ethernet(src=draw(st.integers(0, (1 << 48) - 1))) / b""
    for _ in range(draw(st.integers(0, 2))):
        packet = packet / wire.VLAN(id=draw(st.integers(0, 4095)))
    return packet / draw(st.one_of(ip4_packets(), ip6_packets(), header_of(wire.ARP)))


@st.composite
def damaged(draw, packets):
    """Octets of a good packet with some bytes overwritten, cut anywhere."""
    octets = bytearray(draw(packets).pack())
    for _ in range(draw(st.integers(0, 4))):
        if octets:
            octets[draw(st.integers(0, len(octets) - 1))] = draw(u8)
    return bytes(octets[: draw(st.integers(0, len(octets)))])


hostile_octets = st.one_of(
    st.binary(max_size=120), damaged(ethernet_packets()), damaged(ip_packets),
)
LINK_TYPES = sorted(wire.LinkType)
