"""Which way packets go: the kernel's own answer, asked once for each stretch of addresses.

We don't imitate the kernel's route choice (tables, rules, metrics, dead next hops, multipath): we
ask it. The dumps only tell where answers may change: at the edges of the prefixes in *any* table
and rule. Between two edges every address gets the same answer, so one question a stretch is exact
under any `ip rule` that looks at destination, source, user or interface. Not covered: rules on
ports or marks, which would need a question a probe.

A network namespace belongs to a thread: load and look up in the same one.
"""

from __future__ import annotations

import errno
import struct
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TypeAlias

from portulan.errors import UsageError
from portulan.link.interfaces import Interface, interfaces_of
from portulan.link.netlink import (
    AF_OF_FAMILY,
    FAMILY_OF_AF,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_GETRULE,
    Answer,
    Rtnetlink,
    address,
    address_text,
    attribute,
    attributes,
    number,
)

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS = 1, 4, 5, 6, 7, 8
RTA_MULTIPATH, RTA_TABLE, RTA_VIA = 9, 15, 18
RTAX_MTU = 2
RTM_F_LOOKUP_TABLE = 0x1000
FRA_DST = 1
NDA_DST, NDA_LLADDR = 1, 2
NTF_ROUTER = 0x80

KINDS = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole",
    7: "unreachable", 8: "prohibit", 9: "throw",
}
TABLE_MAIN, TABLE_LOCAL = 254, 255
NEIGHBOUR_STATES = {
    0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe",
    0x20: "failed", 0x40: "noarp", 0x80: "permanent",
}

_REFUSALS = {
    errno.EINVAL: "blackhole", errno.EHOSTUNREACH: "unreachable", errno.EACCES: "prohibit",
}
"""The errno a lookup gives for a route that refuses (net/ipv4/fib_semantics.c, fib_props)."""

LOOPBACK_INDEX = 1
"""lo is the first interface of every network namespace (net/net_namespace.h)."""

_FIXED_EDGES = {
    # The kernel treats these apart from any table: 0.0.0.0 is "this host", 0/8 was refused until
    # Linux 5.3, 224/4 is multicast, 255.255.255.255 is broadcast on the default interface.
    4: ((0, 32), (0, 8), (0xE0000000, 4), (0xFFFFFFFF, 32)),
    6: ((0, 128), (0xFE80 << 112, 10), (0xFF << 120, 8)),
}

_rtmsg = struct.Struct("=BBBBBBBBI")


@dataclass(frozen=True, slots=True)
class Route:
    """How packets to a destination leave this machine."""

    interface: str
    """Name; empty if the route refuses."""
    index: int
    family: int
    """4 or 6."""
    gateway: int | None
    """The router's address; None if the destination is on the link, or here."""
    source: int | None
    """The address the kernel would send from; None if it varies, then `source_for` tells."""
    mtu: int
    """Bytes of the largest IP packet."""
    kind: str
    """unicast, local, broadcast, anycast; or a refusal: blackhole, unreachable, prohibit."""
    table: int
    gateway_family: int = 0
    """4 or 6 where there is a gateway: an IPv4 route may go through an IPv6 router (RFC 9229)."""

    @property
    def loopback(self) -> bool:
        """The destination is this machine; it answers for a router's IPv6 anycast address too."""
        return self.kind == "local" or (self.kind == "anycast" and self.index == LOOPBACK_INDEX)

    @property
    def on_link(self) -> bool:
        """The destination is a neighbour: no router in between."""
        return self.gateway is None and not self.loopback and not self.refused

    @property
    def refused(self) -> bool:
        """A route says that such packets must not leave."""
        return self.kind in _REFUSALS.values()


RoutedRange: TypeAlias = tuple[int, int, Route | None]
"""Start, count, and the way of all of them; None where there is no route."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a routing table; several with one destination are told apart by metric or path."""

    family: int
    destination: int
    prefix_length: int
    kind: str
    table: int
    metric: int
    interface: str
    index: int
    gateway: int | None
    gateway_family: int
    source: int | None

    @property
    def default(self) -> bool:
        """It is taken when nothing else fits."""
        return self.prefix_length == 0


