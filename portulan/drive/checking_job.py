"""A scan that goes on to look at the services it named: safe checks, told as notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portulan.drive.checking import Checking, Found, Visit
from portulan.drive.clock import Clock
from portulan.drive.discovering import Steps
from portulan.drive.followup import FollowUp
from portulan.drive.identifying import Aim
from portulan.drive.plan import Plan
from portulan.drive.step import Step
from portulan.ident.checks import Check, Place
from portulan.record import AnyEvent, End, Host, Note, Service


class CheckingJob(FollowUp):
    """A job whose named services are looked at before its end.

    `known` are events of an earlier run of the same job: what a check told is not asked again.
    """

    def __init__(
        self, job: Steps, plan: Plan, checks: Sequence[Check], known: Sequence[AnyEvent] = (),
    ) -> None:
        self._checks = checks
        self._services: dict[tuple[str, int, str], Service] = {}
        self._done: set[tuple[str, int, str, str]] = set()
        self._names: dict[str, str] = {}
        super().__init__(job, plan, known)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Service):
            self._services[event.addr, event.port, event.protocol] = event
        elif isinstance(event, Note) and event.check:
            self._done.add((event.addr, event.port, event.protocol, event.check))
        elif isinstance(event, Host) and event.names:
            self._names[event.addr] = event.names[0]

    def _visits(self) -> Iterator[Visit]:
        zones, now_s = self._plan.ways.zones(), Clock.unix() / 1e9
        interface = self._plan.aim.request.interface
        for key, service in self._services.items():
            checks = tuple(each for each in self._checks
                           if each.suits(service) and (*key, each.name) not in self._done)
            if checks:
                aim = Aim(service.addr, service.port, "udp" if service.protocol == "udp" else "tcp",
                          self._names.get(service.addr, ""), zones.get(service.addr, 0))
                place = Place(service, aim.host, now_s)
                yield Visit(place, aim.address, checks, aim.name, interface)

    def _work(self, end: End) -> Iterator[Step]:
        self._under_way = checking = Checking(self._visits())
        for found in checking.found():
            if events := list(notes_of(found)):
                yield Step(events)


def notes_of(found: Found) -> Iterator[AnyEvent]:
    """Yield what a check told, and why it was cut off, if it was."""
    service = found.place.service
    for told in found.told:
        yield Note(
            addr=service.addr, text=told.text, level=told.level, port=service.port,
            protocol=service.protocol, check=found.check.name)
    if found.ended:
        yield Note(
            addr=service.addr, text=f"cut off: {found.ended}", port=service.port,
            protocol=service.protocol, check=found.check.name)
