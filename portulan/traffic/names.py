"""What a flow is about: its application, and what its client asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.hellos import Hellos, columns
from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.rows import Blank, Rows
from portulan.traffic.shapes import HEAD_OCTETS, applications

COLUMNS = ("application", "sni", "alpn", "ja3", "ja4")
"""What `Names` tells, see `flows.Flow`."""


class Names:
    """A part of a flow table, see `COLUMNS`."""

    def __init__(self) -> None:
        self._hellos = Hellos()
        self._rows = Rows(
            fwd=Blank(np.uint8, HEAD_OCTETS), rev=Blank(np.uint8, HEAD_OCTETS),
            spoken=Blank(np.bool_, 2), protocol=Blank(np.uint8), ports=Blank(np.uint16, 2))

    def make(self, rows: Index) -> None:
        """Begin rows."""
        self._rows.make(rows)
        self._hellos.forget(rows)

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""
        at = parcel.at
        data = np.flatnonzero(parcel.sound & (at.payload_offset < at.payload_end))
        self._hellos.see(parcel)
        spoken = self._rows["spoken"]
        new = data[~spoken[parcel.flow[data], parcel.rev[data]]]
        for side, name in enumerate(("fwd", "rev")):
            rows = new[parcel.rev[new] == side]
            if len(rows):
                flow = parcel.flow[rows]
                first = np.concatenate([[True], flow[1:] != flow[:-1]])
                self._head(parcel, rows[first], side, name)

    def _head(self, parcel: Parcel, rows: Index, side: int, name: str) -> None:
        """Keep the first octets of a side, and the ports as the forward side has them."""
        at, buffer, flow = parcel.at, parcel.frames.buffer, parcel.flow[rows]
        place = at.payload_offset[rows][:, None] + np.arange(HEAD_OCTETS)
        octets = buffer.take(place, mode="clip")
        self._rows[name][flow] = np.where(place < at.payload_end[rows][:, None], octets, 0)
        self._rows["spoken"][flow, side] = True
        self._rows["protocol"][flow] = at.protocol[rows]
        start = np.minimum(at.transport_offset[rows], len(buffer) - 4)
        ports = buffer[start[:, None] + np.arange(4)].astype(np.uint16)
        pair = ports[:, [0, 2]] << np.uint16(8) | ports[:, [1, 3]]
        self._rows["ports"][flow] = pair[:, ::-1] if side else pair

    def columns(self, rows: Index) -> dict[str, NDArray[Any]]:
        """Return what is known of rows."""
        kept = self._rows
        ports = kept["ports"][rows]
        found = {"application": applications(
            (kept["fwd"][rows], kept["rev"][rows]), kept["protocol"][rows], ports[:, 0],
            ports[:, 1])}
        return found | columns(rows, self._hellos.partial)
