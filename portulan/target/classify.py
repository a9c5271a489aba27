"""What addresses are for, by the IANA registries: private, loopback, multicast, public, ..."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from portulan.target.address import BITS, address_value
from portulan.target.address_data import HOLDERS, SPECIAL
from portulan.target.ranges import Range, number_text

Kind = Literal[
    "private", "loopback", "link-local", "multicast", "documentation", "broadcast", "reserved",
    "unspecified", "shared", "benchmarking", "discard", "translation", "public",
]

UNASKABLE: Final = frozenset({"multicast", "broadcast", "reserved", "unspecified", "discard"})
"""Kinds that name no single host: a scan refuses them."""


@dataclass(frozen=True, slots=True)
class AddressClass:
    """What a block of addresses is for; `rfc` is a number, '' where the registry names none."""

    kind: Kind
    name: str
    rfc: str = ""


def classify(address: int | str, family: int = 4) -> AddressClass:
    """Return what an address is for; `family` counts only for numbers.

    >>> classify("10.1.2.3")
    AddressClass(kind='private', name='private-use', rfc='1918')
    """
    if isinstance(address, str):
        family, hi, lo = address_value(address.partition("%")[0])
        address = hi << 64 | lo
    starts, classes = _partition(family)
    return classes[bisect_right(starts, address) - 1]


def classify_ranges(ranges: Iterable[Range]) -> list[tuple[Kind, int]]:
    """Return how many addresses of disjoint ranges are of each kind, the most first.

    The cost depends on the number of ranges, not on how many addresses they hold.
    """
    counts: Counter[Kind] = Counter()
    for kind, part in kinds(ranges):
        counts[kind] += part.count
    return counts.most_common()


def kinds(ranges: Iterable[Range]) -> Iterable[tuple[Kind, Range]]:
    """Yield the ranges cut where the kind changes, in their order."""
    for item in ranges:
        starts, classes = _partition(item.family)
        at, block = item.start, bisect_right(starts, item.start) - 1
        while at < item.stop:
            end = starts[block + 1] if block + 1 < len(starts) else 1 << BITS[item.family]
            end = min(end, item.stop)
            yield classes[block].kind, Range(item.family, at, end - at)
            at, block = end, block + 1


def describe_address(text: str) -> str:
    """Return a sentence about an address; raises `UsageError` if it is none.

    >>> describe_address("10.1.2.3")
    '10.1.2.3 is an IPv4 address of 10.0.0.0/8: private-use (RFC 1918), private.'
    """
    family, hi, lo = address_value(text.partition("%")[0])
    number = hi << 64 | lo
    found = classify(number, family)
    blocks = [block for block, _ in _blocks(family) if block.start <= number < block.stop]
    block = min(blocks, key=lambda item: item.count, default=None)
    holder = _holder(number, family) if found.kind == "public" else ""
    parts = [f"{number_text(family, number)} is an IPv{family} address"]
    parts.append(f" of {block}: {found.name}" if block else ", public")
    parts.append(f" (RFC {found.rfc})" if found.rfc else "")
    parts.append(f", {found.kind}" if block and found.kind != found.name else "")
    parts.append(f"; the block is held by {holder}" if holder else "")
    return "".join(parts) + "."


def _holder(number: int, family: int) -> str:
    held = [
        (block.count, holder) for block, holder in _holders()
        if block.family == family and block.start <= number < block.stop
    ]
    return min(held)[1] if held else ""


def _block(prefix: str) -> Range:
    address, _, length = prefix.partition("/")
    family, hi, lo = address_value(address)
    return Range(family, hi << 64 | lo, 1 << (BITS[family] - int(length)))


@cache
def _holders() -> list[tuple[Range, str]]:
    lines = (line.split(" ", 1) for line in HOLDERS.splitlines())
    return [(_block(prefix), holder) for prefix, holder in lines]


@cache
def _blocks(family: int) -> list[tuple[Range, AddressClass]]:
    """Return the registered blocks, wider ones first."""
    found = []
    for line in SPECIAL.splitlines():
        prefix, kind, rfc, name = line.split(" ", 3)
        block = _block(prefix)
        if block.family == family:
            found.append((block, AddressClass(kind, name, rfc)))  # type: ignore[arg-type]
    return sorted(found, key=lambda item: -item[0].count)


@cache
def _partition(family: int) -> tuple[list[int], list[AddressClass]]:
    """Return the whole space cut into disjoint pieces: their starts and classes."""
    blocks = _blocks(family)
    edges = {0} | {edge for block, _ in blocks for edge in (block.start, block.stop)}
    starts = sorted(edge for edge in edges if edge < 1 << BITS[family])
    public = AddressClass("public", "public")
    classes = []
    for start in starts:
        inside = [found for block, found in blocks if block.start <= start < block.stop]
        classes.append(inside[-1] if inside else public)
    return starts, classes
