"""Client hellos of TLS, put together from the segments that carry them, and of QUIC.

A hello is found wherever a record of one begins, so also behind STARTTLS; it may come in several
segments, as today's large keys make it, in any order once its first one was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.wire.dissect import dissect
from portulan.wire.header import octets_at
from portulan.wire.hello import CLIENT_HELLO, Hello
from portulan.wire.ipv4 import IpProtocol

HELLO_MAX_OCTETS: Final = 20_000
"""A hello with a large key is 2 kB; one record is at most 16 KiB and its header."""
SEGMENTS_MAX: Final = 64
"""Segments in which one hello is looked for."""
WAITING_MAX: Final = 4_096
"""Hellos that are not whole yet; of more, the oldest is told as far as it came."""
QUIC_TRIES: Final = 3
"""Initial packets of one flow that are decrypted: a hello in more parts stays unknown."""

_RECORD_OCTETS, _HANDSHAKE = 5, 22
_QUIC_VERSIONS: Final = (1, 0x6B3343CF)


class Told(NamedTuple):
    """What a client hello tells."""

    sni: str | None = None
    alpn: str | None = None
    ja3: str | None = None
    ja4: str | None = None


@dataclass(slots=True)
class _Waiting:
    """A hello that is not whole yet."""

    rev: int
    seq: int
    """Where its first record begins."""
    parts: dict[int, bytes] = field(default_factory=dict)

    def add(self, seq: int, octets: bytes) -> None:
        offset = (seq - self.seq) % (1 << 32)
        if offset < HELLO_MAX_OCTETS and len(octets) > len(self.parts.get(offset, b"")):
            self.parts[offset] = octets

    @property
    def octets(self) -> bytes:
        """What is there from the start without a gap."""
        found = b""
        for offset, part in sorted(self.parts.items()):
            if offset > len(found):
                break
            found += part[len(found) - offset :]
        return found

    @property
    def hopeless(self) -> bool:
        return len(self.parts) >= SEGMENTS_MAX


class Hellos:
    """What the clients of flows told."""

    def __init__(self) -> None:
        self.told: dict[int, Told] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._tries: dict[int, int] = {}

    def forget(self, rows: Index) -> None:
        """Forget flows whose rows others get."""
        for known in (self.told, self._waiting, self._tries):
            if known:
                for row in known.keys() & set(rows.tolist()):
                    del known[row]

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""
        data = np.flatnonzero(parcel.sound & (parcel.at.payload_offset < parcel.at.payload_end))
        protocol = parcel.at.protocol[data]
        self._segments(parcel, data[protocol == IpProtocol.TCP])
        self._datagrams(parcel, data[protocol == IpProtocol.UDP])

    def partial(self, row: int) -> Told | None:
        """Return what is known of a flow, also from a hello that never became whole."""
        known = self.told.get(row)
        if known is None and row in self._waiting:
            return _told(_hello(self._waiting[row].octets)[0])
        return known

    def _segments(self, parcel: Parcel, data: Index) -> None:
        opening = _beginnings(parcel, data)
        if not (len(opening) or self._waiting):
            return
        wanted = np.union1d(parcel.flow[opening], np.fromiter(self._waiting, np.int64))
        rows = data[np.isin(parcel.flow[data], wanted)]
        begins = np.isin(rows, opening).tolist()
        head = octets_at(parcel.frames.buffer, parcel.at.transport_offset[rows] + 4, 4)
        seqs = np.ascontiguousarray(head).view(">u4")[:, 0].tolist()
        sides = parcel.rev[rows].tolist()
        for row, flow, seq, rev, first in zip(
            rows.tolist(), parcel.flow[rows].tolist(), seqs, sides, begins, strict=True
        ):
            if flow not in self.told and (first or flow in self._waiting):
                self._segment(flow, rev, seq, octets=_payload(parcel, row))

    def _segment(self, flow: int, rev: int, seq: int, *, octets: bytes) -> None:
        waiting = self._waiting.get(flow)
        if waiting is None:
            if len(self._waiting) >= WAITING_MAX:
                self._give_up(next(iter(self._waiting)))
            waiting = self._waiting[flow] = _Waiting(rev, seq)
        if rev != waiting.rev:
            return
        waiting.add(seq, octets)
        hello, whole = _hello(waiting.octets)
        if whole:
            self.told[flow] = _told(hello)
            del self._waiting[flow]
        elif waiting.hopeless:
            self._give_up(flow)

    def _give_up(self, flow: int) -> None:
        self.told[flow] = _told(_hello(self._waiting.pop(flow).octets)[0])

    def _datagrams(self, parcel: Parcel, data: Index) -> None:
        at, buffer = parcel.at.payload_offset[data], parcel.frames.buffer
        long = (buffer[at] >= 0xC0) & (at + 7 <= parcel.at.payload_end[data])
        data, at = data[long], at[long]
        if not len(data):
            return
        version = np.ascontiguousarray(octets_at(buffer, at + 1, 4)).view(">u4")[:, 0]
        for row in data[np.isin(version, _QUIC_VERSIONS)].tolist():
            flow = int(parcel.flow[row])
            tries = self._tries.get(flow, 0)
            if flow in self.told or tries >= QUIC_TRIES or parcel.rev[row]:
                continue
            self._tries[flow] = tries + 1
            get = dissect(parcel.frames[row], parcel.frames.link_type).get
            if get("tls.sni") is not None or get("tls.ja4") is not None:
                self.told[flow] = _of(get)


def _beginnings(parcel: Parcel, data: Index) -> Index:
    """Return the rows whose payload begins with a record of a client hello."""
    at, buffer = parcel.at.payload_offset[data], parcel.frames.buffer
    rows: Index = data[(buffer[at] == _HANDSHAKE) & (at + 7 <= parcel.at.payload_end[data])]
    if not len(rows):
        return rows
    head = octets_at(buffer, parcel.at.payload_offset[rows], 7)
    good = (head[:, 1] == 3) & (head[:, 2] <= 4) & (head[:, 5] == CLIENT_HELLO) & (head[:, 6] == 0)
    found: Index = rows[good]
    return found


def _payload(parcel: Parcel, row: int) -> bytes:
    start, end = int(parcel.at.payload_offset[row]), int(parcel.at.payload_end[row])
    return parcel.frames.buffer[start : min(end, start + HELLO_MAX_OCTETS)].tobytes()


def _hello(octets: bytes) -> tuple[bytes, bool]:
    """Return a handshake message out of its records, and whether no more of it can come."""
    found, at = b"", 0
    while at + _RECORD_OCTETS <= len(octets):
        if octets[at] != _HANDSHAKE:
            return found, True
        end = at + _RECORD_OCTETS + int.from_bytes(octets[at + 3 : at + 5])
        found += octets[at + _RECORD_OCTETS : end]
        if len(found) >= 4 and len(found) >= 4 + int.from_bytes(found[1:4]):
            return found, True
        at = end
    return found, len(octets) >= HELLO_MAX_OCTETS


def _told(message: bytes) -> Told:
    told = Hello.read(message).told_with_fingerprints()
    return _of(lambda name: told.get(name.partition(".")[2]))


def _of(get: Callable[[str], Any]) -> Told:
    alpn = get("tls.alpn")
    return Told(get("tls.sni") or None, ",".join(alpn) if alpn else None,
                get("tls.ja3_hash"), get("tls.ja4"))


def columns(rows: Index, told: Callable[[int], Told | None]) -> dict[str, NDArray[Any]]:
    """Return what is told of rows, one array a name, None where nothing is."""
    known = [told(row) or Told() for row in rows.tolist()]
    found = {name: np.empty(len(rows), object) for name in Told._fields}
    for place, name in enumerate(Told._fields):
        found[name][:] = [each[place] for each in known]
    return found
