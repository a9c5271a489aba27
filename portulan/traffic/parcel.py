"""A batch's packets sorted by flow: what each part of a flow table looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import Index
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.locate import Located
from portulan.wire.locate import Part as Fragment


@dataclass(frozen=True, eq=False)
class Parcel:
    """Packets of a batch, those of a flow next to each other, in the order they came."""

    frames: Frames
    """One frame a packet, in this order."""
    at: Located
    flow: Index
    """Row of each packet's flow."""
    starts: Index
    """Where each flow's packets begin; a flow may come twice if its port was used again."""
    rev: NDArray[np.int64]
    """1 where the flow's responder sent the packet, else 0."""
    tcp_flags: NDArray[np.uint8]
    place: Index
    """Where each stands in its batch."""

    def __len__(self) -> int:
        return len(self.flow)

    @cached_property
    def size(self) -> Index:
        """Octets of payload on the wire: a capture may hold only the beginnings."""
        at, buffer = self.at, self.frames.buffer
        new = at.family == 6
        total = np.zeros(len(self), np.int64)
        whole = np.flatnonzero(self.sound)
        if len(whole):
            place = at.network_offset[whole] + np.where(new[whole], 4, 2)
            total[whole] = np.ascontiguousarray(octets_at(buffer, place, 2)).view(">u2")[:, 0]
        said = total + np.where(new, 40, 0) + at.network_offset
        # A sender's own capture shows 0 for segments that its card will cut: all there is, then.
        said = np.where(total == 0, at.payload_end, said)
        found = np.maximum(said, at.payload_end) - at.payload_offset
        return np.where(self.sound, found, 0)

    @cached_property
    def sound(self) -> NDArray[np.bool_]:
        """Packets whose headers are whole up to the transport's."""
        at = self.at
        found: NDArray[np.bool_] = (at.defect == 0) & (at.transport_offset < at.payload_end)
        found &= at.fragment != Fragment.LATER
        return found


class Part(Protocol):
    """Something that a flow table knows of its flows beside the counts."""

    def make(self, rows: Index) -> None:
        """Begin these rows, anew if they were there."""

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""

    def columns(self, rows: Index) -> dict[str, NDArray[np.generic]]:
        """Return what is known of these rows, one array a name."""