class Routes:
    """The tables' edges as loaded, and the kernel's answers between them, asked once each."""

    def __init__(
        self, known: list[Interface], entries: list[Entry], rules: list[tuple[int, int, int]],
    ) -> None:
        self.interfaces = {one.index: one for one in known}
        self.entries = entries
        self._edges = {family: _edges(family, entries, rules) for family in (4, 6)}
        self._answers: dict[tuple[int, int, int], Route | None] = {}

    @classmethod
    def load(cls) -> Routes:
        """Read interfaces, tables and rules of this network namespace."""
        with Rtnetlink() as kernel:
            known = interfaces_of(kernel)
            names = {one.index: one.name for one in known}
            tables = [answer for family in (4, 6) for answer in kernel.dump(RTM_GETROUTE, family)]
            entries = [entry for answer in tables for entry in _entries(answer, names)]
            rules = [
                _rule(answer) for family in (4, 6) for answer in kernel.dump(RTM_GETRULE, family)
            ]
        return cls(known, entries, rules)

    def lookup(self, destination: int, family: int = 4, *, interface: int = 0) -> Route | None:
        """Return the way to one address, None if there is none or it is multicast.

        `interface` (an index) restricts the choice to one interface; link-local IPv6 needs it.
        With it, IPv4 without a fitting route counts as on the link, as for the kernel.
        """
        return self.lookup_ranges(family, destination, 1, interface=interface)[0][2]

    def lookup_ranges(
        self, family: int, start: int, count: int, *, interface: int = 0,
    ) -> list[RoutedRange]:
        """Return the ways to `count` addresses from `start`, in order, without gaps."""
        edges, end = self._edges[family], start + count
        found: list[RoutedRange] = []
        with Rtnetlink() as kernel:
            at = bisect_right(edges, start) - 1
            while start < end:
                stop = min(end, edges[at + 1])
                route = self._answer(kernel, (family, at, interface))
                if found and found[-1][2] == route:
                    first, length, _ = found.pop()
                    found.append((first, length + stop - start, route))
                else:
                    found.append((start, stop - start, route))
                start, at = stop, at + 1
        return found

    def source_for(self, route: Route, destination: int) -> int | None:
        """Return the address the kernel would send from.

        For IPv6 it depends on the destination (RFC 6724), not on the route alone.
        """
        if route.loopback and route.source is None:
            return destination
        if route.family == 4 or route.loopback or route.refused:
            return route.source
        index = route.index if _link_local(6, destination) else 0
        with Rtnetlink() as kernel:
            found = _ask(kernel, 6, destination, index)
            if isinstance(found, Answer) and number(found.attributes.get(RTA_OIF)) != route.index:
                found = _ask(kernel, 6, destination, route.index)
        return address(found.attributes.get(RTA_PREFSRC)) if isinstance(found, Answer) else None

    def _answer(self, kernel: Rtnetlink, stretch: tuple[int, int, int]) -> Route | None:
        if stretch not in self._answers:
            family, at, interface = stretch
            edges = self._edges[family]
            first = edges[at]
            if _link_local(family, first) and not interface:
                raise UsageError(
                    "a link-local address needs its interface", text=address_text(first, family),
                    hint="write it with a zone, as in fe80::1%eth0, or choose one with -e",
                )
            route = self._route(family, _ask(kernel, family, first, interface))
            if route and route.loopback and route.source == first and edges[at + 1] > first + 1:
                # A whole prefix is local (AnyIP): each of its addresses answers for itself.
                route = replace(route, source=None)
            self._answers[stretch] = route
        return self._answers[stretch]

    def _route(self, family: int, answer: Answer | int) -> Route | None:
        if isinstance(answer, int):
            kind = _REFUSALS.get(answer, "")
            refusal = Route("", 0, family, None, source=None, mtu=0, kind=kind, table=0)
            return refusal if kind else None
        found, kind = answer.attributes, KINDS.get(answer.header[7], "")
        if kind in ("multicast", ""):
            return None
        gateway, gateway_family = _gateway(found, family)
        index = number(found.get(RTA_OIF))
        device = self.interfaces.get(index)
        metrics = attributes(found.get(RTA_METRICS, b""))
        return Route(
            device.name if device else f"if{index}", index, family, gateway,
            source=address(found.get(RTA_PREFSRC)),
            mtu=number(metrics.get(RTAX_MTU)) or (device.mtu if device else 0),
            kind=kind,
            # Until the first rule of one's own, IPv4 keeps local and main in one trie: "main".
            table=TABLE_LOCAL if kind == "local" else number(found.get(RTA_TABLE)),
            gateway_family=gateway_family,
        )


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A line of the kernel's ARP and ND tables."""

    index: int
    family: int
    address: int
    mac: bytes | None
    state: str
    router: bool


