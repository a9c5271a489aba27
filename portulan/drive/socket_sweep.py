"""A packet sweep over a link of ordinary sockets: the same machine and kind, without any right."""

from __future__ import annotations

import threading

from portulan.drive.packets import PacketSweep, Report
from portulan.link.contract import Link
from portulan.scan.kind import Kind
from portulan.scan.sweep import Sweep


class SocketSweep:
    """Drives one machine over one link, which it closes at the end."""

    def __init__(
        self, sweep: Sweep, kind: Kind, link: Link, *, report: Report, stop: threading.Event,
        interface: str = "",
    ) -> None:
        self._link = link
        self._packets = PacketSweep(sweep, kind, [(interface, link)], report=report, stop=stop)

    def run(self) -> None:
        """Ask until everything is answered or given up, or until stopped."""
        self._packets.run()

    def close(self) -> None:
        """Close the sockets."""
        self._link.close()
