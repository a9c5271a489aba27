"""Where a header's fields lie: derived once from the annotations, read by scalars and columns.

Fields run on from the most significant bit, as RFC diagrams draw them. A *unit* is a run of
fields that ends at the first octet boundary: `version: u4; ihl: u4` share one octet,
`flags: u3; offset: u13` two, `version: u4; traffic_class: u8; flow_label: u20` four.
Nothing else is to be declared. A body that ends inside an octet is a `TypeError`.
"""

# ruff: noqa: ANN401 - fields hold what their types decode to: the one place for Any.

from __future__ import annotations

import operator
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Self, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.address import Ip4, Ip6, Mac

Out_co = TypeVar("Out_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)

_STRUCT = {1: "B", 2: "H", 4: "I", 8: "Q"}
_SENTENCE = re.compile(r"^ *(\w+): (.+?)(?: \[([^\]]+)\])?$", re.MULTILINE)


class Coded(Generic[Out_co, In_contra]):
    """Tells type checkers what a field reads as and what it accepts; never made at run time."""

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Out_co: ...
    def __get__(self, instance: object, owner: Any) -> Any:
        """Read the field."""

    def __set__(self, instance: object, value: In_contra) -> None:
        """Say what the constructor accepts."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How one field lies on the wire, and how its number becomes a scalar value and back."""

    kind: str
    bits: int
    decode: Callable[[int], Any] | None = None
    encode: Callable[[Any], int] = operator.index


u1: TypeAlias = Annotated[int, Wire("u1", 1)]
u2: TypeAlias = Annotated[int, Wire("u2", 2)]
u3: TypeAlias = Annotated[int, Wire("u3", 3)]
u4: TypeAlias = Annotated[int, Wire("u4", 4)]
u5: TypeAlias = Annotated[int, Wire("u5", 5)]
u6: TypeAlias = Annotated[int, Wire("u6", 6)]
u7: TypeAlias = Annotated[int, Wire("u7", 7)]
u8: TypeAlias = Annotated[int, Wire("u8", 8)]
u12: TypeAlias = Annotated[int, Wire("u12", 12)]
u13: TypeAlias = Annotated[int, Wire("u13", 13)]
u16: TypeAlias = Annotated[int, Wire("u16", 16)]
u20: TypeAlias = Annotated[int, Wire("u20", 20)]
u24: TypeAlias = Annotated[int, Wire("u24", 24)]
u32: TypeAlias = Annotated[int, Wire("u32", 32)]
u48: TypeAlias = Annotated[int, Wire("u48", 48)]
u64: TypeAlias = Annotated[int, Wire("u64", 64)]
ip4: TypeAlias = Annotated[Coded[Ip4, str | int], Wire("ip4", 32, Ip4, Ip4.of)]
ip6: TypeAlias = Annotated[Coded[Ip6, str | int], Wire("ip6", 128, Ip6, Ip6.of)]
mac: TypeAlias = Annotated[Coded[Mac, str | int], Wire("mac", 48, Mac, Mac.of)]


@dataclass(frozen=True, slots=True)
class Span:
    """One column: `bits` at `shift` inside `octets` octets from `offset` of the header."""

    name: str
    offset: int
    octets: int
    shift: int
    bits: int

    @property
    def plain(self) -> bool:
        """Say whether the column is a machine word of its own."""
        return self.bits == self.octets * 8 and self.octets in _STRUCT

    @property
    def mask(self) -> int:
        """The field's bits, before the shift."""
        return (1 << self.bits) - 1

    @property
    def native(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds the column's values."""
        return np.dtype(f"u{next(size for size in _STRUCT if size * 8 >= self.bits)}")

    def parts(self) -> list[tuple[int, int, int]]:
        """Return (offset, octets, shift) of the machine words the unit is made of."""
        found, left, at = [], self.octets, self.offset
        while left:
            size = next(size for size in (8, 4, 2, 1) if size <= left)
            left -= size
            found.append((at, size, left * 8))
            at += size
        return found


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one header, as the registry, filters, columns and docs see it."""

    header: str
    attr: str
    wire: Wire
    offset: int
    octets: int
    shift: int
    sentence: str
    unit: str
    default: Any
    auto: bool

    @property
    def name(self) -> str:
        """The name in filters and columns: `tcp.dport`."""
        return f"{self.header}.{self.attr}"

    @property
    def kind(self) -> str:
        """The declared type: `u16`, `ip4`, ..."""
        return self.wire.kind

    @property
    def bits(self) -> int:
        """How many bits the field takes."""
        return self.wire.bits

    @property
    def spans(self) -> tuple[Span, ...]:
        """The field's columns: one, or `_hi` and `_lo` if it is wider than 64 bits."""
        if self.bits <= 64:
            return (Span(self.attr, self.offset, self.octets, self.shift, self.bits),)
        hi = Span(f"{self.attr}_hi", self.offset, 8, 0, 64)
        return hi, Span(f"{self.attr}_lo", self.offset + 8, 8, 0, 64)

    def number(self, value: object) -> int:
        """Return what goes on the wire for a scalar value; raises `UsageError` if it won't fit."""
        try:
            number = self.wire.encode(value)
        except (TypeError, ValueError):
            raise UsageError(f"not a {self.kind}", text=str(value), where=self.name) from None
        if not 0 <= number < 1 << self.bits:
            raise UsageError(f"does not fit {self.bits} bits", text=str(value), where=self.name)
        return number

    def value(self, value: object) -> Any:
        """Return the scalar that stands for a given value once it is known to fit."""
        number = self.number(value)
        return number if self.wire.decode is None else self.wire.decode(number)


@dataclass(frozen=True)
class Layout:
    """All fields of a header in wire order, and the struct that reads their units."""

    header: str
    fields: tuple[Field, ...]
    size: int

    @classmethod
    def of(
        cls, header: str, wires: Mapping[str, Wire], *, defaults: Mapping[str, Any], doc: str
    ) -> Self:
        """Return the layout of declared fields; raises `TypeError` on a unit left open."""
        said = {name: (text, unit) for name, text, unit in _SENTENCE.findall(doc)}
        fields: list[Field] = []
        offset, open_unit, bits = 0, list[str](), 0
        for attr, wire in wires.items():
            open_unit.append(attr)
            bits += wire.bits
            if bits % 8:
                continue
            shift = bits
            for member in open_unit:
                shift -= wires[member].bits
                default = defaults.get(member, REQUIRED)
                auto = isinstance(default, Auto)
                fields.append(Field(
                    header, member, wires[member], offset, bits // 8, shift,
                    *said.get(member, ("", "")), default.value if auto else default, auto,
                ))
            offset, open_unit, bits = offset + bits // 8, [], 0
        if open_unit:
            raise TypeError(f"{header}: {', '.join(open_unit)} end inside an octet")
        return cls(header, tuple(fields), offset)

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by attribute name."""
        return {field.attr: field for field in self.fields}

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Columns by name."""
        return {span.name: span for field in self.fields for span in field.spans}

    @cached_property
    def units(self) -> list[tuple[Field, ...]]:
        """Fields grouped by the octets they share."""
        starts = dict.fromkeys(field.offset for field in self.fields)
        return [tuple(f for f in self.fields if f.offset == start) for start in starts]

    @cached_property
    def struct(self) -> struct.Struct:
        """The precompiled struct: one item a unit, odd sizes as bytes."""
        sizes = [unit[0].octets for unit in self.units]
        return struct.Struct(">" + "".join(_STRUCT.get(size, f"{size}s") for size in sizes))

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The structured dtype: one field a unit (`version_ihl`), odd sizes as octet arrays."""
        names = ["_".join(field.attr for field in unit) for unit in self.units]
        sizes = [unit[0].octets for unit in self.units]
        formats = [f">u{size}" if size in _STRUCT else ("u1", (size,)) for size in sizes]
        return np.dtype({"names": names, "formats": formats, "itemsize": self.size})

    @cached_property
    def decoders(self) -> list[tuple[str, int, int, int, Callable[[int], Any] | None, bool]]:
        """(attr, unit index, shift, mask, decode, unit is bytes) of each field, for scalars."""
        return [
            (f.attr, index, f.shift, (1 << f.bits) - 1, f.wire.decode, f.octets not in _STRUCT)
            for index, unit in enumerate(self.units) for f in unit
        ]

    @cached_property
    def simple(self) -> tuple[str, ...]:
        """The field names if each unit is one undecoded number, else nothing."""
        plain = all(len(unit) == 1 and unit[0].wire.decode is None and unit[0].octets in _STRUCT
                    for unit in self.units)
        return tuple(field.attr for field in self.fields) if plain else ()

    def unpack(self, buffer: bytes | bytearray | memoryview, at: int) -> dict[str, Any]:
        """Return the scalar values of all fields at `at`."""
        items = self.struct.unpack_from(buffer, at)
        if self.simple:
            return dict(zip(self.simple, items, strict=True))
        values: dict[str, Any] = {}
        for attr, index, shift, mask, decode, octets in self.decoders:
            item = items[index]
            number = (int.from_bytes(item, "big") if octets else item) >> shift & mask
            values[attr] = number if decode is None else decode(number)
        return values

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """Return the octets of scalar values that fit."""
        items: list[int | bytes] = []
        for unit in self.units:
            number = 0
            for field in unit:
                number |= int(values[field.attr]) << field.shift
            size = unit[0].octets
            items.append(number if size in _STRUCT else number.to_bytes(size, "big"))
        return self.struct.pack(*items)


@dataclass(frozen=True, slots=True)
class Auto:
    """A default that stacking replaces unless the field was given."""

    value: Any = 0


REQUIRED: Any = object()


def auto(value: Any = 0) -> Any:
    """Declare a field that stacking fills (a length, a checksum, a type) unless it is given."""
    return Auto(value)


class Packed:
    """A writable column whose bits share octets with others, or fill an odd number of octets."""

    def __init__(self, rows: NDArray[np.uint8], at: int, span: Span) -> None:
        self.span = span
        self._words = [
            (rows[:, at + offset : at + offset + size].view(f">u{size}")[:, 0], shift)
            for offset, size, shift in span.parts()
        ]
        self.dtype = span.native

    def __len__(self) -> int:
        return len(self._words[0][0])

    def __getitem__(self, key: Any) -> Any:
        whole: Any = 0
        for word, shift in self._words:
            whole = whole | (np.asarray(word[key]).astype(np.uint64) << np.uint64(shift))
        value = (whole >> np.uint64(self.span.shift)) & np.uint64(self.span.mask)
        return value.astype(self.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        placed = np.asarray(value).astype(np.uint64) & np.uint64(self.span.mask)
        placed = placed << np.uint64(self.span.shift)
        taken = self.span.mask << self.span.shift
        for word, shift in self._words:
            full = (1 << word.dtype.itemsize * 8) - 1
            keep = full & ~(taken >> shift)
            new = (placed >> np.uint64(shift)) & np.uint64(full)
            word[key] = new if not keep else (word[key] & word.dtype.type(keep)) | new

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)