def neighbour_table() -> list[Neighbour]:
    """Return the kernel's ARP and ND entries, also those without an answer, without multicast."""
    with Rtnetlink() as kernel:
        found = [_neighbour(answer) for answer in kernel.dump(RTM_GETNEIGH)]
    return [one for one in found if one is not None]


def neighbours() -> dict[tuple[int, int, int], bytes]:
    """Return {(interface index, address, family): MAC} of all neighbours whose MAC is known."""
    return {
        (one.index, one.address, one.family): one.mac
        for one in neighbour_table() if one.mac and one.state not in ("incomplete", "failed")
    }


def _edges(family: int, entries: list[Entry], rules: list[tuple[int, int, int]]) -> list[int]:
    bits = 32 if family == 4 else 128
    prefixes = {(one.destination, one.prefix_length) for one in entries if one.family == family}
    prefixes.update((start, length) for of, start, length in rules if of == family)
    prefixes.update(_FIXED_EDGES[family])
    edges = {0, 1 << bits}
    for start, length in prefixes:
        edges.update((start, start + (1 << (bits - length))))
    return sorted(edges)


def _ask(kernel: Rtnetlink, family: int, destination: int, interface: int) -> Answer | int:
    size = 4 if family == 4 else 16
    body = _rtmsg.pack(AF_OF_FAMILY[family], size * 8, 0, 0, 0, 0, 0, 0, RTM_F_LOOKUP_TABLE)
    body += attribute(RTA_DST, destination.to_bytes(size, "big"))
    if interface:
        body += attribute(RTA_OIF, struct.pack("=I", interface))
    return kernel.ask(RTM_GETROUTE, body)


def _gateway(found: dict[int, bytes], family: int) -> tuple[int | None, int]:
    via = found.get(RTA_VIA)
    if via:  # struct rtvia: family (2 bytes), address
        return int.from_bytes(via[2:], "big"), FAMILY_OF_AF.get(number(via[:2]), 0)
    gateway = address(found.get(RTA_GATEWAY))
    return gateway, family if gateway is not None else 0


def _entries(answer: Answer, names: dict[int, str]) -> list[Entry]:
    af, prefix_length, _, _, table, _, _, kind, _ = _rtmsg.unpack(answer.header)
    found, family = answer.attributes, FAMILY_OF_AF[af]
    made: list[Entry] = []
    for index, hop in _hops(answer):
        gateway, gateway_family = _gateway(hop, family)
        made.append(Entry(
            family=family,
            destination=address(found.get(RTA_DST)) or 0,
            prefix_length=prefix_length,
            kind=KINDS.get(kind, str(kind)),
            table=number(found.get(RTA_TABLE)) or table,
            metric=number(found.get(RTA_PRIORITY)),
            interface=names.get(index, ""),
            index=index,
            gateway=gateway,
            gateway_family=gateway_family,
            source=address(found.get(RTA_PREFSRC)),
        ))
    return made


def _hops(answer: Answer) -> list[tuple[int, dict[int, bytes]]]:
    """Return (interface index, attributes) of each path; most routes have one."""
    paths = answer.attributes.get(RTA_MULTIPATH, b"")
    if not paths:
        return [(number(answer.attributes.get(RTA_OIF)), answer.attributes)]
    found, at = [], 0
    while at + 8 <= len(paths):  # struct rtnexthop: length, flags, weight, interface
        length, _, _, index = struct.unpack_from("=HBBi", paths, at)
        if length < 8:
            break
        found.append((index, attributes(paths[at : at + length], 8)))
        at += (length + 3) & ~3
    return found


def _rule(answer: Answer) -> tuple[int, int, int]:
    start = address(answer.attributes.get(FRA_DST)) or 0
    return FAMILY_OF_AF.get(answer.header[0], 0), start, answer.header[1]


def _neighbour(answer: Answer) -> Neighbour | None:
    af, index, state, flags, kind = struct.unpack("=BxxxiHBB", answer.header)
    where, mac = address(answer.attributes.get(NDA_DST)), answer.attributes.get(NDA_LLADDR, b"")
    if af not in FAMILY_OF_AF or where is None or KINDS.get(kind) == "multicast":
        return None
    return Neighbour(
        index=index, family=FAMILY_OF_AF[af], address=where, mac=mac if len(mac) == 6 else None,
        state=NEIGHBOUR_STATES.get(state, "none"), router=bool(flags & NTF_ROUTER),
    )


def _link_local(family: int, destination: int) -> bool:
    return family == 6 and destination >> 118 == 0x3FA
