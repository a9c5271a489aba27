"""A scan that goes on to look at the services it named: safe checks, told as notes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import msgspec

from portulan.drive.checking import Checking, Found, Visit
from portulan.drive.clock import Clock
from portulan.drive.discovering import Steps
from portulan.drive.identifying import Aim
from portulan.drive.plan import Plan
from portulan.drive.step import Step
from portulan.ident.checks import Check, Place
from portulan.record import AnyEvent, End, Host, Note, Service


class CheckingJob:
    """A job whose named services are looked at before its end.

    `known` are events of an earlier run of the same job: what a check told is not asked again.
    """

    def __init__(
        self, job: Steps, plan: Plan, checks: Sequence[Check], known: Sequence[AnyEvent] = (),
    ) -> None:
        self._job, self._plan, self._checks = job, plan, checks
        self._services: dict[tuple[str, int, str], Service] = {}
        self._done: set[tuple[str, int, str, str]] = set()
        self._names: dict[str, str] = {}
        self._under_way: Checking | None = None
        self._began = Clock.now()
        for event in known:
            self._note(event)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._job.stopped

    def stop(self) -> None:
        """End soon, with what is known."""
        self._job.stop()
        if self._under_way is not None:
            self._under_way.stop()

    def steps(self) -> Generator[Step, None, None]:
        """Yield the job's steps, and what checks tell before the `end` event."""
        steps = self._job.steps()
        try:
            for step in steps:
                for event in step.events:
                    self._note(event)
                end = next((each for each in step.events if isinstance(each, End)), None)
                if end is None or end.reason != "done":
                    yield step
                    continue
                yield from self._check()
                yield Step([
                    self._ended(each) if isinstance(each, End) else each for each in step.events])
        finally:
            if self._under_way is not None:
                self._under_way.stop()
            steps.close()

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Service):
            self._services[event.addr, event.port, event.protocol] = event
        elif isinstance(event, Note) and event.check:
            self._done.add((event.addr, event.port, event.protocol, event.check))
        elif isinstance(event, Host) and event.names:
            self._names[event.addr] = event.names[0]

    def _ended(self, end: End) -> End:
        """Return the end, with the time of the checks in it."""
        return msgspec.structs.replace(
            end, reason="interrupted" if self.stopped else end.reason,
            elapsed_s=round((Clock.now() - self._began) / 1e9, 3))

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

    def _check(self) -> Iterator[Step]:
        self._under_way = Checking(self._visits())
        for found in self._under_way.found():
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
