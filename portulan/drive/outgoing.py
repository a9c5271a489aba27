"""From a packet to frames on links: what was not given comes from routes and neighbour tables."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.interfaces import Interface
from portulan.link.routes import Route, Routes, neighbours
from portulan.wire.arp import ARP
from portulan.wire.craft import build, link_type_of, refresh
from portulan.wire.dns import DNS
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Header, Packet
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

EPHEMERAL = 49_152
"""The first port that belongs to nobody (RFC 6335 section 6)."""
BROADCAST = 0xFFFF_FFFF_FFFF

Index = NDArray[np.int64]
Word = NDArray[np.uint64]
Rows = NDArray[np.uint8]
Hop = tuple[int, int, int]
"""(interface index, address, family) of the next receiver on a link."""
Resolve = Callable[[Interface, list[Hop]], Mapping[Hop, bytes]]
"""Asks on a link for Ethernet addresses."""


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """Frames for one link; `index` tells which of all probes each is."""

    interface: str
    family: int
    """0 for whole frames, else IP packets of this family without a link header."""
    frames: Frames
    index: Index


@dataclass(slots=True)
class Prepared:
    """All frames of a packet, by link."""

    count: int
    parts: list[Outgoing] = field(default_factory=list)
    unreached: dict[int, str] = field(default_factory=dict)
    """Why the probes with these numbers cannot be sent."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How some of the probes leave."""

    device: Interface
    raw: bool
    source: int
    gateway: int | None = None
    gateway_family: int = 0
    broadcast: bool = False


def with_numbers(packet: Packet, turn: int = 0) -> Packet:
    """Return the packet with source port, sequence and ids chosen where they were not given.

    They tell our questions from those of others; each turn has numbers of its own.
    """
    return Packet(tuple(
        _numbered(layer, turn) if isinstance(layer, Header) else layer
        for layer in packet.layers))


_BASE = secrets.randbelow(1 << 14)


def _numbered(layer: Header, turn: int) -> Header:
    new: dict[str, int] = {}
    if isinstance(layer, TCP | UDP):
        new["sport"] = EPHEMERAL + (_BASE + turn) % (65_536 - EPHEMERAL)
    if isinstance(layer, TCP):
        new["seq"] = secrets.randbits(32)
    if isinstance(layer, DNS):
        new["id"] = secrets.randbits(16)
    asks = isinstance(layer, ICMP) and layer.type in (IcmpType.ECHO, IcmpType.TIMESTAMP)
    if asks or (isinstance(layer, ICMPv6) and layer.type == Icmp6Type.ECHO):
        new = {"id": EPHEMERAL + _BASE, "seq": turn & 0xFFFF}
    new = {name: value for name, value in new.items() if not layer.is_given(name)}
    return layer.replace(**new) if new else layer


def prepare(packet: Packet, interface: str, *, resolve: Resolve | None = None) -> Prepared:
    """Return the frames of a packet, by link, addresses filled in from routes.

    Without `resolve` nobody is asked for Ethernet addresses: the kernel's table must know them.
    Raises `UsageError` if no interface can be told.
    """
    first = packet.layers[0]
    if not isinstance(first, Ethernet | ARP | IPv4 | IPv6):
        raise UsageError("cannot be sent: it does not begin with Ethernet, ARP, IPv4 or IPv6",
                         text=type(first).__name__)
    if isinstance(first, ARP):
        packet = Ethernet() / packet
    return _Preparing(packet, interface, resolve).run()


