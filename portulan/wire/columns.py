"""Fields of whole batches: one masked value a packet, the first where a header comes twice.

Fields of the fixed headers below and beside TCP and UDP are gathered as columns. What lies deeper
(names in DNS, tunnels, damaged packets) is dissected row by row, only where it can be.

>>> from portulan.wire import IPv4, TCP, UDP, Frames
>>> frames = Frames.of([(IPv4(dst="10.9.0.2") / each).pack() for each in (TCP(dport=80), UDP())],
...                    link_type=101)
>>> found = columns(frames, ["ip.dst", "tcp.dport"])
>>> found["tcp.dport"].tolist(), text("ip.dst", found["ip.dst"][0])
([80, None], '10.9.0.2')
"""

# ruff: noqa: ANN401 - columns hold what their fields are: numbers, texts, lists.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.address import Address, Ip6
from portulan.wire.dissect import Dissection, dissect
from portulan.wire.ethernet import LENGTH_MAX, EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import (
    ANYWHERE,
    BY_ETHERTYPE,
    BY_LINK,
    BY_PORT,
    BY_PROTOCOL,
    Columns,
    Header,
    fields,
    headers,
    octets_at,
    told_fields,
)
from portulan.wire.inside import Told
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import Field
from portulan.wire.locate import Defect, Located, locate
from portulan.wire.protocols import protocols

Masked: TypeAlias = "np.ma.MaskedArray[Any, Any]"
Index: TypeAlias = NDArray[np.int64]

_FRAME = {
    "frame.number": Told("place in its capture, from 1", int),
    "frame.time_ns": Told("when it passed, in Unix time", int, "ns"),
    "frame.length": Told("octets on the wire", int, "bytes"),
    "frame.captured": Told("octets that were kept", int, "bytes"),
    "frame.protocols": Told("names of its headers, outermost first"),
    "frame.defect": Told("what its headers promise and its octets do not hold"),
    "frame.interface": Told("name of the interface it passed, from its capture"),
    "frame.comment": Told("what a person wrote about it, from its capture"),
}
FROM_CAPTURE = ("frame.interface", "frame.comment")
"""Fields that captures know and frames alone do not: missing here, filled in by `drive`."""
SLOTS_BITS = 15
"""32,768 IPv6 addresses are kept as objects between batches: some 4 MiB."""
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
"""Multipliers that spread an address's halves over the slots."""
_TAGS = (EtherType.VLAN, EtherType.SERVICE_VLAN, 0x9100)
_TUNNELS = (
    IpProtocol.IPV4, IpProtocol.IPV6, 47, IpProtocol.AH, 137,
    IpProtocol.HOPOPT, IpProtocol.ROUTING, IpProtocol.FRAGMENT, IpProtocol.DESTINATION,
)
"""Protocols behind which lower headers may come; IPv6's extensions also where they don't belong."""
_FIXED = {
    "tcp": IpProtocol.TCP, "udp": IpProtocol.UDP, "icmp": IpProtocol.ICMP,
    "icmpv6": IpProtocol.ICMPV6,
}
_LED_BY = {"dns": "dns_tcp", "nd": "icmpv6", "ppp": "pppoe", "snap": "llc", "stp": "llc",
           "tls": "quic"}
"""Headers that come behind one other only, or also."""
_LEAVES = (EtherType.ARP, 0x88CC)
"""Ethertypes behind which no other header of ours can come."""


def known_fields() -> dict[str, Field | Told]:
    """Return every field that a column may be made of, by name."""
    return {**_FRAME, **fields(), **told_fields()}


def _known(name: str) -> Field | Told | None:
    """Return a field by its name; of whole batches asked often, so nothing is listed for it."""
    if name in _FRAME:
        return _FRAME[name]
    layer, _, attr = name.partition(".")
    header = headers().get(layer)
    return (header.layout.by_name.get(attr) or header.told.get(attr)) if header else None


def check_names(names: Iterable[str]) -> None:
    """Raise `UsageError` for the first name that is no field."""
    for name in names:
        if _known(name) is None:
            known = known_fields()
            near = get_close_matches(name, known, 3) or sorted(
                each for each in known if each.startswith(f"{name.split('.', 1)[0]}."))
            hint = f"near: {', '.join(near[:12])}" if near else f"such as {', '.join(_FRAME)}"
            raise UsageError("no such field", text=name, hint=hint)


