"""Which way leads to which targets: routes as the kernel chooses them, as links and paths."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.interfaces import Interface
from portulan.link.routes import Route, Routes
from portulan.scan.paths import NO_WAY, Paths, Via
from portulan.target.address import address_texts
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.target.targets import Targets
from portulan.wire.frames import LinkType

#: Ways that differ in a scan; `Paths` numbers them in one byte.
WAYS_MAX = NO_WAY
#: The first ten bits of a link-local IPv6 address (RFC 4291 section 2.5.6).
FE80 = 0x3FA


@dataclass(frozen=True, slots=True)
class Way:
    """A stretch of targets that are reached over one interface in one manner."""

    range: Range
    interface: str
    index: int
    kind: str
    """local: this machine; neighbour: on an Ethernet link; routed; raw: no link header."""
    source: int
    source_mac: bytes = b""
    gateway: int | None = None
    gateway_family: int = 0

    @property
    def local(self) -> bool:
        """The targets are addresses of this machine."""
        return self.kind == "local"

    @property
    def neighbour(self) -> bool:
        """Each target has an Ethernet address of its own that must be asked for."""
        return self.kind == "neighbour"

    @property
    def routed(self) -> bool:
        """A router, or a link without addresses of its own, stands between."""
        return self.kind in ("routed", "raw")

    def __str__(self) -> str:
        where = {"local": "this machine", "neighbour": "on the link"}.get(self.kind, "")
        if self.gateway is not None:
            where = f"via {Range(self.gateway_family, self.gateway)}"
        return f"{self.range} dev {self.interface} {where}".rstrip()


@dataclass(frozen=True, slots=True)
class Unreached:
    """A stretch of targets without a way, and what to do about it."""

    range: Range
    reason: str


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to all targets, in the order of addresses."""

    reached: tuple[Way, ...]
    unreached: tuple[Unreached, ...] = ()

    def all_ranges(self) -> tuple[Range, ...]:
        """Return all targets that are reached."""
        return tuple(way.range for way in self.reached)

    def zones(self) -> dict[str, int]:
        """Return the interface indices of link-local targets by address text."""
        return {
            text: way.index for way in self.reached
            if way.range.family == 6 and way.range.start >> 118 == FE80
            for text in range_texts(way.range)
        }

    def ranges(self, *kinds: str) -> tuple[Range, ...]:
        """Return the targets reached in one of these manners."""
        return tuple(way.range for way in self.reached if way.kind in kinds)


def find_ways(targets: Targets, routes: Routes, interface: str = "") -> Ways:
    """Return the ways the kernel would take; raises `UsageError` for an interface not there."""
    chosen = _interface(routes, interface) if interface else None
    reached: list[Way] = []
    unreached: list[Unreached] = []
    for item in _zoned(targets):
        part, zone = item
        device = _interface(routes, zone, "target") if zone else chosen
        if device is None and _is_link_local(part):
            raise zone_missing(part, routes.interfaces.values())
        found = routes.lookup_ranges(
            part.family, part.start, part.count, interface=device.index if device else 0)
        for start, count, route in found:
            stretch = Range(part.family, start, count)
            if route is None or route.refused:
                unreached.append(Unreached(stretch, _refusal(route, chosen)))
            else:
                _add_way(stretch, route, routes, reached=reached, unreached=unreached)
    return Ways(tuple(reached), tuple(unreached))


def _is_link_local(part: Range) -> bool:
    return part.family == 6 and part.start >> 118 == FE80


def zone_missing(what: Range, interfaces: Iterable[Interface]) -> UsageError:
    """Return the refusal of a link-local address without its interface, with those there are."""
    names = sorted(
        each.name for each in interfaces
        if each.up and any(_is_link_local(Range(a.family, a.address)) for a in each.addresses)
    )
    first = names[0] if names else "eth0"
    there = f"; there are {', '.join(names)}" if len(names) > 1 else ""
    zoned = f"{what}%{first}, or " if what.count == 1 else ""
    return UsageError(
        "each link has its own link-local addresses", text=str(what), where="target",
        hint=f"say which link: {zoned}-e {first}{there}")


def _zoned(targets: Targets) -> Iterable[tuple[Range, str]]:
    """Yield the target ranges, link-local addresses with a zone one by one."""
    for item in targets.ranges:
        at = item.start
        inside = sorted(
            (number, zone) for (family, number), zone in targets.zones.items()
            if family == item.family and item.start <= number < item.stop
        )
        for number, zone in inside:
            if number > at:
                yield Range(item.family, at, number - at), ""
            yield Range(item.family, number), zone
            at = number + 1
        if at < item.stop:
            yield Range(item.family, at, item.stop - at), ""


def _interface(routes: Routes, name: str, where: str = "-e") -> Interface:
    for device in routes.interfaces.values():
        if device.name == name:
            return device
    names = ", ".join(sorted(device.name for device in routes.interfaces.values()))
    raise UsageError("no such interface", text=name, where=where, hint=f"there are {names}")


def _refusal(route: Route | None, chosen: Interface | None) -> str:
    if route is not None:
        return f"the routing table says {route.kind}"
    device = f" on {chosen.name}" if chosen else ""
    return f"the routing table has no way to it{device}; see `portulan info`"


