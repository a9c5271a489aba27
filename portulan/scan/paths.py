"""How probes get to their hosts: which link, from which address, to which next hop.

A scan may use several routes at once. `Paths` says it per host number of the space, and costs
nothing where there is one way for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: In `Paths.of_host`: no way leads there, nothing is sent.
NO_WAY = 255


@dataclass(frozen=True, slots=True)
class Via:
    """One way out: the number of a link, our addresses on it, and the next hop's.

    `source_mac` is empty on links without Ethernet; `next_mac` is 0 where each host is a
    neighbour with an address of its own.
    """

    link: int
    family: int
    source: int
    source_mac: bytes = b""
    next_mac: int = 0

    @property
    def ethernet(self) -> bool:
        """Frames begin with an Ethernet header."""
        return bool(self.source_mac)


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The way to each host: its number in `vias`, and its own MAC where it is a neighbour."""

    vias: tuple[Via, ...]
    of_host: NDArray[np.uint8] | None = None
    mac_of_host: NDArray[np.uint64] | None = field(default=None)

    def split(self, host: NDArray[np.int64]) -> list[tuple[Via, NDArray[np.int64] | slice]]:
        """Return each way with the rows of `host` that take it; rows without a way are left out."""
        if self.of_host is None:
            return [(self.vias[0], slice(None))]
        way = self.of_host[host]
        used = np.unique(way)
        if len(used) == 1 and used[0] != NO_WAY:
            return [(self.vias[int(used[0])], slice(None))]
        return [
            (self.vias[number], np.flatnonzero(way == number))
            for number in used.tolist() if number != NO_WAY
        ]

    def next_macs(self, via: Via, host: NDArray[np.int64]) -> NDArray[np.uint64] | int:
        """Return the Ethernet addresses to send to: one for all, or one a host."""
        if via.next_mac or self.mac_of_host is None:
            return via.next_mac
        return self.mac_of_host[host]
