"""Sets of ports as a scenario writes them: `22,80,8000-8100`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive, ascending, apart."""

PORT_MAX = 65535


@lru_cache(maxsize=1024)
def parse_ports(text: str, *, but: str = "") -> Ranges:
    """Return the ranges that text names, without those that `but` names; raises `ValueError`.

    >>> parse_ports("22,80,81,100-200", but="150")
    ((22, 22), (80, 81), (100, 149), (151, 200))
    """
    ranges = _joined(sorted(_spans(text)))
    for low, high in _spans(but) if but else ():
        ranges = tuple(_without(ranges, low, high))
    if not ranges:
        raise ValueError(f"no port is left of {text!r} without {but!r}")
    return ranges


def contains(ranges: Ranges, port: int) -> bool:
    """Return whether a port lies in one of the ranges."""
    return any(low <= port <= high for low, high in ranges)


def expand(ranges: Ranges) -> Iterable[int]:
    """Yield every port of the ranges."""
    for low, high in ranges:
        yield from range(low, high + 1)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(f"not a port or range: {part!r}")
        first, last = int(low), int(high or low)
        if not 0 <= first <= last <= PORT_MAX:
            raise ValueError(f"ports go from 0 to {PORT_MAX}, upwards: {part!r}")
        yield first, last


def _joined(spans: list[tuple[int, int]]) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for low, high in spans:
        if ranges and low <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], high))
        else:
            ranges.append((low, high))
    return tuple(ranges)


def _without(ranges: Ranges, low: int, high: int) -> Iterator[tuple[int, int]]:
    for first, last in ranges:
        if first < low:
            yield first, min(last, low - 1)
        if last > high:
            yield max(first, high + 1), last
