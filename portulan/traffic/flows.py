"""Flows: who talked to whom, how much each way, from when to when.

A flow is the packets of one (VLAN, protocol, two endpoints), both directions; forward is who sent
the first of them. A SYN of another number after a FIN or RST begins a new one: the port is used
again. Silence ends a flow only if asked for. Batches may be cut anywhere: the table is the same.

>>> from portulan.wire import IPv4, TCP, Frames
>>> there = IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=40000, dport=80)
>>> table = FlowTable()
>>> table.add(Frames.of([there.pack()], link_type=101)).tolist()
[0]
>>> [(flow.src, flow.dport, flow.packets_fwd) for flow in table.flows()]
[('10.9.0.1', 80, 1)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import starmap
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.fragments import Fragments
from portulan.traffic.keys import KEY_WORDS, Index, Keys, Words, keys
from portulan.traffic.lookup import Lookup, mixed
from portulan.traffic.parcel import Parcel, Part
from portulan.traffic.rows import Blank, Rows
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol

ORDERS: Final = ("bytes", "packets", "duration")
"""What `top` can rank by."""
ADDRESSES_KEPT: Final = 65_536
"""Addresses whose text is kept: few talk, each in many flows."""
TOLD_AT_ONCE: Final = 8_192
"""Flows that are Python objects at the same time."""
TICKS: Final = 8
"""How often, while a flow grows too old, silent flows are looked for: memory is an eighth more."""

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_GOES_ON, _ANEW = 1, 2
"""How a run of packets begins: with a flow that may be known, or with a new one."""
_NAMES: Final = {int(IpProtocol.TCP): "tcp", int(IpProtocol.UDP): "udp"}


@dataclass(frozen=True, slots=True)
class Idle:
    """After how much silence a packet begins a new flow; the defaults are Zeek's."""

    tcp_ns: int = 300_000_000_000
    other_ns: int = 60_000_000_000

    @classmethod
    def after(cls, seconds: float) -> Idle:
        """Return one limit for all."""
        return cls(int(seconds * 1e9), int(seconds * 1e9))


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow as people see it; `bytes` are lengths on the wire.

    What a table was not made to know, or no packet told, is None.
    """

    src: str
    dst: str
    sport: int
    dport: int
    protocol: str | int
    """`tcp`, `udp`, or the number of another."""
    packets_fwd: int
    packets_rev: int
    bytes_fwd: int
    bytes_rev: int
    start_ns: int
    end_ns: int
    application: str | None = None
    sni: str | None = None
    alpn: str | None = None
    ja3: str | None = None
    ja4: str | None = None
    state: str | None = None
    """As Zeek's conn_state: S0, S1, SF, REJ, RSTO, ..."""
    history: str | None = None
    """As Zeek's: what happened, in order of the first time; capitals are the forward side's."""
    payload_fwd: int | None = None
    payload_rev: int | None = None
    rtt_ns: int | None = None
    """From SYN to the ACK that ends the handshake."""
    rtt_server_ns: int | None = None
    """From SYN to SYN-ACK: between here and the server."""
    rtt_client_ns: int | None = None
    """From SYN-ACK to ACK: between here and the client."""
    ack_rtt_fwd_ns: int | None = None
    """Mean time until the forward side's data were confirmed."""
    ack_rtt_rev_ns: int | None = None
    retransmissions_fwd: int | None = None
    retransmissions_rev: int | None = None
    out_of_order_fwd: int | None = None
    out_of_order_rev: int | None = None
    zero_windows_fwd: int | None = None
    zero_windows_rev: int | None = None

    def told(self) -> dict[str, Any]:
        """Return what is known, by name."""
        values = zip(NAMES, _values(self), strict=True)
        return {name: value for name, value in values if value is not None}


NAMES: Final = tuple(field.name for field in fields(Flow))
BASE: Final = NAMES[:11]
"""What every table knows of a flow."""
_values = attrgetter(*NAMES)


