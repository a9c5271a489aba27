from __future__ import annotations

import numpy as np
import pytest

from portulan import wire
from portulan.traffic.flows import FlowTable
from portulan.traffic.sequence import Mark, Sequence

FIN, SYN, RST, ACK = 1, 2, 4, 16
MS = 1_000_000


class Judge:
    """A part of a flow table that keeps the marks."""

    def __init__(self):
        self.sequence, self.found = Sequence(), []

    def make(self, rows):
        self.sequence.rows.make(rows)

    def see(self, parcel):
        marks = self.sequence.marks(parcel)
        self.found += marks[np.argsort(parcel.place)].tolist()

    def columns(self, rows):
        return {}


def marks(*segments):
    """Return marks of (side, seq, flags, size, ack, time in ms, window) segments."""
    packets, times = [], []
    for side, seq, flags, size, ack, time_ms, *window in segments:
        ends = ("10.9.0.1", "10.9.0.2")[:: -1 if side else 1]
        tcp = wire.TCP(sport=(9, 80)[side], dport=(80, 9)[side], seq=seq % (1 << 32),
                       ack=ack, flags=flags, window=window[0] if window else 500)
        packet = wire.IPv4(src=ends[0], dst=ends[1]) / tcp
        packets.append((packet / bytes(size) if size else packet).pack())
        times.append(int(time_ms * MS))
    judge = Judge()
    FlowTable([judge]).add(wire.Frames.of(packets, times, link_type=101))
    return [Mark(mark) for mark in judge.found]


FIRST = (0, 100, ACK, 50, 7, 0)
NONE = Mark(0)


@pytest.mark.parametrize(("segment", "mark"), [
    ((0, 150, ACK, 50, 7, 10), NONE),
    ((0, 100, ACK, 50, 7, 10), Mark.RETRANSMISSION),
    ((0, 100, ACK, 20, 7, 1), Mark.OUT_OF_ORDER),
    ((0, 100, ACK, 50, 7, 1), Mark.RETRANSMISSION),  # all of it, so it was not overtaken
    ((0, 120, ACK, 50, 7, 10), Mark.RETRANSMISSION),  # old and new octets
    ((0, 149, ACK, 1, 7, 10), Mark.KEEP_ALIVE), ((0, 149, ACK, 0, 7, 10), Mark.KEEP_ALIVE),
    ((0, 149, ACK, 2, 7, 10), NONE),  # behind a probe of a closed window
    ((0, 160, ACK, 50, 7, 10), Mark.BEYOND_GAP),
    ((0, 150, ACK, 0, 7, 10, 0), Mark.ZERO_WINDOW),
    ((0, 150, FIN | ACK, 0, 7, 10, 0), NONE), ((0, 99, RST, 0, 7, 10, 0), NONE),
    ((0, 100, ACK | FIN, 50, 7, 10), Mark.RETRANSMISSION),
])
def test_segment_behind_another_is_marked(segment, mark):
    assert marks(FIRST, segment)[1] == mark


def test_numbers_that_wrap_around_go_on():
    assert marks((0, -50, ACK, 50, 7, 0), (0, 0, ACK, 50, 7, 10), (0, -50, ACK, 50, 7, 20)) == [
        NONE, NONE, Mark.RETRANSMISSION]


def test_octets_that_were_confirmed_are_spurious():
    found = marks(FIRST, (1, 7, ACK, 0, 150, 1), (0, 100, ACK, 50, 7, 2))
    assert found[2] == Mark.RETRANSMISSION | Mark.SPURIOUS


def test_retransmission_soon_after_duplicate_acks_is_fast():
    acks = [(1, 7, ACK, 0, 100, time) for time in (1, 2, 3)]
    found = marks((1, 6, ACK, 1, 100, 0), (0, 150, ACK, 50, 7, 0), *acks, (0, 100, ACK, 50, 7, 4))
    assert found[2:] == [
        Mark.DUPLICATE_ACK, Mark.DUPLICATE_ACK, Mark.DUPLICATE_ACK,
        Mark.RETRANSMISSION | Mark.FAST]


def test_overtaken_segment_has_the_handshakes_round_trip():
    opening = [(0, 99, SYN, 0, 0, 0), (1, 6, SYN | ACK, 0, 100, 10), (0, 100, ACK, 0, 7, 20)]
    data = [(0, 200, ACK, 50, 7, 30), (0, 100, ACK, 50, 7, 49), (0, 150, ACK, 50, 7, 51)]
    assert marks(*opening, *data)[4:] == [Mark.OUT_OF_ORDER, Mark.RETRANSMISSION]


def test_other_side_has_numbers_of_its_own():
    assert marks(FIRST, (1, 100, ACK, 50, 150, 9), (1, 90, ACK, 10, 150, 20))[1:] == [
        NONE, Mark.RETRANSMISSION]


def test_batch_without_tcp_has_no_marks():
    judge = Judge()
    FlowTable([judge]).add(wire.Frames.of([(wire.IPv4() / wire.UDP()).pack()], link_type=101))
    assert judge.found == [0]
