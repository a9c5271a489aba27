"""A scan that goes on to trace the ways to the hosts that are up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from portulan.drive.discovering import Steps
from portulan.drive.followup import FollowUp
from portulan.drive.plan import Plan
from portulan.drive.step import Step
from portulan.drive.tracing import RATE_PPS, TraceOptions, trace
from portulan.errors import PrivilegeError
from portulan.record import AnyEvent, End, Hop, Host, Note, Port

#: Which state of a TCP port suits best to be asked along the way.
_SUITS: Final = {"open": 2, "closed": 1, "unfiltered": 1}


class Tracing(FollowUp):
    """A job whose hosts get `hop` events before its end.

    A host with a TCP port that answered is asked by SYNs to it, which its firewall lets through;
    another one by UDP. `known` are events of an earlier run of the same job: hosts whose path is
    known are not traced again.
    """

    def __init__(self, job: Steps, plan: Plan, known: Sequence[AnyEvent] = ()) -> None:
        self._up: dict[str, Host] = {}
        self._ports: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()
        super().__init__(job, plan, known)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Host) and event.state == "up":
            self._up[event.addr] = event
        elif isinstance(event, Hop):
            self._done.add(event.target)
        elif isinstance(event, Port) and event.protocol == "tcp" and event.state in _SUITS:
            rank = _SUITS[event.state], -event.port
            if rank > self._ports.get(event.addr, (0, 0)):
                self._ports[event.addr] = rank

    def _work(self, end: End) -> Iterator[Step]:
        hosts = [addr for addr in self._up if addr not in self._done]
        ports = {addr: -self._ports[addr][1] for addr in hosts if addr in self._ports}
        request, rate = self._plan.aim.request, self._plan.aim.rate_pps
        for manner, part in (("tcp", [a for a in hosts if a in ports]),
                             ("udp", [a for a in hosts if a not in ports])):
            options = TraceOptions(
                manner="tcp" if manner == "tcp" else "udp", interface=request.interface,
                rate_pps=min(rate, RATE_PPS) if rate else RATE_PPS)
            try:
                for hops in trace(part, options, ports=ports, stopped=lambda: self.stopped):
                    yield Step(self._events(hops))
            except (OSError, PrivilegeError) as error:
                yield Step([Note(addr="", text=f"no trace: {error}".lower(), level="warning")])

    def _events(self, hops: list[Hop]) -> list[AnyEvent]:
        """Return a path, and its length as a fact of its host."""
        last, events = hops[-1], list[AnyEvent](hops)
        if last.state == "reached" and last.ttl > 1:
            host = self._up[last.target]
            events.append(Host(
                addr=host.addr, state=host.state, reason=host.reason, hops=last.ttl - 1))
        return events