class _Preparing:
    """One packet on its way to frames."""

    def __init__(self, packet: Packet, interface: str, resolve: Resolve | None) -> None:
        self.packet, self.resolve = packet, resolve
        self.routes = Routes.load()
        self.chosen = self._device(interface) if interface else None
        self.at, self.network = _network(packet)
        batch = build(packet)
        self.rows: Rows = batch.buffer.reshape(len(batch), -1)
        self.made = Prepared(len(batch))

    def run(self) -> Prepared:
        """Fill in and sort by link."""
        own_link = link_type_of(self.packet) == LinkType.ETHERNET
        ways, number = self._ways()
        if own_link and not ways and self.chosen is None:
            raise UsageError("no interface to send on", where="packet", hint="say -e IFACE")
        if own_link and self.chosen is not None:
            known = ways[0] if ways else None
            source = known.source if known else 0
            ways = [way for way in ways if way.device.index == self.chosen.index] or [
                _Way(self.chosen, raw=False, source=source)]
            number = np.zeros(len(self.rows), np.int64)
        self._fill_sources(ways, number)
        refresh(self.rows, self.packet)
        for at, way in enumerate(ways):
            index = np.flatnonzero(number == at)
            if len(index):
                self._add(way, index, own_link=own_link)
        return self.made

    def _device(self, name: str) -> Interface:
        for device in self.routes.interfaces.values():
            if device.name == name:
                return device
        names = ", ".join(sorted(each.name for each in self.routes.interfaces.values()))
        raise UsageError("no such interface", text=name, where="-e", hint=f"there are {names}")

    def _ways(self) -> tuple[list[_Way], Index]:
        """Return the ways to all destinations, and the way of each row, -1 for none."""
        number = np.full(len(self.rows), -1, np.int64)
        if self.network is None:
            return [], number
        family, (hi, lo) = _destinations(self.rows, self.at, self.network)
        pairs = np.stack([hi, lo], 1).view("V16")[:, 0]
        _, first, back = np.unique(pairs.view(">u8").reshape(-1, 2), axis=0, return_index=True,
                                   return_inverse=True)
        hi, lo = hi[first], lo[first]
        order = np.lexsort((lo, hi))
        hi, lo = hi[order], lo[order]
        of_unique = np.full(len(hi), -1, np.int64)
        ways: dict[_Way, int] = {}
        edges = np.flatnonzero((np.diff(hi) != 0) | (np.diff(lo) != 1)) + 1
        starts = np.concatenate([[0], edges])
        sizes = np.diff(np.concatenate([starts, [len(hi)]]))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            address = int(hi[start]) << 64 | int(lo[start])
            at = start
            for begin, count, route in self._lookup(family, address, size):
                way = self._way(family, begin, route)
                if way is not None:
                    of_unique[at : at + count] = ways.setdefault(way, len(ways))
                at += count
        placed = np.empty(len(hi), np.int64)
        placed[order] = of_unique
        number = placed[back.reshape(-1)]
        for row in np.flatnonzero(number < 0).tolist():
            self.made.unreached[row] = "no route"
        return list(ways), number

    def _lookup(self, family: int, start: int, count: int) -> list[tuple[int, int, Route | None]]:
        index = self.chosen.index if self.chosen is not None else 0
        return self.routes.lookup_ranges(family, start, count, interface=index)

    def _way(self, family: int, address: int, route: Route | None) -> _Way | None:
        if route is None or route.refused:
            many = _is_many(family, address)
            if not many or self.chosen is None:
                return None
            own = [each.address for each in self.chosen.addresses if each.family == family]
            return _Way(self.chosen, raw=False, source=own[0] if own else 0, broadcast=True)
        device = self.routes.interfaces[route.index]
        source = self.routes.source_for(route, address) or 0
        ethernet = device.link_type == LinkType.ETHERNET and not device.loopback
        if route.loopback or not ethernet:
            device = device if not route.loopback else self._loopback() or device
            return _Way(device, raw=True, source=source)
        return _Way(device, raw=False, source=source, gateway=route.gateway,
                    gateway_family=route.gateway_family,
                    broadcast=route.kind == "broadcast" or _is_many(family, address))

    def _loopback(self) -> Interface | None:
        return next((one for one in self.routes.interfaces.values() if one.loopback), None)

    def _fill_sources(self, ways: list[_Way], number: Index) -> None:
        """Write addresses of ours where none was given."""
        network = self.network
        if not ways:
            return
        sources = np.array([way.source for way in ways] + [0], object)
        own = sources[number]
        if isinstance(network, IPv4) and not network.is_given("src"):
            IPv4.view(self.rows, self.at).src[:] = own.astype(np.uint32)
        elif isinstance(network, IPv6) and not network.is_given("src"):
            view = IPv6.view(self.rows, self.at)
            view.src_hi[:] = (own >> 64).astype(np.uint64)
            view.src_lo[:] = (own & ((1 << 64) - 1)).astype(np.uint64)
        elif isinstance(network, ARP):
            arp: Any = ARP.view(self.rows, self.at)
            if not network.is_given("spa"):
                arp.spa[:] = own.astype(np.uint32)
            if not network.is_given("sha"):
                macs = np.array([_mac(way.device) for way in ways] + [0], np.uint64)
                arp.sha[:] = macs[number]

    def _add(self, way: _Way, index: Index, *, own_link: bool) -> None:
        rows = self.rows[index]
        if own_link:
            self._fill_ethernet(way, rows, index)
        elif not way.raw:
            rows = np.concatenate([np.zeros((len(rows), 14), np.uint8), rows], 1)
            view: Any = Ethernet.view(rows)
            view.ethertype[:] = self.network.ethertype_number if self.network else 0
            view.src[:] = _mac(way.device)
            macs = self._macs(way, index)
            view.dst[:] = macs
            lost = macs == 0
            for row in index[lost].tolist():
                self.made.unreached[row] = "its Ethernet address is not known"
            rows, index = rows[~lost], index[~lost]
        if not len(index):
            return
        family = 0 if own_link or not way.raw else self._family()
        link_type = LinkType.RAW if family else LinkType.ETHERNET
        self.made.parts.append(Outgoing(
            way.device.name, family, Frames.uniform(rows, link_type=link_type), index))

    def _family(self) -> int:
        return 4 if isinstance(self.network, IPv4) else 6

    def _fill_ethernet(self, way: _Way, rows: Rows, index: Index) -> None:
        link = self.packet.layers[0]
        view: Any = Ethernet.view(rows)
        if isinstance(link, Ethernet) and not link.is_given("src"):
            view.src[:] = _mac(way.device)
        if isinstance(link, Ethernet) and not link.is_given("dst") and isinstance(
                self.network, IPv4 | IPv6):
            macs = self._macs(way, index)
            view.dst[:] = np.where(macs == 0, np.uint64(BROADCAST), macs)

    def _macs(self, way: _Way, index: Index) -> Word:
        """Return the Ethernet address of the next receiver of each row, 0 if it is not known."""
        assert self.network is not None  # noqa: S101 - only packets with addresses come here
        family, (hi, lo) = _destinations(self.rows[index], self.at, self.network)
        if way.broadcast:
            if family == 6:
                return np.uint64(0x3333_0000_0000) | lo & np.uint64(0xFFFF_FFFF)
            group = np.uint64(0x0100_5E00_0000) | lo & np.uint64(0x7F_FFFF)
            return np.where(lo >> np.uint64(28) == np.uint64(14), group, np.uint64(BROADCAST))
        if way.gateway is not None:
            hop = (way.device.index, way.gateway, way.gateway_family or family)
            return np.full(len(index), self._ask(way, [hop]).get(hop, 0), np.uint64)
        pairs, back = np.unique(np.stack([hi, lo], 1), axis=0, return_inverse=True)
        hops = [(way.device.index, high << 64 | low, family) for high, low in pairs.tolist()]
        found = self._ask(way, hops)
        return np.array([found.get(hop, 0) for hop in hops], np.uint64)[back.reshape(-1)]

    def _ask(self, way: _Way, hops: list[Hop]) -> dict[Hop, int]:
        known = neighbours()
        missing = [hop for hop in hops if hop not in known]
        if missing and self.resolve is not None:
            known = {**known, **self.resolve(way.device, missing)}
        return {hop: int.from_bytes(known[hop], "big") for hop in hops if hop in known}


