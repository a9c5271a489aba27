from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.columns import columns
from portulan.wire.dissect import dissect
from portulan.wire.frames import Frames
from portulan.wire.repair import repair
from portulan.wire.sanitise import Sanitiser
from tests.wire.test_repair import ETH, FOUR, SIX, octets

SANITISER = Sanitiser(b"key")
MAC = bytes.fromhex("0200000000ab")
TARGET = ipaddress.ip_address("2001:db8::ab").packed


def words(values):
    return np.array(values, np.uint64)


def common(a, b, bits):
    return bits - (int(a) ^ int(b)).bit_length()


def ip6(values):
    high, low = SANITISER.ip6(words([v >> 64 for v in values]),
                              words([v & (1 << 64) - 1 for v in values]))
    return [int(h) << 64 | int(low) for h, low in zip(high, low, strict=True)]


MAPS = {32: lambda v: SANITISER.ip4(words(v)).tolist(),
        48: lambda v: SANITISER.mac(words(v)).tolist(), 128: ip6}


@pytest.mark.parametrize("bits", MAPS)
@given(data=st.data())
def test_common_prefix_is_as_long_afterwards(bits, data):
    first = data.draw(st.integers(0, (1 << bits) - 1))
    other = first ^ data.draw(st.integers(0, bits - 1).map(lambda n: 1 << n))
    other ^= data.draw(st.integers(0, (1 << (first ^ other).bit_length() - 1) - 1))
    a, b = MAPS[bits]([first, other])
    assert common(a, b, bits) == common(first, other, bits)
    assert MAPS[bits]([first]) == [a]


@pytest.mark.parametrize("text", [
    "0.0.0.0", "127.0.0.1", "127.9.8.7", "224.0.0.251", "239.255.255.250", "255.255.255.255",
    "::", "::1", "ff02::1", "ff02::fb",
])
def test_address_with_a_meaning_stays(text):
    address = ipaddress.ip_address(text)
    assert MAPS[address.max_prefixlen]([int(address)]) == [int(address)]


@pytest.mark.parametrize(("value", "kept_bits"), [
    (0xFFFFFFFFFFFF, 48), (0x01005E0000FB, 48), (0x333300000001, 48), (0x3333FF123456, 24),
])
def test_group_mac_stays_what_it_is(value, kept_bits):
    (new,) = MAPS[48]([value])
    assert common(new, value, 48) >= kept_bits


def test_other_key_gives_other_addresses():
    values = words(range(0x0A000000, 0x0A000100))
    other = Sanitiser(b"other").ip4(values)
    assert (SANITISER.ip4(values) != other).mean() > 0.9
    assert len(np.unique(other)) == 256


def sanitised(*packets):
    frames = Frames.of([each if isinstance(each, bytes) else each.pack() for each in packets])
    return SANITISER.frames(frames)


def test_frames_have_other_addresses_and_right_checksums():
    before = Frames.of(octets())
    result = SANITISER.frames(before)
    assert result.blanked == 0
    assert repair(result.frames).changed == 0
    names = ["ip.src", "ip6.src", "tcp.dport", "udp.dport", "ethernet.src"]
    old, new = columns(before, names), columns(result.frames, names)
    for name in ("tcp.dport", "udp.dport"):
        assert np.ma.allequal(old[name], new[name])
    for name in ("ip.src", "ethernet.src"):
        assert not (old[name].compressed() == new[name].compressed()).any()
    assert list(before) == octets()


def test_quote_of_an_icmp_error_names_nobody():
    (packet,) = sanitised(ETH / FOUR / wire.ICMP(type=3, code=3)
                          / (FOUR / wire.UDP(sport=1, dport=2) / b"q").pack()).frames
    assert packet[26:34] == packet[54:62]
    assert bytes([10, 9, 0, 1]) not in packet


def test_arp_speaks_of_the_same_addresses_as_ip():
    arp = wire.ARP(sha="02:00:00:00:00:01", spa="10.9.0.1", tpa="10.9.0.2")
    frames = sanitised(ETH / arp, ETH / FOUR / wire.TCP()).frames
    assert frames[0][6:12] == frames[0][22:28] == frames[1][6:12]
    assert frames[0][28:32] == frames[1][26:30]


def test_neighbour_discovery_is_replaced_to_the_end():
    body = bytes(4) + TARGET + bytes([2, 1]) + MAC + bytes([9, 1]) + MAC
    result = sanitised(ETH / SIX / wire.ICMPv6(type=136) / body[4:])
    (packet,) = result.frames
    assert MAC not in packet and TARGET not in packet
    assert repair(result.frames).changed == 0


@pytest.mark.parametrize("packet", [
    ETH.pack()[:12] + b"\x88\xcc" + b"lldp" + MAC,
    ETH.pack()[:12] + b"\x88\x47" + bytes(4) + FOUR.pack(),
    (wire.Ethernet(src="02:00:00:00:00:01") / wire.IPv4(src="10.9.0.1", protocol=47)
     / (b"gre!" + MAC)).pack(),
    (ETH / FOUR / wire.UDP(sport=9, dport=4789) / (b"vxlan..." + MAC)).pack(),
    (ETH / FOUR).pack()[:31],
], ids=["lldp", "mpls", "gre", "vxlan", "cut"])
def test_what_cannot_be_read_is_blanked_and_counted(packet):
    result = sanitised(packet)
    assert MAC not in result.frames[0]
    assert bytes([10, 9, 0]) not in result.frames[0]
    assert result.blanked == 1


@given(st.lists(st.binary(max_size=120), max_size=8), st.sampled_from([1, 0, 101, 113, 276, 228]))
def test_any_octets_keep_their_length(parts, link_type):
    result = SANITISER.frames(Frames.of(parts, link_type=link_type))
    assert [len(each) for each in result.frames] == [len(each) for each in parts]
    for packet in result.frames:
        dissect(packet, link_type)
