from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError, WireError
from portulan.wire import ARP, TCP, UDP, Ethernet, IPv4, IPv6, ip4_options
from portulan.wire.craft_fragment import fragment, reassemble

IP4 = IPv4(src="10.9.0.1", dst="10.9.0.2", identification=7, flags=0)
IP6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


@given(st.binary(max_size=3000), st.integers(60, 1500), st.randoms())
def test_fragments_of_any_packet_reassembled_are_the_packet(body, mtu, chance):
    for packet, head in (
        (IP4 / UDP(sport=1, dport=2) / body, 20), (IP6 / UDP(sport=1, dport=2) / body, 40),
        (IP4 / ip4_options((148, b"\0\0"), (7, b"\4" + bytes(4))) / TCP() / body, 32),
    ):
        pieces = [each.pack() for each in fragment(packet, mtu, identification=9)]
        assert all(len(piece) <= mtu for piece in pieces)
        chance.shuffle(pieces)
        if len(pieces) > 1:
            assert reassemble(pieces) == packet.pack()[head:]
        else:
            assert pieces == [packet.pack()]


def test_only_options_with_the_copied_bit_go_into_later_fragments():
    packet = IP4 / ip4_options((148, b"\0\0"), (7, b"\4" + bytes(4))) / UDP() / bytes(100)
    first, second, *_ = (each.pack() for each in fragment(packet, 68))
    assert (IPv4.parse(first).ihl, IPv4.parse(second).ihl) == (8, 6)
    assert second[20:24] == b"\x94\4\0\0"


def test_link_header_stands_before_each_fragment():
    frames = [each.pack() for each in fragment(Ethernet() / IP4 / UDP() / bytes(100), 60)]
    assert [len(frame) for frame in frames] == [74, 74, 62]
    assert all(IPv4.parse(frame, 14).identification == 7 for frame in frames)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(UsageError, match="only IPv4 and IPv6"):
        fragment(Ethernet() / ARP(), 100)
    for packet, mtu in ((IP4 / UDP() / bytes(99), 27), (IP6 / UDP() / bytes(99), 55)):
        with pytest.raises(UsageError, match="too small"):
            fragment(packet, mtu)


def test_missing_piece_is_told():
    pieces = [each.pack() for each in fragment(IP4 / UDP() / bytes(100), 60)]
    for left in (pieces[1:], pieces[:-1], [pieces[0], pieces[2]]):
        with pytest.raises(WireError):
            reassemble(left)
    changed = pieces[0][:-1] + b"\xff"
    with pytest.raises(WireError, match="disagree"):
        reassemble([*pieces, changed])
