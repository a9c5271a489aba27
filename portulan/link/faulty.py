"""A bad network on order: loses, doubles, swaps and damages frames, each run in the same way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters, Link
from portulan.wire.frames import Frames

DISPLACEMENT = 4
"""How many places a swapped frame falls back: more than the 3 duplicate ACKs that TCP forgives."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities (0..1) that a frame is lost, doubled, put later in its batch, damaged."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drop", "duplicate", "reorder", "corrupt"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} is a probability from 0 to 1, not {getattr(self, name)}")


class Faulty(Closing):
    """A link around `link` whose frames suffer in both directions.

    A frame's fate depends on `seed`, its direction and its number, not on how frames came in
    batches (but for `reorder`, which stays inside a batch). Lost frames count as sent.
    """

    def __init__(
        self, link: Link, *, seed: int, drop: float = 0.0, duplicate: float = 0.0,
        reorder: float = 0.0, corrupt: float = 0.0,
    ) -> None:
        self._link = link
        faults = Faults(drop, duplicate, reorder, corrupt)
        out, back = np.random.SeedSequence(seed).spawn(2)
        self._out, self._back = _Fate(faults, out), _Fate(faults, back)
        self._owed = Frames.empty(link.link_type)
        self._sent = self._received = 0

    @property
    def link_type(self) -> int:
        """Return how the frames begin."""
        return self._link.link_type

    def send(self, frames: Frames) -> int:
        """Take all frames; those the inner link has no room for yet go first the next time."""
        if not self._settle():
            return 0
        self._owed = self._out.strike(frames)
        self._settle()
        self._sent += len(frames)
        return len(frames)

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return what is left of the frames that arrived."""
        frames = self._back.strike(self._link.receive(wait_ns))
        self._received += len(frames)
        return frames

    def counters(self) -> Counters:
        """Return what passed this end, and the inner link's kernel drops."""
        inner = self._link.counters()
        return Counters(self._sent, self._received, inner.drops, inner.refused)

    def fileno(self) -> int:
        """Return the inner link's descriptor."""
        return self._link.fileno()

    def close(self) -> None:
        """Close the inner link."""
        self._link.close()

    def _settle(self) -> bool:
        """Send what is owed; return whether nothing is left."""
        if len(self._owed):
            # A copy: the caller may write its next frames over these.
            taken = self._link.send(self._owed)
            self._owed = self._owed.take(slice(taken, None)).compact()
        return not len(self._owed)


class _Fate:
    """The faults of one direction: a row of random numbers for each frame, in order."""

    def __init__(self, faults: Faults, seed: np.random.SeedSequence) -> None:
        self._faults, self._generator = faults, np.random.Generator(np.random.PCG64(seed))

    def strike(self, frames: Frames) -> Frames:
        """Return the frames as the bad network delivers them."""
        count, faults = len(frames), self._faults
        dice = self._generator.random((count, 5))
        copies = (dice[:, 0] >= faults.drop) * (1 + (dice[:, 1] < faults.duplicate))
        late = np.arange(count) + (dice[:, 2] < faults.reorder) * (DISPLACEMENT + 0.5)
        order = np.argsort(late, kind="stable")
        # Frames change places, not times: what a kernel delivers is stamped on arrival.
        moved = replace(frames.take(order), time_ns=frames.time_ns)
        hit = np.flatnonzero((dice[:, 3] < faults.corrupt)[order] & (moved.length > 0))
        if len(hit):
            moved = _damage(moved, hit, dice[order, 4][hit])
        return moved.take(np.repeat(np.arange(count), copies[order]))


def _damage(frames: Frames, which: np.ndarray[tuple[int], np.dtype[np.int64]],
            where: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Frames:
    """Return a copy in which one bit of each frame in `which` is flipped."""
    own = frames.compact()
    bit = (where * own.length[which] * 8).astype(np.int64)
    own.buffer[own.offset[which] + bit // 8] ^= (1 << (bit % 8)).astype(np.uint8)
    return own
