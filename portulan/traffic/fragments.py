"""Later fragments of IP packets get the ports that only the first one carries.

A later fragment that comes before its first one stays without ports.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.locate import Located, Part

Index = NDArray[np.int64]

OPEN_MAX: Final = 16_384
"""Packets whose first fragment is remembered, some 5 MB; then the oldest gives way."""
OPEN_NS: Final = 60_000_000_000
"""How long one is waited for (RFC 8200 section 4.5)."""


class Fragments:
    """Remembers the ports of packets that came in parts."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, ...], tuple[int, int, int]] = {}

    def join(
        self, frames: Frames, at: Located, addresses: NDArray[np.uint64], *, ports: Index
    ) -> None:
        """Put ports (n, 2) into the rows of later fragments whose first one was seen."""
        rows = np.flatnonzero((at.fragment != Part.WHOLE) & (at.defect == 0))
        if not len(rows):
            return
        idents = _idents(frames, at, rows).tolist()
        times = frames.time_ns[rows].tolist()
        ends = addresses[rows].tolist()
        first = (at.fragment[rows] == Part.FIRST).tolist()
        protocols = at.protocol[rows].tolist()
        for row, ident, time_ns, pair, protocol, begins in zip(
            rows.tolist(), idents, times, ends, protocols, first, strict=True
        ):
            key = (ident, protocol, *pair)
            if begins:
                self._open.pop(key, None)
                self._open[key] = (time_ns, *ports[row].tolist())
                if len(self._open) > OPEN_MAX:
                    del self._open[next(iter(self._open))]
            elif key in self._open and time_ns - self._open[key][0] <= OPEN_NS:
                ports[row] = self._open[key][1:]


def _idents(frames: Frames, at: Located, rows: Index) -> Index:
    """Return the identification of each; IPv6's stands in the header before the transport's."""
    new = at.family[rows] == 6
    place = np.where(new, at.transport_offset[rows] - 4, at.network_offset[rows] + 4)
    place = np.clip(place, 0, len(frames.buffer) - 4)
    octets = np.ascontiguousarray(octets_at(frames.buffer, place, 4)).view(">u4")[:, 0]
    found: Index = np.where(new, octets.astype(np.int64), octets.astype(np.int64) >> 16)
    return found
