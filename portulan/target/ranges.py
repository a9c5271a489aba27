"""Sets of addresses as sorted, disjoint ranges: a /8 costs as little as one address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portulan.target.address import BITS, address_text


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """`count` addresses of one family from the number `start` on.

    >>> str(Range(4, 0x0A000000, 256))
    '10.0.0.0/24'
    """

    family: int
    start: int
    count: int = 1

    @property
    def stop(self) -> int:
        """The number after the last address."""
        return self.start + self.count

    def __str__(self) -> str:
        first = number_text(self.family, self.start)
        if self.count == 1:
            return first
        if self.count & (self.count - 1) == 0 and self.start % self.count == 0:
            return f"{first}/{BITS[self.family] - self.count.bit_length() + 1}"
        return f"{first}-{number_text(self.family, self.stop - 1)}"


def number_text(family: int, number: int) -> str:
    """Return the address with this number as text."""
    return address_text(family, number >> 64, number & (2**64 - 1))


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the union as sorted, disjoint ranges that don't touch each other."""
    merged: list[Range] = []
    for item in sorted(ranges):
        last = merged[-1] if merged else None
        if last and last.family == item.family and item.start <= last.stop:
            count = max(last.stop, item.stop) - last.start
            merged[-1] = Range(item.family, last.start, count)
        elif item.count:
            merged.append(item)
    return tuple(merged)


def subtract(ranges: Iterable[Range], holes: Sequence[Range]) -> tuple[Range, ...]:
    """Return what of `ranges` lies outside of `holes`, which must be merged."""
    rest: list[Range] = []
    for item in merge(ranges):
        at = item.start
        for hole in _touching(item, holes):
            if hole.start > at:
                rest.append(Range(item.family, at, hole.start - at))
            at = max(at, hole.stop)
        if at < item.stop:
            rest.append(Range(item.family, at, item.stop - at))
    return tuple(rest)


def overlap(ranges: Iterable[Range], others: Sequence[Range]) -> tuple[Range, ...]:
    """Return what of `ranges` lies inside of `others`, which must be merged."""
    return tuple(
        Range(item.family, start, min(item.stop, other.stop) - start)
        for item in merge(ranges)
        for other in _touching(item, others)
        for start in [max(item.start, other.start)]
    )


def address_count(ranges: Iterable[Range]) -> int:
    """Return how many addresses disjoint ranges hold."""
    return sum(item.count for item in ranges)


def _touching(item: Range, merged: Sequence[Range]) -> Iterable[Range]:
    at = max(bisect_right(merged, (item.family, item.start), key=_order) - 1, 0)
    while at < len(merged) and _order(merged[at]) < (item.family, item.stop):
        if merged[at].family == item.family and merged[at].stop > item.start:
            yield merged[at]
        at += 1


def _order(item: Range) -> tuple[int, int]:
    return item.family, item.start
