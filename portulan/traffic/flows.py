"""Flows: who talked to whom, how much each way, from when to when.

A flow is the packets of one (VLAN, protocol, two endpoints), both directions; forward is who sent
the first of them. Batches may be cut anywhere: the table is the same.

>>> from portulan.wire import IPv4, TCP, Frames
>>> there = IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=40000, dport=80)
>>> table = FlowTable()
>>> table.add(Frames.of([there.pack()], link_type=101))
>>> [(flow.src, flow.dport, flow.packets_fwd) for flow in table.flows()]
[('10.9.0.1', 80, 1)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import KEY_WORDS, Index, Words, keys
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol

ROOM_AT_FIRST: Final = 1024
"""Flows a table has room for before it grows, each time to the double."""
ORDERS: Final = ("bytes", "packets", "duration")
"""What `top` can rank by."""

_MIX: Final = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93,
     0xA0761D6478BD642F], np.uint64)
"""Odd constants that spread keys; a collision costs time, never a wrong table."""
_NAMES: Final = {int(IpProtocol.TCP): "tcp", int(IpProtocol.UDP): "udp"}


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow as people see it; `bytes` are lengths on the wire."""

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


class FlowTable:
    """Flows in order of their first packet; memory grows with their number alone."""

    def __init__(self) -> None:
        self._row_of: dict[bytes, int] = {}
        self._words: Words = np.empty((ROOM_AT_FIRST, KEY_WORDS), np.uint64)
        self._swapped = np.empty(ROOM_AT_FIRST, np.bool_)
        self._sums = np.empty((ROOM_AT_FIRST, 4), np.int64)
        """Packets, then bytes: from the key's first endpoint, from its second."""
        self._times = np.empty((ROOM_AT_FIRST, 2), np.int64)
        self._flags = np.empty((ROOM_AT_FIRST, 2), np.uint8)

    def __len__(self) -> int:
        return len(self._row_of)

    def add(self, frames: Frames) -> None:
        """Count the packets of a batch."""
        found = keys(frames)
        if not len(found.rows):
            return
        order, starts = grouped(found.words)
        first = order[starts]
        ranked = np.argsort(first)  # new flows get their rows in order of their first packet
        rows = np.empty(len(first), np.int64)
        rows[ranked] = self._rows(found.words[first[ranked]], found.swapped[first[ranked]])
        swapped = found.swapped[order]
        octets = frames.wire_length[found.rows[order]].astype(np.int64)
        parts = (~swapped, swapped, np.where(swapped, 0, octets), np.where(swapped, octets, 0))
        for column, part in enumerate(parts):
            self._sums[rows, column] += np.add.reduceat(part.astype(np.int64), starts)
        time_ns = frames.time_ns[found.rows[order]].astype(np.int64)
        times, flags = self._times, found.tcp_flags[order]
        times[rows, 0] = np.minimum(times[rows, 0], np.minimum.reduceat(time_ns, starts))
        times[rows, 1] = np.maximum(times[rows, 1], np.maximum.reduceat(time_ns, starts))
        for side, sent in enumerate((~swapped, swapped)):
            seen = np.bitwise_or.reduceat(np.where(sent, flags, np.uint8(0)), starts)
            self._flags[rows, side] |= seen

    def _rows(self, words: Words, swapped: NDArray[np.bool_]) -> Index:
        """Return the rows of distinct keys, made where they are new."""
        known = len(self)
        packed = np.ascontiguousarray(words).view(f"V{8 * KEY_WORDS}")[:, 0].tolist()
        row_of = self._row_of
        rows = np.array([row_of.setdefault(key, len(row_of)) for key in packed], np.int64)
        self._grow(len(self))
        new = rows >= known
        made = rows[new]
        self._words[made], self._swapped[made] = words[new], swapped[new]
        self._sums[made], self._flags[made] = 0, 0
        self._times[made] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        return rows

    def _grow(self, count: int) -> None:
        room = len(self._words)
        if count > room:
            extra = max(room, count - room)
            for name in ("_words", "_swapped", "_sums", "_times", "_flags"):
                old = getattr(self, name)
                more = np.empty((extra, *old.shape[1:]), old.dtype)
                setattr(self, name, np.concatenate([old, more]))

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the numbers of all flows, one array a name; addresses are in `flows()`."""
        count = len(self)
        what = self._words[:count, 0].astype(np.int64)
        swapped = self._swapped[:count]
        sums, flags = self._sums[:count], self._flags[:count]
        low, high = what >> 16 & 0xFFFF, what & 0xFFFF
        pairs = {"port": (low, high), "packets": (sums[:, 0], sums[:, 1]),
                 "bytes": (sums[:, 2], sums[:, 3]), "flags": (flags[:, 0], flags[:, 1])}
        found: dict[str, NDArray[np.generic]] = {
            "vlan": what >> 32 & 0xFFF, "protocol": what >> 48 & 0xFF,
            "start_ns": self._times[:count, 0], "end_ns": self._times[:count, 1]}
        for name, (one, two) in pairs.items():
            ends = ("sport", "dport") if name == "port" else (f"{name}_fwd", f"{name}_rev")
            found[ends[0]], found[ends[1]] = (
                np.where(swapped, two, one), np.where(swapped, one, two))
        return found

    def top(self, count: int, by: str = "bytes") -> Index:
        """Return the rows of the greatest flows, the greatest first; `by` is one of ORDERS."""
        columns = self.columns()
        if by == "duration":
            value = self._times[: len(self), 1] - self._times[: len(self), 0]
        else:
            start = {"packets": 0, "bytes": 2}[by]
            value = self._sums[: len(columns["vlan"]), start : start + 2].sum(axis=1)
        chosen: Index = np.argsort(-value, kind="stable")[:count]
        return chosen

    def flows(self, rows: Iterable[int] | None = None) -> Iterator[Flow]:
        """Yield flows, all in order of their first packet or the rows named."""
        names = ("sport", "dport", "protocol", "packets_fwd", "packets_rev", "bytes_fwd",
                 "bytes_rev", "start_ns", "end_ns")
        columns = self.columns()
        for row in range(len(self)) if rows is None else rows:
            src, dst = self._ends(row)
            sport, dport, protocol, *rest = (int(columns[name][row]) for name in names)
            yield Flow(src, dst, sport, dport, _NAMES.get(protocol, protocol), *rest)

    def key(self, row: int) -> tuple[tuple[int, ...], bool]:
        """Return a flow's key, see `keys`, and whether its forward side is the key's second."""
        return tuple(self._words[row].tolist()), bool(self._swapped[row])

    def _ends(self, row: int) -> tuple[str, str]:
        what, *words = self._words[row].tolist()
        make = IPv4Address if what >> 44 & 0xF == 4 else IPv6Address
        one, two = (str(make(words[at] << 64 | words[at + 1])) for at in (0, 2))
        return (two, one) if self._swapped[row] else (one, two)


def grouped(words: Words) -> tuple[Index, Index]:
    """Return an order that puts equal keys together, first come first, and where each begins."""
    mixed = (words * _MIX).sum(axis=1, dtype=np.uint64)
    mixed = (mixed ^ mixed >> np.uint64(29)) * _MIX[1]
    order = np.argsort(mixed, kind="stable")
    edge = mixed[order][1:] != mixed[order][:-1]
    sorted_words = words[order]
    differs = (sorted_words[1:] != sorted_words[:-1]).any(axis=1)
    if (differs & ~edge).any():  # two keys of one hash: sort by the keys themselves
        order = np.lexsort(words.T)
        sorted_words = words[order]
        differs = (sorted_words[1:] != sorted_words[:-1]).any(axis=1)
    return order, np.concatenate([[0], np.flatnonzero(differs) + 1])
