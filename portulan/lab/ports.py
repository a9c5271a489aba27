"""Sets of ports as a scenario writes them: `22,80,8000-8100`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive, ascending, apart."""

PORT_MAX = 65535


def parse_ports(text: str, *, but: str = "") -> Ranges:
    """Return the ranges that text names, without those that `but` names; raises `ValueError`.

    >>> parse_ports("22,80,81,100-200", but="150")
    ((22, 22), (80, 81), (100, 149), (151, 200))
    """
    left_out = set(_numbers(but)) if but else set()
    return _joined(sorted(set(_numbers(text)) - left_out))


def contains(ranges: Ranges, port: int) -> bool:
    """Return whether a port lies in one of the ranges."""
    return any(low <= port <= high for low, high in ranges)


def expand(ranges: Ranges) -> Iterable[int]:
    """Yield every port of the ranges."""
    for low, high in ranges:
        yield from range(low, high + 1)


def _numbers(text: str) -> Iterable[int]:
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(f"not a port or range: {part!r}")
        first, last = int(low), int(high or low)
        if not 0 <= first <= last <= PORT_MAX:
            raise ValueError(f"ports go from 0 to {PORT_MAX}, upwards: {part!r}")
        yield from range(first, last + 1)


def _joined(ports: list[int]) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for port in ports:
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return tuple(ranges)
