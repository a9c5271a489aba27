from __future__ import annotations

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.link.faulty import DISPLACEMENT, Faulty
from portulan.link.memory import MemoryLink, memory_pair
from portulan.wire.frames import Frames
from tests.link.conformance import Ends, LinkConformance, ethernet


class TestFaultyWithoutFaults(LinkConformance):
    @pytest.fixture
    def ends(self):
        near, far = memory_pair(now=lambda: 0)
        return Ends(Faulty(near, seed=1), Faulty(far, seed=2), ethernet)


def through(frames: Frames, *, step: int | None = None, seed: int = 7, **faults: float) -> Frames:
    """Return what arrives when `frames` are sent `step` at a time over a faulty link."""
    near, far = memory_pair(now=lambda: 0)
    link = Faulty(near, seed=seed, **faults)
    for start in range(0, len(frames), step or len(frames)):
        part = frames.take(slice(start, start + (step or len(frames))))
        assert link.send(part) == len(part)
    assert link.counters().sent == len(frames)
    return far.receive()


FRAMES = Frames.of(ethernet(4_000, 70))


def test_drop_loses_about_its_share_and_keeps_order():
    got = list(through(FRAMES, drop=0.25))
    assert 2_800 < len(got) < 3_200
    assert got == sorted(got)


def test_drop_everything_arrives_nothing():
    assert len(through(FRAMES, drop=1.0)) == 0


def test_duplicate_everything_arrives_twice_in_a_row():
    assert list(through(FRAMES, duplicate=1.0)) == [f for f in FRAMES for _ in range(2)]


def test_reorder_moves_frames_a_few_places_and_loses_none():
    number = {frame: index for index, frame in enumerate(FRAMES)}
    places = np.array([number[frame] for frame in through(FRAMES, reorder=0.1)])
    assert sorted(places) == list(range(4_000))
    moved = np.abs(places - np.arange(4_000))
    assert 0 < moved.max() <= 3 * DISPLACEMENT
    assert (moved > 0).mean() > 0.1


def test_corrupt_flips_exactly_one_bit_and_leaves_the_senders_buffer():
    before = FRAMES.buffer.copy()
    got = through(FRAMES, corrupt=1.0)
    for old, new in zip(FRAMES, got, strict=True):
        assert (int.from_bytes(old) ^ int.from_bytes(new)).bit_count() == 1
    assert (FRAMES.buffer == before).all()


def test_corrupt_empty_frame_passes_unharmed():
    assert list(through(Frames.of([b"", b""]), corrupt=1.0)) == [b"", b""]


def test_same_seed_other_batches_same_fate():
    faults = {"drop": 0.1, "duplicate": 0.1, "corrupt": 0.1}
    whole = list(through(FRAMES, **faults))
    assert list(through(FRAMES, step=37, **faults)) == whole
    assert list(through(FRAMES, seed=8, **faults)) != whole


def test_receiving_suffers_too():
    near, far = memory_pair(now=lambda: 0)
    far.send(FRAMES)
    link = Faulty(near, seed=7, drop=0.5)
    assert 1_800 < len(link.receive()) < 2_200
    assert link.counters().received < 2_200


def test_inner_link_takes_a_few_at_a_time_nothing_is_lost_or_doubled():
    class Narrow(MemoryLink):
        room = 3

        def send(self, frames: Frames) -> int:
            taken = min(self.room, len(frames))
            self.room -= taken
            return super().send(frames.take(slice(0, taken)))

    near, far = Narrow(now=lambda: 0), MemoryLink(now=lambda: 0)
    near.peer = far
    link = Faulty(near, seed=1)
    rows = np.arange(50, dtype=np.uint8).reshape(10, 5)
    wanted = list(Frames.uniform(rows.copy()))
    assert link.send(Frames.uniform(rows)) == 10
    rows[:] = 0  # the link may not look at the caller's buffer any more
    while len(near_owes(link)):
        near.room = 3
        link.send(Frames.empty())
    assert list(far.receive()) == wanted
    near.room = 0
    link.send(Frames.of([b"owed"]))
    assert link.send(Frames.of([b"no room"])) == 0


def near_owes(link: Faulty) -> Frames:
    return link._owed


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_probability_out_of_range_is_refused(share: float):
    near, _ = memory_pair(now=lambda: 0)
    with pytest.raises(UsageError, match="drop is a probability"):
        Faulty(near, seed=1, drop=share)
