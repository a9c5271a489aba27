from __future__ import annotations

import pytest

from portulan.link.memory import MemoryLink, memory_pair
from portulan.link.tee import Tee
from portulan.wire.frames import Frames
from tests.link.conformance import Ends, LinkConformance, ethernet


class Kept:
    """A sink that keeps batches."""

    def __init__(self) -> None:
        self.batches: list[Frames] = []

    def write(self, frames: Frames) -> None:
        self.batches.append(frames)


class TestTee(LinkConformance):
    @pytest.fixture
    def ends(self):
        near, far = memory_pair(now=lambda: 0)
        return Ends(Tee(near, Kept()), Tee(far, Kept()), ethernet)


def test_sent_and_received_frames_are_kept():
    near, far = memory_pair(now=lambda: 5)
    kept = Kept()
    link = Tee(near, kept)
    link.send(Frames.of([b"ask"]))
    far.send(Frames.of([b"answer"]))
    link.receive()
    assert [list(batch) for batch in kept.batches] == [[b"ask"], [b"answer"]]


def test_refused_rest_is_not_kept():
    class Narrow(MemoryLink):
        def send(self, frames: Frames) -> int:
            return super().send(frames.take(slice(0, 1)))

    kept = Kept()
    assert Tee(Narrow(now=lambda: 0), kept).send(Frames.of([b"in", b"out"])) == 1
    assert [list(batch) for batch in kept.batches] == [[b"in"]]


def test_clock_given_stamps_what_is_sent():
    near, _ = memory_pair(now=lambda: 0)
    kept = Kept()
    Tee(near, kept, now=lambda: 42).send(Frames.of([b"x"], time_ns=7))
    assert kept.batches[0].time_ns.tolist() == [42]


def test_no_clock_keeps_the_senders_time():
    near, _ = memory_pair(now=lambda: 0)
    kept = Kept()
    Tee(near, kept).send(Frames.of([b"x"], time_ns=7))
    assert kept.batches[0].time_ns.tolist() == [7]


def test_nothing_received_writes_nothing():
    near, _ = memory_pair(now=lambda: 0)
    kept = Kept()
    Tee(near, kept).receive()
    assert kept.batches == []