def _add_way(
    stretch: Range, route: Route, routes: Routes, *, reached: list[Way],
    unreached: list[Unreached],
) -> None:
    device = routes.interfaces[route.index]
    source = routes.source_for(route, stretch.start)
    if source is None:
        unreached.append(Unreached(stretch, f"{device.name} has no address to send from"))
        return
    ethernet = device.link_type == LinkType.ETHERNET and not device.loopback
    kind = "local" if route.loopback else "raw"
    if ethernet and not route.loopback:
        kind = "neighbour" if route.on_link else "routed"
    if route.kind == "broadcast":
        unreached.append(Unreached(stretch, "a broadcast address"))
        return
    reached.append(Way(
        stretch, device.name, device.index, kind, source,
        source_mac=device.mac or b"" if ethernet and not route.loopback else b"",
        gateway=route.gateway, gateway_family=route.gateway_family,
    ))


Macs = Mapping[tuple[int, int, int], bytes]
"""(interface index, address, family) -> Ethernet address."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Ethernet addresses that hosts of the link told, one value a host in each column."""

    family: NDArray[np.uint8]
    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    mac: NDArray[np.uint64]


class Cables:
    """Numbers the links a scan needs, and makes paths for its spaces."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._ways = sorted(ways, key=lambda way: (way.range.family, way.range.start))
        self._starts = [(way.range.family, way.range.start) for way in self._ways]
        names = dict.fromkeys(self._cable(way) for way in self._ways)
        self.links: list[tuple[str, bool, int]] = list(names)
        """(interface, Ethernet, family of raw packets) by link number."""

    @staticmethod
    def _cable(way: Way) -> tuple[str, bool, int]:
        return way.interface, bool(way.source_mac), 0 if way.source_mac else way.range.family

    def gateways(self) -> list[Way]:
        """Return the ways that go through a router of an Ethernet link, one a router."""
        found = {(w.index, w.gateway, w.source): w for w in self._ways
                 if w.source_mac and w.gateway is not None}
        return list(found.values())

    def paths(self, space: Space, gateway_macs: Macs, learned: Learned | None = None) -> Paths:
        """Return the way to each host of a space; hosts without one have `NO_WAY`."""
        vias: dict[Via, int] = {}
        numbers = [self._number(way, gateway_macs, vias) for way in self._ways]
        known = list(vias)
        if len(self._ways) == 1 and numbers[0] != NO_WAY and not self._ways[0].neighbour:
            return Paths((known[0],))
        of_host = self._spread(space, numbers)
        macs = _macs(space, learned)
        if macs is not None:
            needs = np.isin(of_host, [n for via, n in vias.items()
                                      if via.ethernet and not via.next_mac])
            of_host[needs & (macs == 0)] = NO_WAY
        return Paths(tuple(known), of_host, macs)

    def asking(self, space: Space) -> Paths:
        """Return the ways by which hosts of an Ethernet link are asked for their address."""
        vias: dict[Via, int] = {}
        numbers = [
            vias.setdefault(self._via(way, 0), len(vias)) if way.source_mac else NO_WAY
            for way in self._ways
        ]
        return Paths(tuple(vias), self._spread(space, numbers))

    def _spread(self, space: Space, numbers: list[int]) -> NDArray[np.uint8]:
        """Return for each host of a space the number of its way."""
        of_host = np.full(space.host_count, NO_WAY, np.uint8)
        host = 0
        for segment in space.segments:
            stretches = self._stretches(segment.family, segment.start, segment.count, numbers)
            for at, count, number in stretches:
                first = host + at - segment.start
                of_host[first : first + count] = number
            host += segment.count
        return of_host

    def _number(self, way: Way, macs: Macs, vias: dict[Via, int]) -> int:
        mac = 0
        if way.source_mac and way.gateway is not None:
            told = macs.get((way.index, way.gateway, way.gateway_family))
            if told is None:
                return NO_WAY
            mac = int.from_bytes(told, "big")
        number = vias.setdefault(self._via(way, mac), len(vias))
        if number >= WAYS_MAX:
            raise UsageError(f"the targets are reached in more than {WAYS_MAX} ways",
                             hint="scan them in parts")
        return number

    def _via(self, way: Way, mac: int) -> Via:
        link = self.links.index(self._cable(way))
        return Via(link, way.range.family, way.source, way.source_mac, mac)

    def _stretches(
        self, family: int, start: int, count: int, numbers: list[int]
    ) -> Iterable[tuple[int, int, int]]:
        at, stop = start, start + count
        place = max(0, bisect_right(self._starts, (family, start)) - 1)
        while at < stop and place < len(self._ways):
            way = self._ways[place].range
            if way.family == family and way.start < stop and way.stop > at:
                first, last = max(at, way.start), min(stop, way.stop)
                yield first, last - first, numbers[place]
                at = last
            elif (way.family, way.start) >= (family, stop):
                return
            place += 1


def _macs(space: Space, learned: Learned | None) -> NDArray[np.uint64] | None:
    if learned is None or not len(learned.mac):
        return None
    macs = np.zeros(space.host_count, np.uint64)
    number = space.host_number(learned.family, learned.hi, learned.lo)
    here = number >= 0
    macs[number[here]] = learned.mac[here]
    return macs


def range_texts(item: Range) -> list[str]:
    """Return the addresses of a range as text."""
    offset = np.arange(item.count, dtype=np.uint64)
    low = np.uint64(item.start & (1 << 64) - 1) + offset
    return address_texts(
        np.full(item.count, item.family, np.uint8),
        np.full(item.count, item.start >> 64, np.uint64), low,
    )
