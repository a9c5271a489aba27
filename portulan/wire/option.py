"""Options: walked with a bound, never thrown at; a defect ends the walk and is told as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Option(NamedTuple):
    """One option: its kind, the data behind kind and length, and where it starts.

    `defect` is empty, or says why the walk ended here; then `data` is what was left.
    """

    kind: int
    data: bytes
    offset: int
    defect: str = ""


def walk_options(data: bytes, at: int = 0) -> Iterator[Option]:
    """Yield the options of an IPv4 or TCP option area; `at` is added to their offsets.

    Kind 0 ends the list and is yielded; kind 1 has no length octet (RFC 791 section 3.1, RFC 9293
    section 3.2). Each step moves at least one byte: a length below 2 is a defect.
    """
    cursor = 0
    while cursor < len(data):
        kind = data[cursor]
        if kind <= 1:
            yield Option(kind, b"", at + cursor)
            if kind == 0:
                return
            cursor += 1
            continue
        size = data[cursor + 1] if cursor + 1 < len(data) else 0
        if defect := _defect(size, len(data) - cursor):
            yield Option(kind, data[cursor + 1 :], at + cursor, defect)
            return
        yield Option(kind, data[cursor + 2 : cursor + size], at + cursor)
        cursor += size


def _defect(size: int, left: int) -> str:
    if left < 2:
        return "length octet missing"
    if size < 2:
        return f"length {size} is below 2"
    return f"length {size} exceeds the {left} bytes left" if size > left else ""


def walk_ip6_options(data: bytes, at: int = 0) -> Iterator[Option]:
    """Yield the options of a hop-by-hop or destination header (RFC 8200 section 4.2).

    Kind 0 is one octet of padding; the length octet of others counts data only.
    """
    cursor = 0
    while cursor < len(data):
        kind = data[cursor]
        if kind == 0:
            yield Option(kind, b"", at + cursor)
            cursor += 1
            continue
        left = len(data) - cursor - 2
        size = data[cursor + 1] if left >= 0 else 0
        if left < 0 or size > left:
            defect = f"length {size} exceeds the {left} bytes left" if left >= 0 else _defect(0, 1)
            yield Option(kind, data[cursor + 1 :], at + cursor, defect)
            return
        yield Option(kind, data[cursor + 2 : cursor + 2 + size], at + cursor)
        cursor += 2 + size