def columns(frames: Frames, names: Sequence[str], *, first: int = 1) -> dict[str, Masked]:
    """Return one masked array a name, one value a frame; `first` numbers the first frame.

    Numbers are unsigned integers, IPv6 addresses `Ip6` objects, texts and lists objects.
    Raises `UsageError` for a name that is no field.
    """
    check_names(names)
    batch = _Batch(frames, np.arange(first, first + len(frames), dtype=np.int64))
    return {name: batch.column(name) for name in names}


def numbered(frames: Frames, names: Sequence[str], numbers: Index) -> dict[str, Masked]:
    """Return columns of frames that have numbers of their own, as those a filter left."""
    check_names(names)
    batch = _Batch(frames, numbers)
    return {name: batch.column(name) for name in names}


def text(name: str, value: Any) -> str | int | list[Any] | None:
    """Return a column's value as JSON has it: addresses as text, flags as numbers."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str | list | Address):
        return plain(value)
    decode = decoder(name)
    return int(value) if decode is None else plain(decode(int(value)))


def texts(name: str, column: Masked) -> list[Any]:
    """Return a whole column as JSON has it, None where a packet has no such field."""
    decode = decoder(name)
    mask = np.ma.getmaskarray(column)
    there: list[Any] = column.data[~mask].tolist()
    if decode is not None:
        # Few addresses come in many packets: each is written out once.
        written = {value: plain(decode(value)) for value in set(there)}
        there = [written[value] for value in there]
    if len(there) == len(mask):
        return there
    found: list[Any] = [None] * len(mask)
    for row, value in zip(np.flatnonzero(~mask).tolist(), there, strict=True):
        found[row] = value
    return found


def decoder(name: str) -> Callable[[int], Any] | None:
    """Return what makes a column's numbers addresses or flags; None if they are numbers."""
    layer, _, attr = name.partition(".")
    header = headers().get(layer)
    field = header.layout.by_name.get(attr) if header else None
    return field.wire.decode if field else None


def plain(value: Any) -> str | int | list[Any]:
    """Return a scalar as JSON has it: addresses as text, flags as numbers."""
    if isinstance(value, str | list):
        return value
    return str(value) if isinstance(value, Address) else int(value)


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the type of a column's values."""
    known = _known(name)
    if known is None:
        raise KeyError(name)
    if isinstance(known, Told):
        return np.dtype(np.int64 if known.kind is int else object)
    return np.dtype(object) if known.bits > 64 else known.spans[0].native


class _Gathered(NamedTuple):
    """One header of many rows, and the rows that must be dissected for it."""

    rows: Index
    columns: Columns
    rest: Index


