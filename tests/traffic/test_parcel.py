from __future__ import annotations

import numpy as np

from portulan.traffic.parcel import Parcel
from portulan.wire import TCP, UDP, Ethernet, Frames, IPv4, IPv6
from portulan.wire.locate import locate


def parcel(octets, lengths=None):
    frames = Frames.of(octets)
    if lengths is not None:  # a capture that kept only so many octets
        frames = Frames(frames.buffer, frames.offset, np.array(lengths), frames.wire_length,
                        frames.time_ns)
    count = len(frames)
    none = np.zeros(count, np.int64)
    return Parcel(frames, locate(frames), none, none[:1], none, none.astype(np.uint8),
                  np.arange(count))


def test_sizes_are_those_on_the_wire():
    four = (Ethernet() / IPv4() / TCP() / bytes(100)).pack()
    six = (Ethernet() / IPv6() / UDP() / bytes(50)).pack()
    assert parcel([four, six, four], [len(four), len(six), 60]).size.tolist() == [100, 50, 100]


def test_padding_of_the_link_is_no_payload():
    short = (Ethernet() / IPv4() / TCP()).pack()
    assert parcel([short + bytes(6)]).size.tolist() == [0]


def test_total_length_of_zero_means_all_there_is():
    whole = bytearray((Ethernet() / IPv4() / TCP() / bytes(9)).pack())
    whole[16:18] = b"\0\0"
    assert parcel([bytes(whole)]).size.tolist() == [9]


def test_later_fragments_and_damaged_headers_are_not_sound():
    later = (Ethernet() / IPv4(fragment_offset=5, protocol=6) / bytes(30)).pack()
    whole = (Ethernet() / IPv4() / TCP()).pack()
    found = parcel([later, whole, whole[:40]])
    assert found.sound.tolist() == [False, True, False]
    assert found.size.tolist() == [0, 0, 0]
