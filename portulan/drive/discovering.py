"""Who is there: the host phases of a scan, then names for those that are up."""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import ip_address
from typing import Protocol

from portulan.drive.step import Step
from portulan.record import AnyEvent, End, Host
from portulan.sockets.mdns import own_names
from portulan.sockets.names import reverse_names


class Steps(Protocol):
    """A job."""

    @property
    def stopped(self) -> bool:
        """Whether it was asked to end."""
        ...

    def stop(self) -> None:
        """End soon."""
        ...

    def steps(self) -> Generator[Step, None, None]:
        """Yield what happens."""
        ...


class Discovering:
    """A job whose hosts get names before its end, by reverse DNS, and their own if on the link.

    `server` as in `names.py`.
    """

    def __init__(self, job: Steps, server: str = "") -> None:
        self._job, self._server = job, server
        self._up: dict[str, Host] = {}
        self._near: set[str] = set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._job.stopped

    def stop(self) -> None:
        """End soon, with what is known."""
        self._job.stop()

    def steps(self) -> Generator[Step, None, None]:
        """Yield the job's steps, and hosts with their names before the `end` event."""
        steps = self._job.steps()
        try:
            for step in steps:
                for event in step.events:
                    if isinstance(event, Host) and event.state == "up":
                        self._up.setdefault(event.addr, event)
                        self._near.update([event.addr] if event.mac else [])
                if any(isinstance(event, End) for event in step.events) and not self.stopped:
                    yield Step(self._named())
                yield step
        finally:
            steps.close()

    def _named(self) -> list[AnyEvent]:
        # What is on one link only has no name beyond it, and cannot be asked without its zone.
        addresses = [addr for addr in self._up if not ip_address(addr).is_link_local]
        names: dict[str, list[str]] = {}
        near = [addr for addr in addresses if addr in self._near]
        for addr, name in (*reverse_names(addresses, self._server), *own_names(near)):
            names.setdefault(addr, [*self._up[addr].names])
            if name not in names[addr]:
                names[addr].append(name)
        return [
            Host(addr=addr, state="up", reason=self._up[addr].reason, names=known)
            for addr, known in names.items()
        ]
