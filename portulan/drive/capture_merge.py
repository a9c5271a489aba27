"""Several captures as one, by time, their interfaces kept apart; a batch of each is in memory.

What is merged is the blocks of a pcapng section, so that options, flags, names, secrets and custom
blocks go along; a batch's frames lie in them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.capture_source import Origin
from portulan.link.pcapng_copy import gathered
from portulan.link.pcapng_merge import DATA_AT, MergeSource, PcapngMerge
from portulan.wire.frames import Frames, LinkType

from .capture import Capture
from .capture_batch import Batch, Index
from .capture_writer import Portion, Target

CAPTURES_MAX: Final = 256
"""Files open at once: well below the usual limit of 1,024 descriptors."""


class _Source:
    """What is left of a capture: the present batch and those to come."""

    def __init__(self, capture: Capture, link: MergeSource) -> None:
        self._batches, self._link = capture._chosen(), link
        self._batch: Batch | None = None
        self._key = np.empty(0, np.int64)
        self.latest = 0
        """The time of the last packet at hand; it never goes back."""

    def fill(self) -> bool:
        """Have packets at hand; False at the end."""
        while not len(self._key):
            self._batch = next(self._batches, None)
            if self._batch is None:
                return False
            if self._batch.blocks is not None:
                self._link.between(self._batch.blocks.between)
            elif len(self._batch.frames):
                self._link.describe(self._batch.frames.link_type)
            # A packet out of order stays behind the one before it.
            times = np.concatenate([[self.latest], self._batch.frames.time_ns])
            self._key = np.maximum.accumulate(times)[1:]
            self.latest = int(times.max())
        return True

    def take(self, horizon: int) -> _Part | None:
        """Return what came until the horizon; keep the rest."""
        count = int(np.searchsorted(self._key, horizon, side="right"))
        if not count or self._batch is None:
            return None
        rows = np.arange(len(self._key))
        taken, key = self._batch.take(rows[:count]), self._key[:count]
        self._batch, self._key = self._batch.take(rows[count:]), self._key[count:]
        if taken.blocks is None:
            made = self._link.plain_packets(taken.frames)
        else:
            made = self._link.packets(taken.frames, taken.blocks, taken.interface)
        return _Part(taken, key, *made)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Packets of one capture as blocks: when, where in the buffer, on which interface."""

    batch: Batch
    key: Index
    buffer: NDArray[np.uint8]
    at: Index
    interface: Index


class Merged(Capture):
    """Captures merged by time; each stays in the order of its file."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        origins = list(origins)
        if not 0 < len(origins) <= CAPTURES_MAX:
            raise UsageError(f"1 to {CAPTURES_MAX} captures can be merged, these are "
                             f"{len(origins)}")
        self._captures = [Capture(origin) for origin in origins]
        self._names = [os.fspath(each) if isinstance(each, str | os.PathLike) else "stream"
                       for each in origins]
        self._origin = " ".join(self._names)
        self._steps = ()
        self._count = None
        self.format = "merged"
        self.link_type = self._captures[0].link_type
        self.damage: str | None = None
        self.lost = {}
        self._left_out: Counter[str] = Counter()

    @property
    def rereadable(self) -> bool:
        """Whether all files can be read again."""
        return all(each.rereadable for each in self._captures)

    def _check_target(self, target: Path) -> None:
        for each in self._captures:
            each._check_target(target)

    def write(self, target: Target, *, split: Portion | None = None) -> int:
        """Write the packets and all other blocks to a file; return how many packets."""
        written = super().write(target, split=split)
        self.lost = dict(Counter(self.lost) + self._left_out)
        return written

    def _read(self) -> Iterator[Batch]:
        merge = PcapngMerge()
        sources = [_Source(capture, merge.source(name))
                   for capture, name in zip(self._captures, self._names, strict=True)]
        first = 1
        while sources := [each for each in sources if each.fill()]:
            horizon = min(each.latest for each in sources)
            parts = list(filter(None, (each.take(horizon) for each in sources)))
            for batch in _merged(parts, merge, first):
                first += len(batch.frames)
                yield batch
        none = np.empty(0, np.int64)
        rest = merge.placed(np.empty(0, np.uint8), none, none)
        yield Batch(Frames.empty(self.link_type or LinkType.ETHERNET), none, none, blocks=rest)
        self._left_out = merge.lost
        said = [each.damage for each in self._captures if each.damage]
        self.damage = "; ".join(said) or None


def _merged(parts: list[_Part], merge: PcapngMerge, first: int) -> Iterator[Batch]:
    """Yield the packets of the parts by time, a batch for each run of one link type."""
    order = np.argsort(np.concatenate([part.key for part in parts]), kind="stable")
    starts = np.cumsum([0, *(len(part.buffer) for part in parts)])
    at = np.concatenate([part.at + start for part, start in zip(parts, starts, strict=False)])
    ends = np.concatenate([np.append(part.at[1:], len(part.buffer)) + start
                           for part, start in zip(parts, starts, strict=False)])
    size = (ends - at)[order]
    whole = Columns.of(parts)
    buffer = gathered(np.concatenate([part.buffer for part in parts]), at[order], size)
    place = np.cumsum(size) - size
    blocks = merge.placed(buffer, place, size)
    links = whole.link_type[order]
    for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(links)) + 1):
        chosen = order[rows]
        frames = Frames(
            buffer, place[rows] + DATA_AT, whole.length[chosen], whole.wire_length[chosen],
            whole.time_ns[chosen], int(links[rows[0]]))
        numbers = first + rows
        comments = {}
        if whole.comments:
            pairs = zip(numbers.tolist(), chosen.tolist(), strict=True)
            comments = {n: whole.comments[row] for n, row in pairs if row in whole.comments}
        yield Batch(frames, numbers, whole.interface[chosen], merge.names, comments,
                    blocks.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What is known of all packets of some parts, part after part."""

    length: Index
    wire_length: Index
    time_ns: Index
    link_type: Index
    interface: Index
    comments: dict[int, str]
    """By row."""

    @classmethod
    def of(cls, parts: list[_Part]) -> Columns:
        """Return the columns of parts."""
        frames = [part.batch.frames for part in parts]
        said: dict[int, str] = {}
        place = 0
        for part in parts:
            if part.batch.comments:
                numbers = enumerate(part.batch.numbers.tolist(), place)
                there = part.batch.comments
                said |= {row: there[n] for row, n in numbers if n in there}
            place += len(part.key)
        return cls(
            np.concatenate([each.length for each in frames]),
            np.concatenate([each.wire_length for each in frames]),
            np.concatenate([each.time_ns for each in frames]),
            np.repeat([each.link_type for each in frames], [len(each) for each in frames]),
            np.concatenate([part.interface for part in parts]), said)