def _network(packet: Packet) -> tuple[int, IPv4 | IPv6 | ARP | None]:
    """Return where the first header with network addresses begins, and the header."""
    at = 0
    for layer in packet.layers:
        if isinstance(layer, IPv4 | IPv6 | ARP):
            return at, layer
        at += layer.size if isinstance(layer, Header) else len(layer)
    return 0, None


def _destinations(
    rows: Rows, at: int, network: IPv4 | IPv6 | ARP
) -> tuple[int, tuple[Word, Word]]:
    view: Any = type(network).view(rows, at)
    if isinstance(network, IPv6):
        return 6, (view.dst_hi.astype(np.uint64), view.dst_lo.astype(np.uint64))
    low = (view.dst if isinstance(network, IPv4) else view.tpa)[:].astype(np.uint64)
    return 4, (np.zeros(len(rows), np.uint64), low)


def _is_many(family: int, address: int) -> bool:
    return address >> 28 == 14 or address == 0xFFFF_FFFF if family == 4 else address >> 120 == 0xFF


def _mac(device: Interface) -> int:
    return int.from_bytes(device.mac or b"", "big")




def with_source(packet: Packet, interface: str = "") -> Packet:
    """Return the packet with the source address that the route to its first destination has.

    Nothing is asked on any link; where there is no route the address stays unset.
    """
    _, network = _network(packet)
    if not isinstance(network, IPv4 | IPv6) or network.is_given("src"):
        return packet
    routes = Routes.load()
    names = {device.name: index for index, device in routes.interfaces.items()}
    if interface and interface not in names:
        raise UsageError("no such interface", text=interface, where="-e",
                         hint=f"there are {', '.join(sorted(names))}")
    family = 4 if isinstance(network, IPv4) else 6
    route = routes.lookup(int(network.dst), family, interface=names.get(interface, 0))
    if route is None or route.refused:
        return packet
    source = routes.source_for(route, int(network.dst)) or 0
    layers = [layer.replace(src=source) if layer is network else layer for layer in packet.layers]
    return Packet(tuple(layers))
