"""A scan that goes on to name the services behind the ports it found open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from portulan.drive.clock import Clock
from portulan.drive.discovering import Steps
from portulan.drive.followup import FollowUp
from portulan.drive.identifying import DIALOGUES_MAX, Aim, Identification, Limits
from portulan.drive.identifying_events import service_event
from portulan.drive.plan import Plan
from portulan.drive.step import Step
from portulan.record import AnyEvent, End, Host, Note, Port, Progress, Service

SILENT_ASKED_MAX: Final = 32
"""Silent UDP ports of one host that are asked in every likely protocol; where more are silent, it
is a firewall, and asking on is noise."""
PACKETS_A_SECOND: Final = 40
"""What one dialogue costs on the wire while nobody answers: five connections of eight packets."""
PROGRESS_NS: Final = 1_000_000_000


class Identifying(FollowUp):
    """A job whose open ports get `service` events before its end.

    `known` are events of an earlier run of the same job: what it named is not asked again.
    """

    def __init__(self, job: Steps, plan: Plan, known: Sequence[AnyEvent] = ()) -> None:
        self._ports: dict[tuple[str, int, str], Port] = {}
        self._named: set[tuple[str, int, str]] = set()
        self._names: dict[str, str] = {}
        super().__init__(job, plan, known)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Port):
            self._ports[event.addr, event.port, event.protocol] = event
        elif isinstance(event, Service):
            self._named.add((event.addr, event.port, event.protocol))
        elif isinstance(event, Host) and event.names:
            self._names[event.addr] = event.names[0]

    def _aims(self) -> list[Aim]:
        zones = self._plan.ways.zones()
        silent = Counter(
            port.addr for port in self._ports.values() if port.state == "open|filtered")
        return [
            Aim(port.addr, port.port, _transport(port), self._names.get(port.addr, ""),
                zones.get(port.addr, 0))
            for key, port in self._ports.items()
            if port.protocol in ("tcp", "udp") and key not in self._named
            and (port.state == "open" or (
                port.protocol == "udp" and port.state == "open|filtered"
                and silent[port.addr] <= SILENT_ASKED_MAX))
        ]

    def _work(self, end: End) -> Iterator[Step]:
        aims, request = self._aims(), self._plan.aim.request
        limits = Limits(
            host_timeout_s=request.host_timeout_s, interface=request.interface,
            contact=request.contact, dialogues=dialogues(self._plan.aim.rate_pps))
        self._under_way = Identification(aims, limits=limits)
        told = began = Clock.now()
        unasked: Counter[str] = Counter()
        for done, found in enumerate(self._under_way.found(), 1):
            event, now = service_event(found), Clock.now()
            unasked[found.aim.addr] += found.outcome.state == "stopped"
            events: list[AnyEvent] = []
            if event is not None:
                events = [*self._opened(event), event]
            progress = None
            if now - told >= PROGRESS_NS:
                told, elapsed_s = now, (now - began) / 1e9
                progress = Progress(
                    done=round(done / len(aims), 4), sent=end.sent, received=end.received,
                    rate_pps=round(done / elapsed_s, 1),
                    eta_s=round(elapsed_s * (len(aims) - done) / done, 1))
                events.append(progress)
            yield Step(events, progress=progress)
        if not self.stopped:
            yield Step(_notes(unasked, limits))

    def _opened(self, event: Service) -> Iterator[Port]:
        """Yield a port that was silent to the scan, and has answered now."""
        port = self._ports.get((event.addr, event.port, event.protocol))
        if port is not None and port.state != "open":
            yield msgspec.structs.replace(port, state="open", reason="udp-response", frames=[])


def _notes(unasked: Counter[str], limits: Limits) -> list[AnyEvent]:
    """Return what to tell of hosts whose ports were not all asked to the end."""
    why = "its time was up" if limits.host_timeout_s else "too many of its ports say nothing"
    return [
        Note(addr=addr, text=f"services: {count} open port{'s' if count > 1 else ''} not asked to "
             f"the end, {why}", level="warning")
        for addr, count in unasked.items() if count
    ]


def dialogues(rate_pps: float) -> int:
    """Return how many dialogues at once keep to a rate; 0 is no cap.

    >>> dialogues(1_000), dialogues(10)
    (25, 1)
    """
    if not rate_pps:
        return DIALOGUES_MAX
    return max(1, min(DIALOGUES_MAX, int(rate_pps / PACKETS_A_SECOND)))


def _transport(port: Port) -> Literal["tcp", "udp"]:
    return "udp" if port.protocol == "udp" else "tcp"
