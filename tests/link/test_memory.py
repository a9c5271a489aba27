from __future__ import annotations

import numpy as np
import pytest

from portulan.link.memory import MemoryLink, ResponderLink, memory_pair
from portulan.wire.frames import Frames
from tests.link.conformance import Ends, LinkConformance, ethernet


class VirtualTime:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def now(self) -> int:
        return self.now_ns

    def advance(self, span_ns: int) -> None:
        assert span_ns > 0
        self.now_ns += span_ns


class TestMemoryPair(LinkConformance):
    @pytest.fixture
    def ends(self):
        clock = VirtualTime()
        near, far = memory_pair(now=clock.now, advance=clock.advance, delay_ns=5)
        return Ends(near, far, ethernet)


class TestEchoingResponder(LinkConformance):
    @pytest.fixture
    def ends(self):
        link = ResponderLink(lambda frames: frames, now=lambda: 0)
        return Ends(link, link, ethernet)


def test_delayed_frame_before_its_time_is_not_there():
    clock = VirtualTime()
    near, far = memory_pair(now=clock.now, delay_ns=100)
    near.send(Frames.of([b"late"]))
    assert far.due_ns() == 1_100
    clock.advance(99)
    assert len(far.receive(wait_ns=10**9)) == 0
    clock.advance(1)
    got = far.receive()
    assert list(got) == [b"late"]
    assert got.time_ns.tolist() == [1_100]


def test_waiting_receiver_frame_due_passes_only_the_time_until_it():
    clock = VirtualTime()
    near, far = memory_pair(now=clock.now, advance=clock.advance, delay_ns=100)
    near.send(Frames.of([b"soon"]))
    assert list(far.receive(wait_ns=10**9)) == [b"soon"]
    assert clock.now() == 1_100


def test_waiting_receiver_nothing_due_passes_the_whole_wait():
    clock = VirtualTime()
    near, _ = memory_pair(now=clock.now, advance=clock.advance)
    assert len(near.receive(wait_ns=77)) == 0
    assert clock.now() == 1_077


def test_responder_own_delays_arrive_in_order_of_time():
    clock = VirtualTime()

    def respond(frames: Frames) -> Frames:
        delays = np.array([30, 10, 20])
        return Frames(frames.buffer, frames.offset, frames.length, frames.wire_length,
                      frames.time_ns + delays, frames.link_type)

    link = ResponderLink(respond, now=clock.now, advance=clock.advance, delay_ns=1)
    link.send(Frames.of([b"c", b"a", b"b"]))
    got = [link.receive(10**9) for _ in range(3)]
    assert [list(part) for part in got] == [[b"a"], [b"b"], [b"c"]]
    assert [int(part.time_ns[0]) for part in got] == [1_011, 1_021, 1_031]


def test_full_inbox_more_frames_are_dropped_and_counted():
    link = MemoryLink(now=lambda: 0, inbox=3)
    link.arrive(Frames.of([b"1", b"2"]))
    link.arrive(Frames.of([b"3", b"4", b"5"]))
    assert link.counters().drops == 2
    assert list(link.receive()) == [b"1", b"2", b"3"]


def test_closed_end_takes_no_more():
    near, far = memory_pair(now=lambda: 0)
    far.close()
    assert near.send(Frames.of([b"x"])) == 1
    assert len(far.receive()) == 0


def test_end_without_a_peer_sends_into_the_void():
    link = MemoryLink(now=lambda: 0)
    assert link.send(Frames.of([b"x"])) == 1
    assert len(link.receive()) == 0
