"""Ports: text to sets of ports and back, names, ranks, and what a number means."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Final

from portulan.errors import UsageError
from portulan.target.protocols import NAMES as PROTOCOL_NAMES
from portulan.target.protocols import PROTOCOL_MAX
from portulan.target.ranking_data import (
    TCP_ALTERNATES,
    TCP_TIERS,
    UDP_ALTERNATES,
    UDP_TIERS,
)
from portulan.target.services_data import SERVICES

PORT_MAX: Final = 65_535
TEXT_MAX: Final = 500_000
"""Characters of one port list: every port number, each with its comma, takes 382,000."""

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132, "ip": 0}
"""IANA protocol numbers; "ports" of ip are protocol numbers, and sockets call IP itself 0."""

_PREFIXES: Final = {"T": "tcp", "U": "udp", "S": "sctp", "P": "ip"}
_NAME: Final = re.compile(r"[a-z0-9_.+*?-]{1,64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PortSet:
    """Ports by protocol, each sorted and unique.

    >>> str(PortSet.of(tcp=[80, 22, 23, 24], udp=[53]))
    'T:22-24,80 U:53'
    """

    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    sctp: tuple[int, ...] = ()
    ip: tuple[int, ...] = ()
    """Numbers of IP protocols."""

    @classmethod
    def of(
        cls, tcp: Iterable[int] = (), udp: Iterable[int] = (), sctp: Iterable[int] = (),
        ip: Iterable[int] = (),
    ) -> PortSet:
        """Return the set of these ports, in any order and number."""
        return cls(*(tuple(sorted(set(ports))) for ports in (tcp, udp, sctp, ip)))

    @property
    def by_protocol(self) -> tuple[tuple[int, ...], ...]:
        """The ports of tcp, udp, sctp and ip."""
        return self.tcp, self.udp, self.sctp, self.ip

    def __len__(self) -> int:
        return sum(map(len, self.by_protocol))

    def __str__(self) -> str:
        parts = zip(_PREFIXES, self.by_protocol, strict=True)
        return " ".join(f"{letter}:{_compact(ports)}" for letter, ports in parts if ports)

    def union(self, *others: PortSet) -> PortSet:
        """Return the ports that are in any of the sets."""
        every = zip(*(item.by_protocol for item in (self, *others)), strict=True)
        return PortSet.of(*(chain(*parts) for parts in every))

    def without(self, other: PortSet) -> PortSet:
        """Return the ports that are not in the other set."""
        both = zip(self.by_protocol, other.by_protocol, strict=True)
        return PortSet.of(*({*mine} - {*theirs} for mine, theirs in both))

    def packed(self) -> tuple[int, ...]:
        """Return IANA protocol number << 16 | port of each, ascending: ip, tcp, udp, sctp."""
        return _packed(self)


@lru_cache(maxsize=64)
def _packed(ports: PortSet) -> tuple[int, ...]:
    # Asked for by each block of targets; for all 65,535 ports it takes 5 ms.
    return (
        *ports.ip, *(6 << 16 | port for port in ports.tcp),
        *(17 << 16 | port for port in ports.udp), *(132 << 16 | port for port in ports.sctp),
    )


EVERY_PORT: Final = PortSet(*(tuple(range(PORT_MAX + 1)),) * 3, tuple(range(PROTOCOL_MAX + 1)))
"""All ports of all protocols, 0 among them."""


NO_PORTS: Final = PortSet()


def parse_ports(
    text: str, *, protocols: Sequence[str] = ("tcp",), where: str = "-p"
) -> PortSet:
    """Return the ports that nmap's syntax names; raises `UsageError`.

    `22,80,1-1024,60000-,-100,-,http*,U:53,T:443,P:47`: a prefix lasts until the next one, and
    what stands before any goes to all of `protocols`. Port 0 is only meant where it is written,
    but for IP protocols, which begin with 0.
    """
    if len(text) > TEXT_MAX:
        raise UsageError(f"a port list of {len(text)} characters", where=where, hint="use ranges")
    found: dict[str, set[int]] = {name: set() for name in PROTOCOLS}
    active = tuple(protocols)
    for token in text.split(","):
        item = token.strip()
        if item[1:2] == ":":
            active, item = (_protocol(item, where),), item[2:].strip()
        if not item:
            raise UsageError(
                "no port between commas" if text.strip() else "no port", text=text, where=where,
                hint="write ports as 22,80,1-1024 or U:53",
            )
        for protocol in active:
            found[protocol].update(_ports_of(item, protocol, active, where=where))
    return PortSet.of(**found)


def top_ports(count: int, protocol: str = "tcp", *, where: str = "--top-ports") -> tuple[int, ...]:
    """Return the `count` ports most likely to be open, the likeliest first; raises `UsageError`."""
    if protocol not in ("tcp", "udp", "sctp"):
        raise UsageError("no ranking of this protocol", text=protocol, where=where,
                         hint="tcp, udp and sctp have one")
    if not 1 <= count <= PORT_MAX:
        raise UsageError("not a number of ports", text=str(count), where=where,
                         hint=f"from 1 to {PORT_MAX}")
    return _ranking(protocol)[:count]


def service_name(port: int, protocol: str = "tcp") -> str:
    """Return the name registered or customary for a port, '' if there is none.

    It says what to expect, never what answers there.
    """
    return _names().get((protocol, port), "")


def port_class(port: int) -> str:
    """Return 'well-known', 'registered' or 'dynamic' (RFC 6335 section 6)."""
    return "well-known" if port < 1024 else "registered" if port < 49_152 else "dynamic"


def describe_port(port: int, protocol: str = "tcp") -> str:
    """Return a sentence about a port.

    >>> describe_port(443)
    '443/tcp is a well-known port (0-1023), by custom https.'
    """
    if protocol == "ip":
        return f"IP protocol {port} is {service_name(port, protocol) or 'not assigned'}."
    kind = port_class(port)
    span = {"well-known": "0-1023", "registered": "1024-49151", "dynamic": "49152-65535"}[kind]
    name = service_name(port, protocol)
    custom = f"by custom {name}" if name else "without a customary service"
    others = sorted(n for n, p in _ports_by_name(protocol).items() if port in p and n != name)
    also = f" (also {', '.join(others)})" if others else ""
    return f"{port}/{protocol} is a {kind} port ({span}), {custom}{also}."


def _protocol(item: str, where: str) -> str:
    try:
        return _PREFIXES[item[0].upper()]
    except KeyError:
        raise UsageError("unknown protocol prefix", text=item, where=where,
                         hint="T: for tcp, U: for udp, S: for sctp, P: for IP protocols") from None


def _ports_of(item: str, protocol: str, active: tuple[str, ...], *, where: str) -> Iterable[int]:
    if re.fullmatch(r"[0-9]*-[0-9]*|[0-9]+", item):
        return _numbers(item, where, protocol)
    if not _NAME.fullmatch(item):
        raise UsageError("neither a port nor a service name", text=item, where=where,
                         hint="write ports as 22,80,1-1024 or U:53")
    named = _named(item, protocol)
    if not named and not any(_named(item, other) for other in active):
        raise _unknown(item, active, where)
    return named


def _numbers(item: str, where: str, protocol: str) -> range:
    least, most, what = (0, PROTOCOL_MAX, "protocol") if protocol == "ip" else (1, PORT_MAX, "port")
    first, dash, last = item.partition("-")
    start = _number(first) if first else least
    stop = _number(last) if last else most if dash else start
    if max(start, stop) > most:
        raise UsageError(f"no such {what}", text=item, where=where, hint=f"{what}s end at {most}")
    if start > stop:
        raise UsageError("a range that runs backwards", text=item, where=where,
                         hint=f"write {stop}-{start}")
    return range(start, stop + 1)


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[:9] or 0)


def _named(item: str, protocol: str) -> set[int]:
    names, wanted = _ports_by_name(protocol), item.lower()
    if "*" not in wanted and "?" not in wanted:
        return names.get(wanted, set())
    return {port for name in fnmatch.filter(names, wanted) for port in names[name]}


def _unknown(item: str, active: tuple[str, ...], where: str) -> UsageError:
    for letter, protocol in _PREFIXES.items():
        if protocol not in active and _named(item, protocol):
            reason = f"no {' or '.join(active)} port has this name"
            return UsageError(reason, text=item, where=where, hint=f"{letter}:{item} exists")
    known = chain(*(_ports_by_name(protocol) for protocol in active))
    close = difflib.get_close_matches(item.lower(), sorted(set(known)), 3)
    hint = f"close: {', '.join(close)}" if close else "give its number instead"
    return UsageError("unknown service name", text=item, where=where, hint=hint)


def _compact(ports: Sequence[int]) -> str:
    parts, at = [], 0
    while at < len(ports):
        end = at
        while end + 1 < len(ports) and ports[end + 1] == ports[end] + 1:
            end += 1
        joint = "-" if end - at > 1 else ","
        parts.append(str(ports[at]) if end == at else f"{ports[at]}{joint}{ports[end]}")
        at = end + 1
    return ",".join(parts)


def _entries() -> Iterator[tuple[list[str], int, str]]:
    letters = {protocol[0]: protocol for protocol in PROTOCOLS}
    for line in SERVICES.splitlines():
        name, at, *aliases = line.split()
        port, _, protocols = at.partition("/")
        for letter in protocols:
            yield [name, *aliases], int(port), letters[letter]
    for number, name in PROTOCOL_NAMES.items():
        yield [name], number, "ip"


@cache
def _names() -> dict[tuple[str, int], str]:
    return {(protocol, port): names[0] for names, port, protocol in _entries()}


@cache
def _ports_by_name(protocol: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for names, port, of in _entries():
        if of == protocol:
            for name in names:
                found.setdefault(name, set()).add(port)
    return found


@cache
def _ranking(protocol: str) -> tuple[int, ...]:
    tiers, alternates = {
        "tcp": (TCP_TIERS, TCP_ALTERNATES), "udp": (UDP_TIERS, UDP_ALTERNATES),
        # Nobody has counted SCTP's: those that are registered, then the others.
        "sctp": ((), "1-1"),
    }[protocol]
    spans = (part.partition("-") for part in alternates.split(","))
    return tuple(dict.fromkeys(chain(
        (int(port) for tier in tiers for port in tier.split()),
        sorted(port for of, port in _names() if of == protocol),
        *(range(int(first), int(last) + 1) for first, _, last in spans),
        range(1, PORT_MAX + 1),
    )))
