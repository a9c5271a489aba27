"""A UDP sweep over ordinary sockets: the same machine and the same kind, without any right."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from portulan.drive.packets import Report
from portulan.drive.socket_sweep import SocketSweep
from portulan.link.udp_sockets import UdpSocketsLink
from portulan.scan.paths import Paths, Via
from portulan.scan.sweep import Sweep
from portulan.scan.syn import Key
from portulan.scan.udp import UdpKind
from portulan.target.space import Space

#: Both families through one link, from whatever address the kernel takes.
_VIAS = (Via(0, 4, 0), Via(0, 6, 0))


def datagram_kind(space: Space, *, key: Key, sport: int) -> UdpKind:
    """Return the kind that asks a space's UDP ports through sockets."""
    family, *_ = space.host_address(np.arange(space.host_count))
    paths = Paths(_VIAS, (family == 6).astype(np.uint8))
    return UdpKind(space, paths, key=key, sport=sport, errors_proven=True)


class DatagramSweep(SocketSweep):
    """Drives one machine over datagram sockets."""

    def __init__(
        self, sweep: Sweep, kind: UdpKind, *, report: Report, stop: threading.Event,
        zones: Mapping[str, int], interface: str = "",
    ) -> None:
        link = UdpSocketsLink(interface=interface, zones=zones)
        super().__init__(sweep, kind, link, report=report, stop=stop, interface=interface)