@dataclass
class _Batch:
    """What several columns of one batch share."""

    frames: Frames
    numbers: Index
    _dissected: dict[int, Dissection] = field(default_factory=dict)
    _gathered: dict[str, _Gathered | None] = field(default_factory=dict)
    """By header: several fields of one are asked for more often than not."""

    @cached_property
    def located(self) -> Located:
        return locate(self.frames)

    @cached_property
    def doubtful(self) -> NDArray[np.bool_]:
        """Rows that only a dissection can tell about: damaged ones and tunnels."""
        at = self.located
        deep = at.ethertype <= LENGTH_MAX
        deep |= _among(at.ethertype, set(BY_ETHERTYPE) - set(_LEAVES))
        not_ip = at.defect == Defect.NOT_IP
        if self.frames.link_type not in (LinkType.ETHERNET, LinkType.LINUX_SLL,
                                         LinkType.LINUX_SLL2):
            deep |= True
        tunnel = _among(at.protocol, _TUNNELS) & (at.family != 0)
        damaged = (at.defect != Defect.NONE) & ~not_ip
        found: NDArray[np.bool_] = damaged | (not_ip & deep) | tunnel | self._tunnel_ports()
        return found

    def _tunnel_ports(self) -> NDArray[np.bool_]:
        return self._on_ports(port for (_, port), header in BY_PORT.items() if header.tunnel)

    def _on_ports(self, ports: Iterable[int]) -> NDArray[np.bool_]:
        """Return the rows of TCP and UDP that come from or go to one of some ports."""
        rows, pairs = self._ports
        found = np.zeros(len(self.frames), np.bool_)
        found[rows] = _among(pairs, ports).any(axis=1)
        return found

    @cached_property
    def _ports(self) -> tuple[Index, NDArray[np.uint16]]:
        """Return the rows of TCP and UDP, and their two ports."""
        located = self.located
        rows = np.concatenate([located.of(IpProtocol.TCP), located.of(IpProtocol.UDP)])
        octets = octets_at(self.frames.buffer, located.transport_offset[rows], 4)
        return rows, octets.view(">u2").astype(np.uint16)

    def column(self, name: str) -> Masked:
        """Return a column by its name."""
        layer, _, attr = name.partition(".")
        if layer == "frame":
            return self._frame(name)
        header = headers()[layer]
        if attr in header.layout.by_name:
            if layer not in self._gathered:
                self._gathered[layer] = self._gather(header)
            gathered = self._gathered[layer]
            if gathered is not None:
                return self._fixed(header.layout.by_name[attr], gathered)
        return self._told(name, self._candidates(header))

    def _frame(self, name: str) -> Masked:
        frames = self.frames
        simple = {
            "frame.number": self.numbers, "frame.time_ns": frames.time_ns,
            "frame.length": frames.wire_length, "frame.captured": frames.length,
        }
        if name in simple:
            return np.ma.masked_array(simple[name], np.zeros(len(frames), np.bool_))
        if name in FROM_CAPTURE:
            return _objects([""] * len(frames), [True] * len(frames))
        attr = name.partition(".")[2]
        if attr == "protocols":
            found = protocols(frames)
            return np.ma.masked_array(found, found == "")
        values = [getattr(self._dissect(row), attr) for row in range(len(frames))]
        return _objects(values, [not value for value in values])

    def _places(self, layer: str) -> tuple[Index, Index, Index] | None:
        """Return (rows that have a header, where, rows to be dissected); None if all must be."""
        frames, kind = self.frames, self.frames.link_type
        first = BY_LINK.get(kind)
        if first is not None and first.layer == layer and layer not in ("ip", "ip6"):
            rows = np.flatnonzero(frames.length >= first.size)
            return rows, frames.offset[rows], np.empty(0, np.int64)
        if layer == "vlan" and kind == LinkType.ETHERNET:
            return self._tagged()
        at, network = self.located, self.located.network_offset
        sound = at.defect == Defect.NONE
        if layer in ("ip", "ip6"):
            there = sound & (at.family == (4 if layer == "ip" else 6))
            where = network
        elif layer == "arp":
            end = frames.offset + frames.length
            there = (at.ethertype == EtherType.ARP) & (network + 28 <= end)
            there &= at.defect == Defect.NOT_IP
            where = network
        elif layer in _FIXED:
            there = np.zeros(len(frames), np.bool_)
            there[at.of(_FIXED[layer])] = True
            where = at.transport_offset
        else:
            return None
        rows = np.flatnonzero(there)
        return rows, where[rows], np.flatnonzero(self.doubtful & ~there)

    def _tagged(self) -> tuple[Index, Index, Index]:
        """Return the rows whose first header behind Ethernet is a tag; deeper ones are doubtful."""
        frames = self.frames
        long = np.flatnonzero(frames.length >= 18)
        start = frames.offset[long] + 12
        ethertype = frames.buffer[start].astype(np.int64) << 8 | frames.buffer[start + 1]
        tagged = np.isin(ethertype, _TAGS)
        rows = long[tagged]
        rest = self.doubtful.copy()
        rest[rows] = False
        return rows, frames.offset[rows] + 14, np.flatnonzero(rest)

    def _gather(self, header: type[Header]) -> _Gathered | None:
        places = self._places(header.layer)
        if places is None:
            return None
        rows, where, rest = places
        return _Gathered(rows, header.gather(self.frames.buffer, where), rest)

    def _fixed(self, known: Field, gathered: _Gathered) -> Masked:
        rows = gathered.rows
        values = np.zeros(len(self.frames), dtype_of(known.name))
        mask = np.ones(len(self.frames), np.bool_)
        if len(rows):
            attr = known.name.partition(".")[2]
            if known.bits > 64:
                hi, lo = (getattr(gathered.columns, f"{attr}_{half}") for half in ("hi", "lo"))
                values[rows] = _joined_addresses(hi, lo)
            else:
                values[rows] = getattr(gathered.columns, attr)
            mask[rows] = False
        self._fill(known.name, gathered.rest, values, mask)
        return np.ma.masked_array(values, mask)

    def _candidates(self, header: type[Header]) -> Index:
        """Return the rows that may hold a header of which only a dissection can tell."""
        return np.flatnonzero(self._may(header))

    def _may(self, header: type[Header]) -> NDArray[np.bool_]:
        at = self.located
        may = self.doubtful.copy()
        ports = [port for (_, port), each in BY_PORT.items() if each is header]
        protocols = [number for number, each in BY_PROTOCOL.items() if each is header]
        ethertypes = [number for number, each in BY_ETHERTYPE.items() if each is header]
        leader = headers().get(_LED_BY.get(header.layer, ""))
        linked = BY_LINK.get(self.frames.link_type) is header
        if linked or not (ports or protocols or ethertypes or leader or header in ANYWHERE):
            may |= True  # a user's header may stand behind any other of theirs
        may |= self._on_ports(ports)
        may |= _among(at.protocol, protocols) | _among(at.ethertype, ethertypes)
        if header in ANYWHERE:
            may |= (at.protocol == IpProtocol.TCP) & (at.payload_offset < at.payload_end)
        if protocols:
            may |= at.family == 6  # extension headers are passed by `locate`
        return may | self._may(leader) if leader else may

    def _told(self, name: str, rows: Index) -> Masked:
        values = np.zeros(len(self.frames), dtype_of(name))
        mask = np.ones(len(self.frames), np.bool_)
        self._fill(name, rows, values, mask)
        return np.ma.masked_array(values, mask)

    def _fill(
        self, name: str, rows: Index, values: NDArray[Any], mask: NDArray[np.bool_]
    ) -> None:
        """Put what a dissection of rows finds into a column."""
        for row in rows.tolist():
            value: Any = self._dissect(row).get(name)
            if value is not None:
                values[row] = value
                mask[row] = False

    def _dissect(self, row: int) -> Dissection:
        found = self._dissected.get(row)
        if found is None:
            found = self._dissected[row] = dissect(self.frames[row], self.frames.link_type)
        return found


