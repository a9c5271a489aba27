"""Where the records of a capture begin, when each one's place hangs on the length before it.

A plain loop costs 0.2 us a record: as much as all else that reading addresses and ports takes.
So the walk starts in many places at once, where a record probably begins, and NumPy takes one step
in all of these lanes together. A guess is never trusted: a lane counts only if the walk from the
first record arrives exactly at its start; from where it doesn't, the plain loop goes on until the
walk meets a lane again. Hence the result is that of the plain loop, on any octets.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from portulan.wire.header import octets_at

Index = NDArray[np.int64]

SAMPLE_BYTES = 32 << 10
"""Walked plainly first: how many records these are says how many lanes are worth it."""
RECORDS_MIN = 500
"""Records from which on lanes pay."""
LANES_PER_RECORD = 6
"""The best number of lanes is sqrt(this x records): a step costs 4 us, a lane's start 0.7 us."""
SPREAD = 1.5
"""Steps taken are so many times the mean number in a lane; what is left is walked plainly."""
LOOKS_MAX = 6
"""Looks for the start of a lane, each three quarters of a mean record long."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a format's records follow each other: the next begins max(length + extra, least) on."""

    order: str
    header: int
    """Octets of a record that must be there for it to be found."""
    length_at: int
    extra: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """Octets that nearly every record has at the same place."""

    octets: Mapping[int, int]
    """By their place in the record."""
    align: int = 1
    """Records begin at multiples of this, counted from the first."""


def walk(data: NDArray[np.uint8], shape: Shape, mark: Mark | None = None) -> Index:
    """Return where each record begins whose header is in `data`; its end may lie beyond.

    With a `mark` it is sooner done.
    """
    plain = _Plain(data, shape)
    sample, at = plain.until(0, SAMPLE_BYTES)
    records = (len(data) - at) * len(sample) // at if at else 0
    places = None
    if mark is not None and records >= RECORDS_MIN:
        places = _Lanes(data, shape, mark).places(at, records, at // len(sample))
    if places is None:
        sample += plain.until(at, plain.limit)[0]
        return np.array(sample, np.int64)
    return np.concatenate([np.array(sample, np.int64), *_joined(places, plain)])


class _Plain:
    """The walk record by record."""

    def __init__(self, data: NDArray[np.uint8], shape: Shape) -> None:
        self._view, self._shape = data.data, shape
        self._length = struct.Struct(shape.order + "I").unpack_from
        self.limit = len(data) - shape.header + 1

    def until(self, at: int, stop: int) -> tuple[list[int], int]:
        """Return the records from `at` on and before `stop`, and where the next one begins."""
        view, length, shape = self._view, self._length, self._shape
        length_at, extra, least = shape.length_at, shape.extra, shape.least
        stop = min(stop, self.limit)
        found: list[int] = []
        append = found.append
        while at < stop:
            append(at)
            size = length(view, at + length_at)[0] + extra
            at += size if size > least else least
        return found, at


class _Lanes:
    """The walk in many places together."""

    def __init__(self, data: NDArray[np.uint8], shape: Shape, mark: Mark) -> None:
        self._data, self._shape, self._mark = np.ascontiguousarray(data), shape, mark
        self._last = len(data) - shape.header
        """The last place where a record can be found."""

    def places(self, at: int, records: int, mean: int) -> Index | None:
        """Return where lanes from `at` on are after each step; None if not enough are found."""
        wanted = isqrt(LANES_PER_RECORD * records)
        starts = self.starts(at, wanted, mean * 3 // 4)
        if len(starts) < wanted // 2:  # the more steps each, the less they bring
            return None
        return self.run(starts, int(SPREAD * records) // len(starts) + 1)

    def starts(self, at: int, count: int, width: int) -> Index:
        """Return `at` and places behind it where records probably begin, `count` at most.

        Each is looked for in `width` octets, a few times.
        """
        width += -width % self._mark.align
        reach = width + max(self._mark.octets)
        stride = -(-(self._last - at) // count) + self._mark.align
        begin = np.arange(at, self._last - reach, stride - stride % self._mark.align)
        end = np.append(begin[1:], self._last - reach)
        found, begin, end = [begin[:1]], begin[1:], end[1:]
        for _ in range(LOOKS_MAX):
            place = begin + self._first(begin, width, reach)
            there = place < np.minimum(begin + width, end)
            found.append(place[there])
            begin = begin + width
            going = ~there & (begin < end)
            begin, end = begin[going], end[going]
            if not len(begin):
                break
        return np.sort(np.concatenate(found))

    def _first(self, begin: Index, width: int, reach: int) -> Index:
        """Return how far from each place on the first octets like a record's are, or `width`."""
        octets, step = octets_at(self._data, begin, reach), self._mark.align
        hits = np.ones((len(begin), width // step), np.bool_)
        for at, octet in self._mark.octets.items():
            hits &= octets[:, at : at + width : step] == octet
        first = hits.argmax(axis=1)
        return np.where(hits[np.arange(len(begin)), first], first * step, width)

    def run(self, starts: Index, steps: int) -> Index:
        """Return where each lane is after each step, a column a lane, never beyond `_last`."""
        shape = self._shape
        kind, least, last = shape.order + "u4", shape.least - shape.extra, self._last
        lengths = np.ndarray((last + 1,), "V4", self._data, shape.length_at, (1,))
        places = np.empty((steps + 1, len(starts)), np.int64)
        places[0] = starts
        for at, to in pairwise(places):
            size = lengths[at].view(kind)
            np.add(at, np.maximum(size, least) if least > 0 else size, out=to)
            np.add(to, shape.extra, out=to)
            np.minimum(to, last, out=to)
        return places


def _joined(places: Index, plain: _Plain) -> Iterator[Index]:
    """Yield the pieces of the one true walk, which begins with the first lane."""
    last = plain.limit - 1
    starts, inside = places[0], places < np.append(places[0][1:], last)
    count = inside[:-1].sum(axis=0)
    exits = places[count, np.arange(len(starts))]
    # A place cut to the last possible one is no place: the step to it is taken again, plainly.
    cut = exits == last
    count -= cut
    exits[cut] = places[count[cut], cut]
    visited = places.T[np.arange(len(places)) < count[:, None]]
    bounds = np.append(0, np.cumsum(count)).tolist()
    begins = starts.tolist()
    breaks = [*np.flatnonzero(exits[:-1] != starts[1:]).tolist(), len(begins) - 1]
    lane = 0
    while lane < len(begins):
        end = breaks[bisect_left(breaks, lane)]
        yield visited[bounds[lane] : bounds[end + 1]]
        at, lane = int(exits[end]), end + 1
        while (lane := bisect_left(begins, at, lane)) < len(begins) and begins[lane] != at:
            found, at = plain.until(at, begins[lane])
            yield np.array(found, np.int64)
    yield np.array(plain.until(at, plain.limit)[0], np.int64)
