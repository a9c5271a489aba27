"""Sets of values in a header's field: `dst="10.9.0.0/28"`, `dport=(1, 100)`, `ttl=[1, 64, 255]`.

A header whose fields hold sets stands for the product of all their values; it becomes frames as
columns (`craft.build`), never one object a frame.
"""

# ruff: noqa: ANN401 - a set is made of whatever its field accepts.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.layout import Field

VALUES_MAX = 1 << 20
"""Values of one set: a /12, or all ports 16 times; as many frames are built in one call."""

_LOW = (1 << 64) - 1
_NETWORKS = {"ip4": 32, "ip6": 128}


@dataclass(frozen=True, slots=True, eq=False)
class Many:
    """The values of a set, in order: one column, or high and low 64 bits of IPv6 addresses."""

    columns: tuple[NDArray[np.uint64], ...]

    @classmethod
    def of(cls, field: Field, given: Any) -> Self:
        """Return the set that a value stands for; raises `UsageError` if it does not fit."""
        if isinstance(given, cls):
            return given
        parts = _parts(field, given, deep=True)
        count = sum(stop - start for start, stop in parts)
        if not count:
            raise UsageError("an empty set", where=field.name)
        if count > VALUES_MAX:
            raise UsageError(f"a set of {count} values, {VALUES_MAX} are built in one call",
                             where=field.name, hint="send it in parts")
        wide = len(field.spans) > 1
        return cls(_columns(parts, wide=wide))

    @property
    def first(self) -> int:
        """The first value as a number."""
        number = 0
        for column in self.columns:
            number = number << 64 | int(column[0])
        return number

    def __len__(self) -> int:
        return len(self.columns[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Many) and all(
            np.array_equal(mine, its)
            for mine, its in zip(self.columns, other.columns, strict=False))

    def __hash__(self) -> int:
        return hash((len(self), self.first))

    def __repr__(self) -> str:
        return f"<{len(self)} values from {self.first}>"


def is_set(value: object) -> bool:
    """Say whether a field's value stands for several."""
    if isinstance(value, str):
        return "/" in value
    return isinstance(value, tuple | list | range | np.ndarray | Many)


Part = tuple[int, int]
"""Numbers from the first up to the second."""


def _parts(field: Field, given: Any, *, deep: bool) -> list[Part]:
    if isinstance(given, str) and "/" in given:
        return [_network(field, given)]
    if isinstance(given, tuple):
        return [_range(field, given)]
    if isinstance(given, list | range | np.ndarray) and deep:
        if len(given) > VALUES_MAX:
            raise UsageError(f"a set of {len(given)} values, {VALUES_MAX} are built in one call",
                             where=field.name, hint="send it in parts")
        items: Sequence[Any] = given.tolist() if isinstance(given, np.ndarray) else given
        return [part for item in items for part in _parts(field, item, deep=False)]
    number = field.number(given)
    return [(number, number + 1)]


def _network(field: Field, text: str) -> Part:
    bits = _NETWORKS.get(field.kind)
    if bits is None:
        raise UsageError(f"not a {field.kind}", text=text, where=field.name)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        network = None
    if network is None or network.max_prefixlen != bits:
        raise UsageError(f"not a network of IPv{4 if bits == 32 else 6}", text=text,
                         where=field.name)
    start = int(network.network_address)
    return start, start + network.num_addresses


def _range(field: Field, ends: tuple[Any, ...]) -> Part:
    if len(ends) != 2:
        raise UsageError(f"a range has two ends, not {len(ends)}", text=str(ends),
                         where=field.name, hint="write (first, last), or a list [a, b, c]")
    first, last = (field.number(each) for each in ends)
    if last < first:
        raise UsageError("the range ends before it begins", text=str(ends), where=field.name)
    return first, last + 1


def _columns(parts: list[Part], *, wide: bool) -> tuple[NDArray[np.uint64], ...]:
    starts = np.array([start & _LOW for start, _ in parts], np.uint64)
    sizes = np.array([stop - start for start, stop in parts], np.int64)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    low = np.repeat(starts, sizes) + (np.arange(sizes.sum()) - before).astype(np.uint64)
    if not wide:
        return (low,)
    high = np.repeat(np.array([start >> 64 for start, _ in parts], np.uint64), sizes)
    # A range may cross a multiple of 2**64: the low half then begins again from 0.
    return high + (low < np.repeat(starts, sizes)).astype(np.uint64), low
