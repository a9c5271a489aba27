"""What a check is: its name, for whom, its budget, and the script it follows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final, Literal

from portulan.record import Level, Service

CONNECTIONS_MAX: Final = 12
OCTETS_MAX: Final = 4 << 20
SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """A service that was named, and what is known of it; `now_s` is Unix time."""

    service: Service
    host: str
    """What a client would write into a request: `example.org:8080`."""
    now_s: float = 0.0

    @property
    def secure(self) -> bool:
        """Whether the service speaks inside TLS."""
        return self.service.tls


@dataclass(frozen=True, slots=True)
class Say:
    """Something to say; the answer is what comes until it is enough, or nothing comes any more.

    `fresh` asks for a connection of its own; `plain` for one without TLS where the service is
    inside TLS; an empty `data` only listens.
    """

    data: bytes = b""
    enough: Callable[[bytes], bool] | None = None
    fresh: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence that a check found out."""

    text: str
    level: Level = "info"


Script = Generator[Say, bytes, list[Told]]


@dataclass(frozen=True, slots=True)
class Check:
    """A script, for whom it is, and what it may cost at most at one place."""

    name: str
    services: tuple[str, ...]
    script: Callable[[Place], Script]
    transport: Literal["tcp", "udp", "any"] = "tcp"
    secure_only: bool = False
    """Only for services inside TLS, whatever their name."""
    connections: int = 1
    octets: int = 64 << 10
    seconds: float = 5.0
    about: str = field(default="")

    def suits(self, service: Service) -> bool:
        """Tell whether this check asks such a service."""
        if self.transport not in ("any", service.protocol):
            return False
        if self.secure_only:
            return service.tls
        return service.name in self.services


def check(
    name: str, *, services: Iterable[str] = (), transport: Literal["tcp", "udp", "any"] = "tcp",
    secure_only: bool = False, connections: int = 1, octets: int = 64 << 10, seconds: float = 5.0,
) -> Callable[[Callable[[Place], Script]], Check]:
    """Return a decorator that makes a check of a script; the docstring's first line says why."""
    if not (0 <= connections <= CONNECTIONS_MAX and 0 <= octets <= OCTETS_MAX
            and 0 < seconds <= SECONDS_MAX):
        raise ValueError(f"the budget of {name} is not a small one")

    def made(script: Callable[[Place], Script]) -> Check:
        about = (script.__doc__ or "").strip().split("\n")[0]
        return Check(
            name=name, services=tuple(services), script=script, transport=transport,
            secure_only=secure_only, connections=connections, octets=octets, seconds=seconds,
            about=about)

    return made


def collect(module: ModuleType) -> Iterator[Check]:
    """Yield the checks that a module defines."""
    for value in vars(module).values():
        if isinstance(value, Check):
            yield value


@cache
def builtin() -> tuple[Check, ...]:
    """Return the checks that come with Portulan, by name."""
    package = import_module("portulan.ident.checks")
    found = {
        each.name: each
        for info in iter_modules(package.__path__)
        for each in collect(import_module(f"portulan.ident.checks.{info.name}"))}
    return tuple(found[name] for name in sorted(found))


def ran(script: Script, answers: Iterable[bytes]) -> list[Told]:
    """Return what a script tells when it is answered so; for tests and examples."""
    try:
        next(script)
        for answer in answers:
            script.send(answer)
        while True:
            script.send(b"")
    except StopIteration as end:
        told: list[Told] = end.value or []
        return told
