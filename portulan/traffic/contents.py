"""What both sides of every TCP connection said: all streams of a capture at once, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.streams import Segment, Stream
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol

COLUMNS = ("data_fwd", "data_rev", "missing_fwd", "missing_rev")
"""What `Contents` tells: octets of each side, holes left out, and how many octets these were."""


@dataclass(slots=True)
class _Said:
    stream: Stream = field(default_factory=Stream)
    data: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    missing: list[int] = field(default_factory=lambda: [0, 0])

    def take(self, *, final: bool) -> None:
        for chunk in self.stream.take(final=final):
            self.data[chunk.side].extend(chunk.octets)
            self.missing[chunk.side] += chunk.missing


class Contents:
    """A part of a flow table, see `COLUMNS`; what was told once is final."""

    def __init__(self) -> None:
        self._said: dict[int, _Said] = {}
        self._seen = 0

    def make(self, rows: Index) -> None:
        """Begin rows."""
        for row in self._said.keys() & set(rows.tolist()):
            del self._said[row]

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""
        at, buffer = parcel.at, parcel.frames.buffer
        rows = np.flatnonzero(parcel.sound & (at.protocol == IpProtocol.TCP))
        if not len(rows):
            return
        head = octets_at(buffer, at.transport_offset[rows] + 4, 8)
        words = np.ascontiguousarray(head).view(">u4").tolist()
        frames = (self._seen + parcel.place[rows] + 1).tolist()
        self._seen += int(parcel.place.max()) + 1
        columns = (parcel.flow, parcel.rev, at.payload_offset, at.payload_end, parcel.size,
                   parcel.tcp_flags)
        values = zip(*(column[rows].tolist() for column in columns), strict=True)
        for (seq, ack), frame, (flow, rev, start, end, size, flags) in zip(
            words, frames, values, strict=True
        ):
            said = self._said.get(flow)
            if said is None:
                said = self._said[flow] = _Said()
            said.stream.add(Segment(
                rev, seq, buffer[start:end].tobytes(), size, flags, ack, frame))
            said.take(final=False)

    def columns(self, rows: Index) -> dict[str, NDArray[Any]]:
        """Return what was said; None for flows that are not TCP."""
        found: dict[str, NDArray[Any]] = {
            "data_fwd": np.full(len(rows), None, object),
            "data_rev": np.full(len(rows), None, object),
            "missing_fwd": np.full(len(rows), -1), "missing_rev": np.full(len(rows), -1)}
        for place, row in enumerate(rows.tolist()):
            said = self._said.get(row)
            if said is not None:
                said.take(final=True)
                for side, name in enumerate(("fwd", "rev")):
                    found[f"data_{name}"][place] = bytes(said.data[side])
                    found[f"missing_{name}"][place] = said.missing[side]
        return found