class FlowTable:
    """Flows in order of their first packet; memory grows with their number alone.

    `parts` know more of each flow. With `idle` flows that ended are given out by `take_ended`,
    and forgotten: memory is that of the flows that go on.
    """

    def __init__(self, parts: Sequence[Part] = (), *, idle: Idle | None = None) -> None:
        self._parts = tuple(parts)
        self._idle = idle
        self._lookup = Lookup()
        self._rows = Rows(
            words=Blank(np.uint64, KEY_WORDS), swapped=Blank(np.bool_),
            sums=Blank(np.int64, 4), flags=Blank(np.uint8, 2),
            start=Blank(np.int64, fill=np.iinfo(np.int64).max),
            end=Blank(np.int64, fill=np.iinfo(np.int64).min),
            last=Blank(np.int64), ended=Blank(np.bool_), isn=Blank(np.int64, fill=-1),
            serial=Blank(np.int64, fill=-1))
        self._used = 0
        """Rows that were ever in use."""
        self._free: list[int] = []
        self._made = 0
        self._fragments = Fragments()
        self._clock: int | None = None
        self._ended: list[Flow] = []

    def __len__(self) -> int:
        return self._used - len(self._free)

    def add(self, frames: Frames) -> Index:
        """Count the packets of a batch; return each one's flow by its row, -1 without IP.

        Rows count from 0 in order of first packets; with `idle` they are used again.
        """
        if self._idle is None:
            return self._add(frames)
        parts = []
        for start, end in self._ticks(frames.time_ns):
            parts.append(self._add(frames.take(slice(start, end))))
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _add(self, frames: Frames) -> Index:
        found = keys(frames, self._fragments)
        flow_of = np.full(len(frames), -1, np.int64)
        if not len(found.rows):
            return flow_of
        order, starts = grouped(found.words)
        places = found.rows[order]
        time_ns = frames.time_ns[places].astype(np.int64)
        runs = self._runs(frames, found, order, starts, time_ns=time_ns)
        self._count(runs, found.swapped[order], found.tcp_flags[order], time_ns=time_ns,
                    octets=frames.wire_length[places].astype(np.int64))
        flow = np.repeat(runs.rows, np.diff([*runs.starts, len(order)]))
        flow_of[places] = flow
        if self._parts:
            rev = (found.swapped[order] != self._rows["swapped"][flow]).astype(np.int64)
            parcel = Parcel(frames.take(places), found.at.take(order), flow, runs.starts, rev,
                            found.tcp_flags[order], places)
            for part in self._parts:
                part.see(parcel)
        self._finish(runs.over)
        return flow_of

    def _runs(
        self, frames: Frames, found: Keys, order: Index, starts: Index, *, time_ns: Index
    ) -> _Runs:
        """Return which packets in a row are one flow's; new flows get their rows."""
        first = found.words[order[starts]]
        known = self._lookup.find(first, self._rows["words"])
        opens, isn = _opens(found, frames, order, starts, isn=np.where(
            known >= 0, self._rows["isn"][known], -1))
        begins, ended = self._begins(
            found, order, starts, known=known, opens=opens, time_ns=time_ns)
        edges = np.flatnonzero(begins)
        rows = known[np.searchsorted(starts, edges, side="right") - 1]
        new = np.flatnonzero((begins[edges] == _ANEW) | (rows < 0))
        heads = order[edges[new]]
        ranked = np.argsort(heads)  # rows are given in order of first packets
        heads, new = heads[ranked], new[ranked]
        rows[new] = self._make(len(new))
        table = self._rows
        table["words"][rows[new]] = found.words[heads]
        table["swapped"][rows[new]] = found.swapped[heads]
        lasts = np.searchsorted(edges, [*starts[1:].tolist(), len(order)]) - 1
        table["ended"][rows[lasts]], table["isn"][rows[lasts]] = ended, isn
        moved = rows[lasts] != known
        self._lookup.put(first[moved], rows[lasts[moved]], table["words"])
        # Who gives way to a new flow: the run before it of the same key, or what was known of it.
        before = np.concatenate([[-1], rows[:-1]])
        firsts = np.searchsorted(edges, starts)
        before[firsts] = known
        gone = before[new[before[new] >= 0]]
        return _Runs(edges, rows, gone)

    def _begins(
        self, found: Keys, order: Index, starts: Index, *, known: Index,
        opens: NDArray[np.bool_], time_ns: Index,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Say where runs begin, and which keys' connections have ended by the last packet."""
        begins = np.zeros(len(order), np.uint8)
        begins[starts] = _GOES_ON
        old = self._rows
        carried = np.where(known >= 0, old["ended"][known], False)
        flags = found.tcp_flags[order]
        over = (flags & (_FIN | _RST)) != 0
        silent = np.zeros(len(order), np.bool_)
        if self._idle is not None:
            before = np.empty(len(order), np.int64)
            before[1:] = time_ns[:-1]
            before[starts] = np.where(known >= 0, old["last"][known], time_ns[starts])
            silent = time_ns - before > self._limits(found.at.protocol[order])
        if not (over.any() or opens.any() or silent.any()):
            return begins, carried
        index = np.arange(len(order))
        group = np.repeat(np.arange(len(starts)), np.diff([*starts, len(order)]))
        floor = starts[group]
        reset_at = np.maximum.accumulate(np.where(opens | silent, index, -1))
        over_at = np.maximum.accumulate(np.where(over, index, -1))
        ended = (over_at >= np.maximum(reset_at, floor)) | (carried[group] & (reset_at < floor))
        before_ended = np.empty(len(order), np.bool_)
        before_ended[1:] = ended[:-1]
        before_ended[starts] = carried
        begins[(opens & before_ended) | silent] = _ANEW
        return begins, ended[[*(starts[1:] - 1), len(order) - 1]]

    def _limits(self, protocol: NDArray[np.uint8]) -> Index:
        idle = self._idle or Idle()
        return np.where(protocol == IpProtocol.TCP, idle.tcp_ns, idle.other_ns)

    def _make(self, count: int) -> Index:
        """Return rows for new flows, in order."""
        again = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = count - len(again)
        rows = np.array([*again, *range(self._used, self._used + fresh)], np.int64)
        self._used += fresh
        self._rows.make(rows)
        for part in self._parts:
            part.make(rows)
        self._rows["serial"][rows] = np.arange(self._made, self._made + count)
        self._made += count
        return rows

    def _count(
        self, runs: _Runs, swapped: NDArray[np.bool_], flags: NDArray[np.uint8], *,
        time_ns: Index, octets: Index,
    ) -> None:
        rows, starts, table = runs.rows, runs.starts, self._rows
        lasts = np.concatenate([starts[1:], [len(time_ns)]]) - 1
        packets, total = lasts - starts + 1, np.add.reduceat(octets, starts)
        second = np.add.reduceat(swapped.astype(np.int64), starts)
        octets_second = np.add.reduceat(octets * swapped, starts)
        sums = np.stack([packets - second, second, total - octets_second, octets_second], axis=1)
        table["sums"][rows] += sums
        start, end = table["start"], table["end"]
        least, most = _bounds(time_ns, starts, lasts)
        start[rows] = np.minimum(start[rows], least)
        end[rows] = np.maximum(end[rows], most)
        table["last"][rows] = time_ns[lasts]
        both = np.bitwise_or.reduceat(flags.astype(np.uint16) << (swapped * np.uint16(8)), starts)
        table["flags"][rows, 0] |= both.astype(np.uint8)
        table["flags"][rows, 1] |= (both >> np.uint16(8)).astype(np.uint8)

    def _ticks(self, time_ns: Index) -> Iterator[tuple[int, int]]:
        """Yield pieces of a batch; before each one flows that were silent too long are ended."""
        if not len(time_ns):
            return
        clock = np.maximum.accumulate(time_ns)
        if self._clock is not None:
            clock = np.maximum(clock, self._clock)
        tick_ns = max(1, min(self._limits(np.array([IpProtocol.TCP, IpProtocol.UDP]))) // TICKS)
        ticks = clock // tick_ns
        was = ticks[0] if self._clock is None else self._clock // tick_ns
        edges = np.flatnonzero(np.diff(ticks, prepend=was)).tolist()
        for start, end in zip([0, *edges], [*edges, len(ticks)], strict=True):
            if end > start:
                if start in edges:
                    self._expire(int(ticks[start]) * tick_ns)
                yield start, end
        self._clock = int(clock[-1])

    def _expire(self, now: int) -> None:
        """End the flows of which no packet came for so long before."""
        table = self._rows
        protocol = (table["words"][: self._used, 0] >> np.uint64(48)).astype(np.uint8)
        silent = now - table["last"][: self._used] > self._limits(protocol)
        over = np.flatnonzero(silent & (table["serial"][: self._used] >= 0))
        if len(over):
            self._lookup.remove(table["words"][over], table["words"])
            self._finish(over[np.argsort(table["serial"][over])])

    def _finish(self, rows: Index) -> None:
        """Give out flows whose keys have gone to others, if flows are given out at all."""
        if self._idle is None or not len(rows):
            return
        self._ended += self.flows(rows.tolist())
        self._rows["serial"][rows] = -1
        self._free += rows.tolist()

    def take_ended(self, *, final: bool = False) -> list[Flow]:
        """Return the flows that ended since the last time; at the end also those that went on."""
        ended, self._ended = self._ended, []
        if final:
            ended += self.flows()
            self._lookup.clear()
            self._free, self._used = [], 0
        return ended

    def _live(self) -> Index:
        """Return the rows in use, in order of their first packets."""
        if self._idle is None:
            return np.arange(self._used)
        serial = self._rows["serial"][: self._used]
        rows = np.flatnonzero(serial >= 0)
        found: Index = rows[np.argsort(serial[rows])]
        return found

    def columns(self, rows: Index | None = None) -> dict[str, NDArray[Any]]:
        """Return all that is known but the addresses, one array a name; all flows or some rows.

        `number` counts flows from 1 in order of their first packets.
        """
        rows = self._live() if rows is None else rows
        table = self._rows
        what = table["words"][rows, 0].astype(np.int64)
        swapped, sums, flags = table["swapped"][rows], table["sums"][rows], table["flags"][rows]
        low, high = what >> 16 & 0xFFFF, what & 0xFFFF
        pairs = {"port": (low, high), "packets": (sums[:, 0], sums[:, 1]),
                 "bytes": (sums[:, 2], sums[:, 3]), "flags": (flags[:, 0], flags[:, 1])}
        found: dict[str, NDArray[Any]] = {
            "number": table["serial"][rows] + 1, "vlan": what >> 32 & 0xFFF,
            "protocol": what >> 48 & 0xFF, "start_ns": table["start"][rows],
            "end_ns": table["end"][rows]}
        for name, (one, two) in pairs.items():
            ends = ("sport", "dport") if name == "port" else (f"{name}_fwd", f"{name}_rev")
            found[ends[0]], found[ends[1]] = (
                np.where(swapped, two, one), np.where(swapped, one, two))
        for part in self._parts:
            found |= part.columns(rows)
        return found

    def top(self, count: int, by: str = "bytes") -> Index:
        """Return the rows of the greatest flows, the greatest first; `by` is one of ORDERS."""
        rows = self._live()
        if by == "duration":
            value = self._rows["end"][rows] - self._rows["start"][rows]
        else:
            start = {"packets": 0, "bytes": 2}[by]
            value = self._rows["sums"][rows, start : start + 2].sum(axis=1)
        chosen: Index = rows[np.argsort(-value, kind="stable")[:count]]
        return chosen

    def flows(self, rows: Iterable[int] | None = None) -> Iterator[Flow]:
        """Yield flows, all in order of their first packet or the rows named."""
        chosen = self._live() if rows is None else np.array(list(rows), np.int64)
        for start in range(0, len(chosen), TOLD_AT_ONCE):
            yield from self._flows(chosen[start : start + TOLD_AT_ONCE])

    def _flows(self, rows: Index) -> Iterator[Flow]:
        columns: dict[str, Any] = dict(self.columns(rows))
        columns["src"], columns["dst"] = self.addresses(rows)
        columns["protocol"] = self.protocols(rows)
        unknown = [None] * len(rows)
        values = [columns.get(name, unknown) for name in NAMES]
        yield from starmap(Flow, zip(*map(_plain, values), strict=True))

    def addresses(self, rows: Index | None = None) -> tuple[list[str], list[str]]:
        """Return the flows' sources and destinations as text."""
        rows = self._live() if rows is None else rows
        words, swapped = self._rows["words"][rows], self._rows["swapped"][rows].tolist()
        four = (words[:, 0] >> np.uint64(44) & np.uint64(0xF) == 4).tolist()
        ends = [list(map(_text, *words[:, at : at + 2].T.tolist(), four)) for at in (1, 3)]
        pairs = list(zip(*ends, swapped, strict=True))
        return ([two if other else one for one, two, other in pairs],
                [one if other else two for one, two, other in pairs])

    def protocols(self, rows: Index | None = None) -> list[str | int]:
        """Return the flows' protocols as `Flow` has them."""
        rows = self._live() if rows is None else rows
        numbers = (self._rows["words"][rows, 0] >> np.uint64(48)).tolist()
        return [_NAMES.get(each, each) for each in numbers]

    def key(self, row: int) -> tuple[tuple[int, ...], bool]:
        """Return a flow's key, see `keys`, and whether its forward side is the key's second."""
        table = self._rows
        return tuple(table["words"][row].tolist()), bool(table["swapped"][row])


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Packets in a row that are one flow's."""

    starts: Index
    rows: Index
    over: Index
    """Rows of flows that others took the place of, in order of these."""


def _opens(
    found: Keys, frames: Frames, order: Index, starts: Index, *, isn: Index
) -> tuple[NDArray[np.bool_], Index]:
    """Say which SYNs have another number than their key's last, and what the last ones are.

    `isn` are those of earlier batches.
    """
    opens = (found.tcp_flags[order] & (_SYN | _ACK | _FIN | _RST)) == _SYN
    places = np.flatnonzero(opens)
    if not len(places):
        return opens, isn
    at = found.at.transport_offset[order[places]] + 4
    seq = np.ascontiguousarray(octets_at(frames.buffer, at, 4)).view(">u4")[:, 0].astype(np.int64)
    group = np.searchsorted(starts, places, side="right") - 1
    first = np.concatenate([[True], group[1:] != group[:-1]])
    before = np.concatenate([[-1], seq[:-1]])
    opens[places] = seq != np.where(first, isn[group], before)
    last = np.concatenate([first[1:], [True]])
    isn[group[last]] = seq[last]
    return opens, isn


def _bounds(time_ns: Index, starts: Index, lasts: Index) -> tuple[Index, Index]:
    """Return the least and the greatest time of each run; most captures are in order of time."""
    steps = time_ns[1:] < time_ns[:-1]
    steps[starts[1:] - 1] = False
    if not steps.any():
        return time_ns[starts], time_ns[lasts]
    return np.minimum.reduceat(time_ns, starts), np.maximum.reduceat(time_ns, starts)


@lru_cache(ADDRESSES_KEPT)
def _text(high: int, low: int, four: bool) -> str:
    return str(IPv4Address(low) if four else IPv6Address(high << 64 | low))


def _plain(values: NDArray[Any] | list[Any]) -> list[Any]:
    """Return values as Python has them, None for numbers that are not known."""
    if isinstance(values, list):
        return values
    found: list[Any] = values.tolist()
    if values.dtype.kind == "i":
        return [None if value < 0 else value for value in found]
    return found


def grouped(words: Words) -> tuple[Index, Index]:
    """Return an order that puts equal keys together, first come first, and where each begins."""
    # Sorting hashes with their places in the low bits is stable, and four times as fast as argsort.
    bits = np.uint64(max(1, (len(words) - 1).bit_length()))
    placed = mixed(words) >> bits << bits | np.arange(len(words), dtype=np.uint64)
    placed.sort()
    order = (placed & (np.uint64(1) << bits) - np.uint64(1)).astype(np.int64)
    hashes = placed >> bits
    edge = hashes[1:] != hashes[:-1]
    sorted_words = words[order]
    differs = (sorted_words[1:] != sorted_words[:-1]).any(axis=1)
    if (differs & ~edge).any():  # two keys of one hash: sort by the keys themselves
        order = np.lexsort(words.T)
        sorted_words = words[order]
        differs = (sorted_words[1:] != sorted_words[:-1]).any(axis=1)
    return order, np.concatenate([[0], np.flatnonzero(differs) + 1])
