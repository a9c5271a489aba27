from __future__ import annotations

import doctest
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import PeerError
from portulan.sockets import proxyproto
from portulan.sockets.proxyproto import HEADER_MAX, V2_SIGNATURE, Parsed, Proxied, parse

PORTS = st.integers(0, 65535)
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
PAIRS = st.one_of(st.tuples(V4, V4), st.tuples(V6, V6))


def test_docs_examples_hold():
    assert doctest.testmod(proxyproto).failed == 0


@given(PAIRS, PORTS, PORTS, st.binary(max_size=40))
def test_packed_header_parsed_is_the_same_in_both_versions(pair, sport, dport, rest):
    header = Proxied(pair[0], sport, pair[1], dport)
    for packed in (header.pack_v1(), header.pack_v2()):
        assert parse(packed + rest) == Parsed(header, len(packed))


@given(PAIRS, PORTS)
def test_header_cut_anywhere_asks_for_more(pair, port):
    header = Proxied(pair[0], port, pair[1], port)
    for packed in (header.pack_v1(), header.pack_v2()):
        assert all(parse(packed[:end]) is None for end in range(len(packed)))


@given(st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=300).map(lambda tail: b"PROXY " + tail),
    st.binary(max_size=300).map(lambda tail: V2_SIGNATURE + tail),
    st.binary(max_size=99).map(lambda tail: V2_SIGNATURE + b"\x21\x11\x00\x0c" + tail),
))
def test_hostile_octets_give_a_header_or_a_peer_error(octets):
    try:
        found = parse(octets)
    except PeerError:
        return
    assert found is None or 0 < found.size <= min(len(octets), HEADER_MAX)


@pytest.mark.parametrize("octets", [
    b"GET / HTTP/1.0\r\n", b"PROXX", b"PROXY " + b"a" * 101, b"PROXY TCP4 1.2.3.4\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.5 1 -1\r\n",
    b"PROXY TCP4  1.2.3.4 1.2.3.5 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 1 ٢\r\n".encode(),
    b"\r\n\r\n\x00\r\nQUIT\r", V2_SIGNATURE + b"\x11\x11\x00\x0c", V2_SIGNATURE + b"\x22\x11\0\0",
    V2_SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11), V2_SIGNATURE + b"\x21\x21\xff\xff",
])
def test_wrong_header_is_a_peer_error(octets):
    with pytest.raises(PeerError):
        parse(octets)


@pytest.mark.parametrize("octets", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:f::1 junk 1 2\r\n",
    V2_SIGNATURE + b"\x20\x00\x00\x00", V2_SIGNATURE + b"\x20\x11\x00\x04abcd",
    V2_SIGNATURE + b"\x21\x00\x00\x00", V2_SIGNATURE + b"\x21\x99\x00\x01x",
    V2_SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
])
def test_header_without_a_client_is_unknown_and_whole(octets):
    assert parse(octets + b"rest") == Parsed(Proxied(), len(octets))


def test_v2_with_tlvs_counts_them_in():
    block = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
    block += struct.pack(">HH", 7, 8) + b"\x03\x00\x04\0\0\0\0"
    header = V2_SIGNATURE + b"\x21\x11" + struct.pack(">H", len(block)) + block
    assert parse(header + b"x") == Parsed(Proxied("10.0.0.1", 7, "10.0.0.2", 8), len(header))


def test_mixed_families_are_packed_as_ipv6():
    header = Proxied("192.0.2.1", 1, "2001:db8::1", 2)
    assert header.pack_v1().startswith(b"PROXY TCP6 ::ffff:")
    found = parse(header.pack_v2())
    assert found is not None and found.proxied.destination == "2001:db8::1"


@pytest.mark.parametrize("source", ["", "somewhere", "/run/x.sock"])
def test_client_without_an_address_is_packed_as_unknown(source):
    header = Proxied(source, 1, "10.0.0.1", 2)
    assert header.pack_v1() == b"PROXY UNKNOWN\r\n"
    assert parse(header.pack_v2()) == Parsed(Proxied(), 16)


def test_zone_of_a_link_local_client_is_left_out():
    assert Proxied("fe80::1%eth0", 1, "fe80::2%eth0", 2).pack_v1() == (
        b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n")
