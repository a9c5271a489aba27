"""A protocol header is written once, as a class body of annotated fields.

    class UDP(Header, protocol=17):
        '''UDP (RFC 768).

        sport: port of the sender
        length: header and payload [bytes]
        '''

        sport: u16 = 0
        dport: u16 = 0
        length: u16 = auto()
        checksum: u16 = auto()

From that body alone derive: the frozen scalar (`UDP.parse(buf, at)`, `.pack()`), `UDP.size`,
`UDP.dtype`, writable columns over fixed slots (`UDP.view(rows, at)`), columns copied out of ragged
frames (`UDP.gather(buffer, offsets)`), and the registry entries `udp.sport`, ... (`fields()`).
Field types are in `layout`; the sentences are the docstring's `name: text [unit]` lines.

`protocol=`, `ethertype=`, `link=`, `udp=` and `tcp=` say by which numbers the header is announced
below it, `anywhere=True` that it knows its own octets on any TCP port, `name=` what the registry
calls it (`IPv4` is `ip`, as filters say). What lies behind its fixed octets a header tells in
`inside`; fields that only exist there are declared as `Told` values.
A field may hold a set of values (`dport=(1, 100)`), see `craft_set`.
Stacking (`IPv4(dst=...) / UDP() / b"..."`) makes a `Packet`, which fills what was not given.
"""

# ruff: noqa: ANN401 - fields hold what their types decode to: the one place for Any.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, get_annotations
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, dataclass_transform, get_type_hints

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError, WireError
from portulan.wire import layout as _layout
from portulan.wire.craft_set import Many, is_set
from portulan.wire.frames import Frames
from portulan.wire.inside import Inside, Told
from portulan.wire.layout import REQUIRED, Field, Layout, Packed, Wire

Buffer: TypeAlias = bytes | bytearray | memoryview
_Layer = TypeVar("_Layer", bound="Header")

_NO_SETS: Mapping[str, Many] = {}
_HEADERS: dict[str, type[Header]] = {}
BY_PROTOCOL: dict[int, type[Header]] = {}
BY_ETHERTYPE: dict[int, type[Header]] = {}
BY_LINK: dict[int, type[Header]] = {}
BY_PORT: dict[tuple[int, int], type[Header]] = {}
"""By (IP protocol, port)."""
ANYWHERE: list[type[Header]] = []

Numbers: TypeAlias = int | tuple[int, ...] | None
_TCP, _UDP = 6, 17


class View:
    """Writable columns over fixed slots; reading one costs no copy unless its bits are shared."""

    def __init__(self, layout: Layout, rows: NDArray[np.uint8], at: int) -> None:
        if rows.ndim != 2 or at < 0 or rows.shape[1] < at + layout.size:
            raise ValueError(f"{layout.header} at {at} does not fit rows of shape {rows.shape}")
        self._layout, self._rows, self._at = layout, rows, at

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._layout.spans:
            raise AttributeError(f"{self._layout.header} has no column {name!r}")
        span = self._layout.spans[name]
        column: Any = Packed(self._rows, self._at, span)
        if span.plain:
            start = self._at + span.offset
            column = self._rows[:, start : start + span.octets].view(f">u{span.octets}")[:, 0]
        self.__dict__[name] = column
        return column

    def __dir__(self) -> list[str]:
        return [*self._layout.spans]


class Columns:
    """Columns copied out of frames: native byte order, contiguous, made when first asked for."""

    def __init__(self, layout: Layout, rows: NDArray[np.uint8]) -> None:
        self._view = View(layout, rows, 0)

    def __getattr__(self, name: str) -> NDArray[Any]:
        source = getattr(self._view, name)
        column: NDArray[Any] = source[:].astype(source.dtype.newbyteorder("="), copy=False)
        self.__dict__[name] = column
        return column

    def __dir__(self) -> list[str]:
        return dir(self._view)


