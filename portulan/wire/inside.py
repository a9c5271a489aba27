"""What a header says beyond its fixed octets: fields it tells, and what comes next and where.

Text in told values came from outside: it is escaped and bounded where it is made, in `text_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from portulan.errors import printable

if TYPE_CHECKING:
    from portulan.wire.header import Header

TEXT_MAX_CHARS = 1_000
"""Longer texts are cut: a URL of this length is read by nobody, a banner of it by few."""
ITEMS_MAX = 256
"""Items of one list that are told: more options or records than any honest packet has."""

Value: TypeAlias = int | str | list[int] | list[str]


@dataclass(frozen=True, slots=True)
class Told:
    """A field that lies behind the fixed octets: its sentence, and what its values are."""

    sentence: str
    kind: type = str
    """int, str or list (of texts or numbers)."""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Inside:
    """What lies behind a header's fixed octets.

    The carried octets are `at` to `end`; `kind` is the header they begin with, None if they are
    payload. `defect` says what the header promised and the octets do not hold.
    """

    at: int
    end: int
    kind: type[Header] | None = None
    told: Mapping[str, Value] = field(default_factory=dict)
    brief: str = ""
    """A few words for a line about the packet."""
    defect: str = ""


class Lazy(Mapping[str, Value]):
    """Told values of which some are only computed when one of them is asked for.

    A name with a dot is another header's field, told here: `tls.sni` by a QUIC packet. What turns
    out not to be there is no key.
    """

    __slots__ = ("_made", "_plain")

    def __init__(
        self, plain: Mapping[str, Value], made: Mapping[str, Callable[[], Value | None]]
    ) -> None:
        self._plain, self._made = dict(plain), dict(made)

    def __getitem__(self, name: str) -> Value:
        make = self._made.pop(name, None)
        value = make() if make else None
        if value is not None:
            self._plain[name] = value
        return self._plain[name]

    def __iter__(self) -> Iterator[str]:
        for name in list(self._made):
            self.get(name)
        return iter(list(self._plain))

    def __len__(self) -> int:
        return len(list(iter(self)))


def text_of(octets: bytes) -> str:
    """Return printable text of octets from outside: UTF-8, everything else escaped."""
    return printable(octets[:TEXT_MAX_CHARS].decode("utf-8", "backslashreplace"), TEXT_MAX_CHARS)


def number_at(octets: bytes, at: int, size: int) -> int:
    """Return the big-endian number of `size` octets at `at`; what is missing is left out."""
    return int.from_bytes(octets[at : at + size], "big")


class Item(NamedTuple):
    """One item of a list of type, length and value: its type and where its value lies."""

    kind: int
    at: int
    end: int


def items_of(
    octets: bytes, at: int, end: int, *, kind: int = 1, length: int = 1
) -> Iterator[Item]:
    """Yield the items between `at` and `end` whose type and length have so many octets.

    An item that claims more than there is ends the list; at most `ITEMS_MAX` are yielded.
    """
    for _ in range(ITEMS_MAX):
        if at + kind + length > end:
            return
        number = number_at(octets, at, kind)
        start = at + kind + length
        at = start + number_at(octets, at + kind, length)
        if at > end:
            return
        yield Item(number, start, at)
