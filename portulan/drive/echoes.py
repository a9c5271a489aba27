"""An echo sweep over ping sockets: the same machine and the same kind, without any right."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from portulan.drive.packets import Report
from portulan.drive.socket_sweep import SocketSweep
from portulan.link.ping_sockets import PingSocketsLink
from portulan.scan.paths import Paths, Via
from portulan.scan.ping import PingKind
from portulan.scan.sweep import Sweep
from portulan.scan.syn import Key
from portulan.target.space import Space


def echo_kind(space: Space, family: int, *, key: Key, contact: str) -> PingKind:
    """Return the kind that asks hosts of one family, from whatever address the kernel takes."""
    return PingKind(
        space, Paths((Via(0, family, 0),)), key=key, sport=0, contact=contact.encode())


class EchoSweep(SocketSweep):
    """Drives one machine over ping sockets."""

    def __init__(
        self, sweep: Sweep, kind: PingKind, *, report: Report, stop: threading.Event,
        zones: Mapping[str, int], interface: str = "",
    ) -> None:
        link = PingSocketsLink(interface=interface, zones=zones)
        super().__init__(sweep, kind, link, report=report, stop=stop, interface=interface)