class _Signature:
    """What `inspect.signature` and tab completion see: the fields, each by its keyword."""

    def __get__(self, header: object, kind: type[Header]) -> Signature | None:
        known = getattr(kind, "layout", None)
        return known and Signature([
            Parameter(name, Parameter.KEYWORD_ONLY, default=Parameter.empty
                      if field.default is REQUIRED else field.default)
            for name, field in known.by_name.items()])


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Header:
    """A header's scalar value; subclasses declare its fields."""

    __signature__: ClassVar[Any] = _Signature()
    layer: ClassVar[str]
    layout: ClassVar[Layout]
    size: ClassVar[int]
    dtype: ClassVar[np.dtype[Any]]
    told: ClassVar[Mapping[str, Told]]
    tunnel: ClassVar[bool] = False
    """Whether headers of lower layers may follow on its ports."""
    protocol_number: ClassVar[int | None]
    ethertype_number: ClassVar[int | None]

    def __init_subclass__(
        cls, *, name: str = "", protocol: Numbers = None, ethertype: Numbers = None,
        link: Numbers = None, udp: Numbers = None, tcp: Numbers = None, anywhere: bool = False,
    ) -> None:
        cls.layer = name or cls.__name__.lower()
        cls.told = {key: each for key, each in vars(cls).items() if isinstance(each, Told)}
        wires = _declared(cls)
        defaults = {key: cls.__dict__[key] for key in wires if key in cls.__dict__}
        for key in defaults:
            delattr(cls, key)
        cls.layout = Layout.of(cls.layer, wires, defaults=defaults, doc=cls.__doc__ or "")
        cls.size, cls.dtype = cls.layout.size, cls.layout.dtype
        protocols, ethertypes = _numbers(protocol), _numbers(ethertype)
        cls.protocol_number = protocols[0] if protocols else None
        cls.ethertype_number = ethertypes[0] if ethertypes else None
        _HEADERS[cls.layer] = cls
        BY_PROTOCOL.update(dict.fromkeys(protocols, cls))
        BY_ETHERTYPE.update(dict.fromkeys(ethertypes, cls))
        BY_LINK.update(dict.fromkeys(_numbers(link), cls))
        BY_PORT.update({(_UDP, port): cls for port in _numbers(udp)})
        BY_PORT.update({(_TCP, port): cls for port in _numbers(tcp)})
        if anywhere:
            ANYWHERE.append(cls)

    def __init__(self, **given: Any) -> None:
        values, known = self.__dict__, self.layout.by_name
        for name, field in known.items():
            value = given.get(name, field.default)
            if value is REQUIRED:
                raise TypeError(f"{type(self).__name__} needs {name}")
            if is_set(value):
                many = Many.of(field, value)
                values["_sets"] = {**self.sets, name: many}
                value = many.first
            values[name] = field.value(value)
        if unknown := given.keys() - known.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        values["_given"] = frozenset(given)

    @classmethod
    def parse(cls, buffer: Buffer, at: int = 0) -> Self:
        """Return the header that starts at byte `at`; raises `WireError` if it is cut short."""
        have = len(buffer) - at
        if at < 0 or have < cls.size:
            raise WireError(
                "cut short", layer=cls.layer, offset=at, need=cls.size, have=max(have, 0))
        self = object.__new__(cls)
        self.__dict__.update(cls.layout.unpack(buffer, at))
        self.__dict__["_given"] = frozenset(cls.layout.by_name)
        return self

    def pack(self) -> bytes:
        """Return the header's octets exactly as its values say; nothing is filled in.

        Raises `UsageError` if a field holds a set of values: `craft.build` makes its frames.
        """
        if self.sets:
            raise UsageError("several packets have no one form", where=self.layer,
                             text=", ".join(self.sets), hint="craft.build makes their frames")
        return self.layout.pack(self.__dict__)

    @classmethod
    def view(cls, rows: NDArray[np.uint8], at: int = 0) -> View:
        """Return writable columns over slots `rows` (n, octets), header at byte `at` of each."""
        return View(cls.layout, rows, at)

    @classmethod
    def gather(cls, buffer: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Columns:
        """Return columns copied from byte `offsets` of a flat buffer.

        Every header must lie inside the buffer: check with `fits` first.
        """
        return Columns(cls.layout, octets_at(buffer, offsets, cls.size))

    @classmethod
    def fits(cls, frames: Frames, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which frames hold the whole header at `offsets`, counted in the buffer."""
        end = frames.offset + frames.length
        return (offsets >= frames.offset) & (offsets + cls.size <= end)

    def replace(self, **changes: Any) -> Self:
        """Return the header with some fields changed; changed ones count as given."""
        new = type(self)(**{**self._values(), **self.sets, **changes})
        new.__dict__["_given"] = self._given | changes.keys()
        return new

    __replace__ = replace

    def filled(self, **values: Any) -> Self:
        """Return the header with those of `values` set that were not given; now they are."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__["_given"] = self._given | values.keys()
        for name, value in values.items():
            if name not in self._given:
                new.__dict__[name] = self.layout.by_name[name].value(value)
        return new

    def fill(self, place: Place) -> Self:
        """Return the header as it stands in a packet; those that count or sum override this."""
        return self

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether octets behind a port of this header look like it."""
        return True

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what lies behind this header, parsed from byte `at`; all ends before `end`.

        Octets may be anything: what cannot be read is a defect, and loops are bounded.
        """
        return Inside(at + self.size, end)

    @property
    def sets(self) -> Mapping[str, Many]:
        """The fields that hold several values each."""
        sets: Mapping[str, Many] = self.__dict__.get("_sets", _NO_SETS)
        return sets

    def is_given(self, name: str) -> bool:
        """Say whether a field's value was chosen, not left to its default."""
        return name in self._given

    @property
    def _given(self) -> frozenset[str]:
        given: frozenset[str] = self.__dict__["_given"]
        return given

    def _values(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.layout.by_name}

    def __truediv__(self, other: Header | Packet | Buffer) -> Packet:
        return Packet((self,)) / other

    def __bytes__(self) -> bytes:
        return self.pack()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __eq__(self, other: object) -> bool:
        return (type(other) is type(self) and self._values() == other._values()
                and self.sets == other.sets)

    def __hash__(self) -> int:
        return hash((type(self), *self._values().values()))

    def __repr__(self) -> str:
        values = {**self._values(), **self.sets}
        body = ", ".join(f"{name}={value!r}" for name, value in values.items())
        return f"{type(self).__name__}({body})"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a header stands in a packet that is being filled.

    `body` is everything after it, its `options` included; `inner` is the header right after it,
    already filled; `outer` are those before it, nearest first, not filled yet.
    """

    body: bytes
    options: bytes = b""
    inner: Header | None = None
    outer: tuple[Header, ...] = ()


class Options(bytes):
    """A header's options, padded to the header's unit: a layer right behind their header."""

    def __truediv__(self, other: Header | Packet | Buffer) -> Packet:
        return Packet((self,)) / other


class Packet:
    """Headers, options and payload in wire order; `pack()` fills what was not given."""

    __slots__ = ("layers",)

    def __init__(self, layers: tuple[Header | bytes, ...]) -> None:
        self.layers = layers

    def __truediv__(self, other: Header | Packet | Buffer) -> Packet:
        if isinstance(other, Packet):
            return Packet(self.layers + other.layers)
        return Packet((*self.layers, other if isinstance(other, (Header, bytes)) else bytes(other)))

    def __getitem__(self, kind: type[_Layer]) -> _Layer:
        """Return the first layer of a kind; raises `KeyError` if there is none."""
        for layer in self.layers:
            if isinstance(layer, kind):
                return layer
        raise KeyError(kind.__name__)

    def __getattr__(self, name: str) -> Header:
        """Return the first header by its name in the registry: `packet.tcp`."""
        for layer in () if name.startswith("_") else self.layers:
            if isinstance(layer, Header) and layer.layer == name:
                return layer
        raise AttributeError(f"packet has no header {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(x.layer for x in self.layers if isinstance(x, Header))]

    def __contains__(self, kind: type[Header]) -> bool:
        return any(isinstance(layer, kind) for layer in self.layers)

    def filled(self) -> Packet:
        """Return the packet with lengths, checksums and type fields computed, innermost first."""
        return Packet(tuple(layer for layer, _ in self._filled()))

    def pack(self) -> bytes:
        """Return the packet's octets."""
        return b"".join(octets for _, octets in self._filled())

    def _filled(self) -> list[tuple[Header | bytes, bytes]]:
        done: list[tuple[Header | bytes, bytes]] = []
        body, inner = b"", None
        for index in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[index]
            octets = bytes(layer)
            if isinstance(layer, Header):
                after = self.layers[index + 1] if index + 1 < len(self.layers) else b""
                options = bytes(after) if isinstance(after, Options) else b""
                layer = layer.fill(Place(body, options, inner, self._outer(index)))
                inner, octets = layer, layer.pack()
            elif octets and not isinstance(layer, Options):
                inner = None
            done.append((layer, octets))
            body = octets + body
        return done[::-1]

    def _outer(self, index: int) -> tuple[Header, ...]:
        above = reversed(self.layers[:index])
        return tuple(layer for layer in above if isinstance(layer, Header))

    def __bytes__(self) -> bytes:
        return self.pack()

    def __len__(self) -> int:
        return len(self.pack())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and self.pack() == other.pack()

    def __hash__(self) -> int:
        return hash(self.pack())

    def __repr__(self) -> str:
        return " / ".join(repr(layer) for layer in self.layers)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from portulan.wire.shown import packet_text

        printer.text(packet_text(self))

    def _repr_html_(self) -> str:
        from portulan.wire.shown import packet_html

        return packet_html(self)


def _numbers(given: Numbers) -> tuple[int, ...]:
    if given is None:
        return ()
    return given if isinstance(given, tuple) else (given,)


def port_of(protocol: int, inner: Header | None) -> dict[str, int]:
    """Return the port that announces a header, as the field to fill; nothing if none does."""
    for (carrier, port), kind in BY_PORT.items():
        if carrier == protocol and type(inner) is kind:
            return {"dport": port}
    return {}


def on_ports(
    protocol: int, ports: tuple[int, int], octets: bytes, at: int, end: int
) -> type[Header] | None:
    """Return the header that a payload between two ports begins with, if one claims it.

    The receiver's port is asked first: it is the service's when a question is asked.
    """
    if at >= end:
        return None
    for port in reversed(ports):
        header = BY_PORT.get((protocol, port))
        if header is not None and header.claims(octets, at, end):
            return header
    if protocol == _TCP:
        return next((each for each in ANYWHERE if each.claims(octets, at, end)), None)
    return None


def _declared(cls: type[Header]) -> dict[str, Wire]:
    own = get_annotations(cls)
    if taken := [name for name in own if hasattr(Header, name) or name.startswith("_")]:
        raise TypeError(f"{cls.__name__}: {', '.join(taken)} cannot be field names")
    # A class made inside a function finds the field types even if it imported them there.
    hints = get_type_hints(cls, localns=dict(vars(_layout)), include_extras=True)
    wires = {
        name: item for name in own for item in getattr(hints[name], "__metadata__", ())
        if isinstance(item, Wire)
    }
    if not wires and not cls.told:
        raise TypeError(f"{cls.__name__} declares no wire field")
    return wires


def octets_at(
    buffer: NDArray[np.uint8], offsets: NDArray[np.int64], count: int
) -> NDArray[np.uint8]:
    """Return `count` octets from each of `offsets` of a flat buffer, as a copied (n, count) array.

    One void item a row lets NumPy move whole rows: 5 ns each, against 20-30 ns for a fancy
    index of single octets.
    """
    if not len(offsets) or not count:
        return np.empty((len(offsets), count), np.uint8)
    if len(buffer) < count:
        raise IndexError(f"a buffer of {len(buffer)} bytes holds no {count} octets")
    windows = np.ndarray((len(buffer) - count + 1,), f"V{count}", _flat(buffer), strides=(1,))
    return windows[offsets].view(np.uint8).reshape(len(offsets), count)


def _flat(buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return buffer if buffer.flags.c_contiguous else np.ascontiguousarray(buffer)


def headers() -> Mapping[str, type[Header]]:
    """Return every declared header by layer name, those of the user included."""
    return dict(_HEADERS)


def fields() -> dict[str, Field]:
    """Return every field of every header by its full name (`tcp.dport`)."""
    found: Iterator[Field] = (f for header in _HEADERS.values() for f in header.layout.fields)
    return {field.name: field for field in found}


def told_fields() -> dict[str, Told]:
    """Return what headers tell beyond their fixed octets, by full name (`dns.qname`)."""
    return {
        f"{header.layer}.{name}": told
        for header in _HEADERS.values() for name, told in header.told.items()
    }


def find_field(name: str) -> Field:
    """Return the field of a full name; raises `UsageError` naming near ones."""
    known = fields()
    if name in known:
        return known[name]
    prefix = name.split(".", 1)[0]
    near = sorted(known_name for known_name in known if known_name.startswith(f"{prefix}."))
    hint = f"known: {', '.join(near)}" if near else f"headers: {', '.join(sorted(_HEADERS))}"
    raise UsageError("no such field", text=name, hint=hint)