def _among(values: NDArray[Any], wanted: Iterable[int]) -> NDArray[np.bool_]:
    """Return which of many octets or pairs of them are wanted, in a quarter of `np.isin`'s time."""
    chosen = np.zeros(1 << 8 * values.itemsize, np.bool_)
    chosen[[number for number in wanted if number < len(chosen)]] = True
    found: NDArray[np.bool_] = chosen[values]
    return found


class _Joined:
    """IPv6 addresses as objects, each made once: they come in many packets, and in many batches.

    A slot for each hash of an address keeps the last one that had it. Who uses it takes it out of
    `_JOINED` meanwhile: a slot is three arrays, which are not written at once.
    """

    def __init__(self) -> None:
        self._high, self._low = np.zeros((2, 1 << SLOTS_BITS), np.uint64)
        self._made = np.empty(1 << SLOTS_BITS, object)
        self._made.fill(Ip6(0))  # `np.full` would make a plain 0 of it

    def addresses(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[Any]:
        """Return the objects of addresses given by their halves."""
        slot = (high * _ODD[0] + low * _ODD[1]) >> np.uint64(64 - SLOTS_BITS)
        found: NDArray[Any] = self._made[slot]
        for row in np.flatnonzero((self._high[slot] != high) | (self._low[slot] != low)).tolist():
            at, upper, lower = int(slot[row]), int(high[row]), int(low[row])
            if self._high[at] != upper or self._low[at] != lower:  # not by a row before
                self._high[at], self._low[at] = upper, lower
                self._made[at] = Ip6.join(upper, lower)
            found[row] = self._made[at]
        return found


_JOINED = [_Joined()]
"""Those that nobody uses now; a list's own `pop` and `append` are safe between threads."""


def _joined_addresses(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[Any]:
    try:
        joined = _JOINED.pop()
    except IndexError:
        joined = _Joined()
    try:
        return joined.addresses(high, low)
    finally:
        _JOINED.append(joined)


def _objects(values: list[Any], mask: list[bool]) -> Masked:
    found = np.empty(len(values), object)
    found[:] = values
    return np.ma.masked_array(found, np.array(mask, np.bool_))
