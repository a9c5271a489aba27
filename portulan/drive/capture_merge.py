"""Several captures as one, by time, their interfaces kept apart; a batch of each is in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from portulan.errors import UsageError
from portulan.link.capture_source import Origin
from portulan.wire.frames import Frames

from .capture import Capture
from .capture_batch import Batch, Index

CAPTURES_MAX: Final = 256
"""Files open at once: well below the usual limit of 1,024 descriptors."""


@dataclass(slots=True)
class _Source:
    """What is left of a capture: the present batch and those to come."""

    batches: Iterator[Batch]
    base: int
    """What its interfaces' numbers begin at."""
    batch: Batch | None = None
    key: Index | None = None
    """Times that never go back: a packet out of order stays behind the one before it."""
    latest: int = 0

    def fill(self) -> bool:
        """Have a batch at hand; False at the end."""
        while self.batch is None or not len(self.batch.frames):
            self.batch = next(self.batches, None)
            if self.batch is None:
                return False
            times = np.concatenate([[self.latest], self.batch.frames.time_ns])
            self.key = np.maximum.accumulate(times)[1:]
            self.latest = int(self.key[-1])
        return True

    def take(self, horizon: int) -> tuple[Batch, Index]:
        """Return what came until the horizon, and its keys; keep the rest."""
        assert self.batch is not None and self.key is not None  # noqa: S101 - filled before
        count = int(np.searchsorted(self.key, horizon, side="right"))
        rows = np.arange(len(self.key))
        taken, key = self.batch.take(rows[:count]), self.key[:count]
        self.batch, self.key = self.batch.take(rows[count:]), self.key[count:]
        return taken, key


class Merged(Capture):
    """Captures merged by time; each stays in the order of its file."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        origins = list(origins)
        if not 0 < len(origins) <= CAPTURES_MAX:
            raise UsageError(f"1 to {CAPTURES_MAX} captures can be merged, these are "
                             f"{len(origins)}")
        self._captures = [Capture(origin) for origin in origins]
        self._origin = " ".join(
            os.fspath(each) for each in origins if isinstance(each, str | os.PathLike))
        self._steps = ()
        self._count = None
        self.format = "merged"
        self.link_type = self._captures[0].link_type
        self.damage: str | None = None
        self.lost = {}

    @property
    def rereadable(self) -> bool:
        """Whether all files can be read again."""
        return all(each.rereadable for each in self._captures)

    def _check_target(self, target: Path) -> None:
        for each in self._captures:
            each._check_target(target)

    def _read(self) -> Iterator[Batch]:
        # Interfaces are numbered file by file: the first file's n-th, the second file's n-th, ...
        width = len(self._captures)
        sources = [_Source(each.batches(), base) for base, each in enumerate(self._captures)]
        first = 1
        while sources := [each for each in sources if each.fill()]:
            horizon = min(each.latest for each in sources)
            parts = [(each, *each.take(horizon)) for each in sources]
            parts = [part for part in parts if len(part[1].frames)]
            for batch in _merged(parts, width, first):
                first += len(batch.frames)
                yield batch
        said = [each.damage for each in self._captures if each.damage]
        self.damage = "; ".join(said) or None


def _merged(
    parts: list[tuple[_Source, Batch, Index]], width: int, first: int
) -> Iterator[Batch]:
    """Yield the packets of the parts by time, a batch for each run of one link type."""
    order = np.argsort(np.concatenate([key for _, _, key in parts]), kind="stable")
    links = np.concatenate([
        np.full(len(batch.frames), batch.frames.link_type, np.int64) for _, batch, _ in parts])
    interface = np.concatenate([batch.interface * width + s.base for s, batch, _ in parts])
    said: dict[int, str] = {}
    place = 0
    for _, batch, _ in parts:
        if batch.comments:
            numbers = enumerate(batch.numbers.tolist(), place)
            said |= {row: batch.comments[n] for row, n in numbers if n in batch.comments}
        place += len(batch.frames)
    kinds = {kind: _Kind.of(kind, links, parts) for kind in np.unique(links).tolist()}
    names = _names(parts, width)
    edges = np.flatnonzero(np.diff(links[order])) + 1
    for rows in np.split(order, edges):
        numbers_here = np.arange(first, first + len(rows), dtype=np.int64)
        comments = {}
        if said:
            pairs = zip(numbers_here.tolist(), rows.tolist(), strict=True)
            comments = {n: said[row] for n, row in pairs if row in said}
        kind = kinds[int(links[rows[0]])]
        frames = kind.frames.take(kind.place[rows])
        yield Batch(frames, numbers_here, interface[rows], names, comments)
        first += len(rows)


@dataclass(frozen=True, slots=True)
class _Kind:
    """All frames of one link type, and where each row of the whole is among them."""

    frames: Frames
    place: Index

    @classmethod
    def of(cls, kind: int, links: Index, parts: list[tuple[_Source, Batch, Index]]) -> _Kind:
        frames = Frames.concat([
            batch.frames.compact() for _, batch, _ in parts if batch.frames.link_type == kind])
        return cls(frames, np.cumsum(links == kind) - 1)


def _names(parts: list[tuple[_Source, Batch, Index]], width: int) -> tuple[str, ...]:
    longest = max(len(batch.names) for _, batch, _ in parts)
    names = [""] * (longest * width)
    for source, batch, _ in parts:
        for number, name in enumerate(batch.names):
            names[number * width + source.base] = name
    return tuple(names)
