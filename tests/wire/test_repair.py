from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.frames import Frames
from portulan.wire.repair import repair

ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
FOUR = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
SIX = wire.IPv6(src="2001:db8::1", dst="2001:db8::2")
QUOTE = (FOUR / wire.UDP(sport=1, dport=2) / b"quoted!").pack()
GOOD = [
    ETH / FOUR / wire.TCP(sport=7, dport=80) / b"odd",
    ETH / FOUR / wire.UDP(sport=7, dport=53) / b"even",
    ETH / FOUR / wire.ICMP(type=8) / b"ping",
    ETH / FOUR / wire.ICMP(type=3, code=3) / QUOTE,
    ETH / wire.VLAN(id=3) / SIX / wire.TCP(sport=7, dport=80) / b"12345",
    ETH / SIX / wire.UDP(sport=7, dport=80) / b"x",
    ETH / SIX / wire.ICMPv6(type=128) / b"ping",
]
CHECKSUMS = [(24, 50), (24, 40), (24, 36), (24, 36, 52), (74,), (60,), (56,)]
"""Where they lie in the frames above."""


def octets(packets=GOOD):
    return [packet.pack() for packet in packets]


def test_right_checksums_stay_as_they_are():
    before = octets()
    fixed = repair(Frames.of(before))
    assert list(fixed.frames) == before
    assert (fixed.changed, fixed.left) == (0, 0)


def test_wrong_checksums_become_right():
    wrong = [bytearray(each) for each in octets()]
    for frame, places in zip(wrong, CHECKSUMS, strict=True):
        for at in places:
            frame[at] ^= 0xA5
    fixed = repair(Frames.of(map(bytes, wrong)))
    assert list(fixed.frames) == octets()
    assert fixed.changed == len(wrong)


def test_frames_given_are_not_changed():
    wrong = bytearray(octets()[0])
    wrong[24] ^= 1
    frames = Frames.of([bytes(wrong)])
    repair(frames)
    assert list(frames) == [bytes(wrong)]


def test_udp_that_says_none_keeps_it():
    none = bytearray(octets()[1])
    none[40:42] = b"\0\0"
    assert list(repair(Frames.of([bytes(none)])).frames) == [bytes(none)]


@pytest.mark.parametrize("cut", [1, 4, 12, 20])
def test_cut_packet_keeps_its_upper_checksum_and_is_counted(cut):
    whole = octets()[0]
    short = Frames.of([whole[:-cut]])
    frames = Frames(short.buffer, short.offset, short.length, np.array([len(whole)]),
                    short.time_ns)
    fixed = repair(frames)
    assert list(fixed.frames) == [whole[:-cut]]
    assert fixed.left == 1


@given(st.lists(st.binary(max_size=120), max_size=8), st.sampled_from([1, 0, 101, 113, 276, 228]))
def test_any_octets_are_repaired_in_place_and_once(parts, link_type):
    frames = Frames.of(parts, link_type=link_type)
    once = repair(frames).frames
    again = repair(once)
    assert [len(each) for each in once] == [len(each) for each in parts]
    assert list(again.frames) == list(once) and again.changed == 0
