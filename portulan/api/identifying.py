"""Name the services behind given ports: no scan, just talk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal

from portulan.drive.identifying import Aim, Identification, Identified, Limits
from portulan.drive.identifying_events import service_event
from portulan.errors import UsageError
from portulan.ident.probes import MUTE
from portulan.record import Port, PortState, Service
from portulan.sockets.resolve import resolve

if TYPE_CHECKING:
    from portulan.ident.rules import Book

PORT_MAX: Final = 65_535
_STATES: Final[dict[str, tuple[PortState, str]]] = {
    "closed": ("closed", "conn-refused"), "unreachable": ("filtered", "no-response"),
}


def identify(
    places: str | Iterable[str], *, host_timeout_s: float = 0.0, interface: str = "",
    book: Book | None = None,
) -> list[Service]:
    """Return what runs behind places as `host:22,80,U:53`, in their order.

    A port that says nothing, or is closed, has the name "unknown". Raises `UsageError`.
    """
    aims = aims_of(places.split() if isinstance(places, str) else places)
    limits = Limits(host_timeout_s=host_timeout_s, interface=interface)
    found = {each.aim: each for each in Identification(aims, limits=limits, book=book).found()}
    return [_service(found[aim]) for aim in aims]


def identify_events(
    aims: Iterable[Aim], *, limits: Limits | None = None, book: Book | None = None
) -> Iterator[Port | Service]:
    """Yield an event for each port as soon as it is named: its service, or its state alone."""
    for found in Identification(aims, limits=limits, book=book).found():
        yield event_of(found)


def event_of(found: Identified) -> Port | Service:
    """Return the event of a port that was asked by itself."""
    state = _STATES.get(found.outcome.state)
    if state is None:
        return _service(found)
    aim = found.aim
    return Port(
        addr=aim.addr, port=aim.port, protocol=aim.protocol, state=state[0],
        reason="port-unreach" if aim.protocol == "udp" and state[0] == "closed" else state[1])


def _service(found: Identified) -> Service:
    aim, event = found.aim, service_event(found)
    return event or Service(
        addr=aim.addr, port=aim.port, protocol=aim.protocol, name="unknown", info=_quiet(found),
        took_ms=round(found.elapsed_ns / 1e6, 1))


def _quiet(found: Identified) -> str:
    """Return why nothing is told, as far as one can know."""
    said = _QUIET.get(found.outcome.state, "")
    why = MUTE.get((found.aim.protocol, found.aim.port))
    return f"{said}: {why}" if why and found.outcome.state == "silent" else said


_QUIET: Final = {
    "silent": "said nothing", "stopped": "not asked to the end", "closed": "closed",
    "unreachable": "unreachable",
}


def aims_of(places: Iterable[str]) -> list[Aim]:
    """Return the ports that places name, each once; raises `UsageError`."""
    return list(dict.fromkeys(aim for place in places for aim in _aims(place)))


def _aims(place: str) -> Iterator[Aim]:
    scheme, marked, rest = place.partition("://")
    if marked and scheme not in ("tcp", "udp"):
        raise UsageError("what is asked is tcp:// or udp://", text=place,
                         hint="TLS is found by itself")
    host, ports = _split(rest if marked else place)
    tcp, udp = _ports(ports, scheme if marked else "tcp", place)
    host, _, zone = host.partition("%")
    scope_id = _scope(zone, place)
    found = resolve(host)
    if not found:
        raise UsageError("no address for this host", text=host, hint="check the name")
    addr = found[0].partition("%")[0]
    name = "" if host == addr else host
    asked: tuple[tuple[Literal["tcp", "udp"], tuple[int, ...]], ...] = (
        ("tcp", tcp), ("udp", udp))
    for protocol, numbers in asked:
        for port in numbers:
            yield Aim(addr, port, protocol, name, scope_id)


def _ports(text: str, protocol: str, place: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return TCP and UDP ports; raises `UsageError`."""
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= PORT_MAX:
        # One plain port needs none of what sets of ports need, which takes a tenth of a second.
        return ((int(text),), ()) if protocol == "tcp" else ((), (int(text),))
    from portulan.target.ports import parse_ports

    chosen = parse_ports(text, protocols=(protocol,), where=place)
    if chosen.sctp:
        raise UsageError("only TCP and UDP can be asked", text=place, hint="leave S: out")
    return chosen.tcp, chosen.udp


def _scope(zone: str, place: str) -> int:
    import socket

    if not zone:
        return 0
    try:
        return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    except OSError:
        raise UsageError("no such interface", text=zone, where=place,
                         hint="see: portulan info") from None


def _split(place: str) -> tuple[str, str]:
    """Return host and ports of `host:22`, `[::1]:22`, `10.0.0.1:22,80,U:53`, `udp://host:53`."""
    if place.startswith("["):
        host, closed, ports = place[1:].partition("]")
        ports = ports.removeprefix(":") if closed else ""
    else:
        host, _, ports = place.partition(":")
        if ports.count(":") > 1 and not ports.upper().startswith(("T:", "U:")):
            raise UsageError("an IPv6 address stands in brackets", text=place,
                             hint="as [fe80::1%eth0]:22")
    if not host or not ports:
        raise UsageError("no port to ask", text=place, hint="write HOST:PORT, as 10.0.0.1:22,80")
    return host, ports
