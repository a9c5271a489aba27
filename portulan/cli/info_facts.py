"""What `portulan info` says, as values: this machine, an address, ports. They are its JSON too."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import msgspec

from portulan.errors import UsageError, printable
from portulan.link.interfaces import Interface, interface, interfaces
from portulan.link.netlink import address_text
from portulan.link.rights import Method, Rights, grant, methods, rights
from portulan.link.routes import (
    TABLE_LOCAL,
    TABLE_MAIN,
    Entry,
    Neighbour,
    Route,
    Routes,
    neighbour_table,
)
from portulan.link.vendor import locally_administered, vendor
from portulan.target.address import address_value
from portulan.target.classify import UNASKABLE, classify, describe_address
from portulan.target.ports import describe_port, parse_ports, port_class, service_name

PORTS_MAX = 16
"""Ports explained at once: a screenful."""


class HeldAddress(msgspec.Struct, kw_only=True, frozen=True):
    """An address of an interface."""

    address: str
    prefix_length: int
    scope: str
    broadcast: str | None


class Card(msgspec.Struct, kw_only=True, frozen=True):
    """An interface."""

    name: str
    index: int
    kind: str
    up: bool
    running: bool
    mtu: int
    mac: str | None
    vendor: str
    addresses: list[HeldAddress]


class Way(msgspec.Struct, kw_only=True, frozen=True):
    """A line of a routing table."""

    destination: str
    family: int
    kind: str
    gateway: str | None
    interface: str
    source: str | None
    metric: int
    table: int


class Peer(msgspec.Struct, kw_only=True, frozen=True):
    """A neighbour on a link."""

    address: str
    interface: str
    mac: str | None
    vendor: str
    private_mac: bool
    """The MAC was made up on that machine: no vendor can be known."""
    state: str
    router: bool


class Machine(msgspec.Struct, kw_only=True, frozen=True, tag="machine"):
    """This machine, as far as it matters to a scan."""

    hostname: str
    interfaces: list[Card]
    routes: list[Way]
    neighbours: list[Peer]
    rights: Rights
    methods: list[Method]
    grant: str
    """What gives CAP_NET_RAW; empty if it is held."""


class Path(msgspec.Struct, kw_only=True, frozen=True):
    """The way from here to an address."""

    kind: str
    interface: str
    gateway: str | None
    source: str | None
    mtu: int
    neighbour: Peer | None
    """Who gets the frames: the host itself if it is on the link, else the gateway."""


class Address(msgspec.Struct, kw_only=True, frozen=True, tag="address"):
    """An address, explained."""

    address: str
    """With its zone, if one was given."""
    family: int
    kind: str
    name: str
    rfc: str
    sentence: str
    scannable: bool
    route: Path | None
    zone_missing: bool
    names: list[str] | None
    """Reverse names; null if nobody asked for them."""


class Port(msgspec.Struct, kw_only=True, frozen=True):
    """A port, explained."""

    port: int
    protocol: str
    kind: str
    name: str
    sentence: str


class Ports(msgspec.Struct, kw_only=True, frozen=True, tag="ports"):
    """The ports that a word names."""

    ports: list[Port]


def machine() -> Machine:
    """Ask the kernel about this machine; sends nothing."""
    known, held = interfaces(), rights()
    names = {one.index: one.name for one in known}
    loopbacks = {one.index for one in known if one.loopback}
    return Machine(
        hostname=printable(socket.gethostname()),
        interfaces=[_card(one) for one in known],
        routes=[_way(entry) for entry in sorted(_shown(Routes.load().entries), key=_order)],
        neighbours=[
            _peer(one, names) for one in neighbour_table() if one.index not in loopbacks
        ],
        rights=held,
        methods=methods(held),
        grant="" if held.net_raw else grant(held),
    )


def subject(text: str, *, resolve: bool) -> Address | Ports:
    """Return what the word names: an address, else ports; raises `UsageError`.

    `resolve` asks the system's resolver for an address's names: the only thing that may send.
    """
    if _looks_like_address(text):
        return _explain_address(text, resolve=resolve)
    if resolve:
        raise UsageError("only an address has a reverse name", text=text, where="--resolve")
    return Ports(ports=_explain_ports(text))


def _looks_like_address(text: str) -> bool:
    """Tell an address, even a mistyped one, from a port: a colon, or digits with dots."""
    bare = text.partition("%")[0]
    return ":" in bare or ("." in bare and set(bare) <= set("0123456789./"))


def _explain_address(text: str, *, resolve: bool) -> Address:
    bare, _, zone = text.partition("%")
    if "/" in bare:
        raise UsageError("a network, not an address", text=text, where="info",
                         hint=f"portulan scan --plan {printable(bare)} shows what it holds")
    family, hi, lo = address_value(bare)
    number, found = hi << 64 | lo, classify(bare)
    link_local = family == 6 and found.kind == "link-local"
    if zone and not link_local:
        raise UsageError("only a link-local address has a zone", text=text, where="info")
    index = _zone(zone) if zone else 0
    askable = found.kind not in UNASKABLE
    return Address(
        address=address_text(number, family) + (f"%{printable(zone)}" if zone else ""),
        family=family, kind=found.kind, name=found.name, rfc=found.rfc,
        sentence=describe_address(bare), scannable=askable,
        zone_missing=link_local and not index,
        route=None if link_local and not index else _path(number, family, index),
        names=_names(text) if resolve else None,
    )


def _zone(text: str) -> int:
    """Return an interface's index by its name or number."""
    if text.isascii() and text.isdigit():
        known = {str(one.index): one for one in interfaces()}
        if text in known:
            return known[text].index
    return interface(text).index


def _path(number: int, family: int, index: int) -> Path | None:
    routes = Routes.load()
    route = routes.lookup(number, family, interface=index)
    if route is None:
        return None
    source = routes.source_for(route, number)
    return Path(
        kind=route.kind, interface=printable(route.interface), mtu=route.mtu,
        gateway=_text(route.gateway, route.gateway_family),
        source=_text(source, family),
        neighbour=_next_hop(route, number, {route.index: route.interface}),
    )


def _next_hop(route: Route, number: int, names: dict[int, str]) -> Peer | None:
    if route.kind != "unicast":
        return None
    hop, family = route.gateway, route.gateway_family
    if hop is None:
        hop, family = number, route.family
    for one in neighbour_table():
        if (one.index, one.address, one.family) == (route.index, hop, family):
            return _peer(one, names)
    return None


def _names(text: str) -> list[str]:
    """Return the names the system's resolver knows; waits as long as its own time limits say."""
    try:
        name, aliases, _ = socket.gethostbyaddr(text)
    except OSError:
        return []
    return [printable(one) for one in dict.fromkeys([name, *aliases])]


def _explain_ports(text: str) -> list[Port]:
    word, slash, protocol = text.partition("/")
    protocol = protocol.lower()
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise UsageError("unknown protocol", text=text, where="info", hint="tcp, udp or sctp")
    wanted = (protocol,) if protocol else ("tcp", "udp")
    found = parse_ports(word, protocols=wanted, where="info")
    pairs = [(port, kind) for kind in wanted for port in getattr(found, kind)]
    if len(pairs) > PORTS_MAX:
        raise UsageError(f"{len(pairs)} ports at once", text=text, where="info",
                         hint=f"ask for at most {PORTS_MAX}")
    if not protocol:  # a number means both protocols: speak of the second only if it has a name
        named = [pair for pair in pairs if pair[1] == "tcp" or service_name(*pair)]
        pairs = named or pairs
    return [_port(port, kind) for port, kind in sorted(pairs)]


def _port(port: int, protocol: str) -> Port:
    return Port(
        port=port, protocol=protocol, kind=port_class(port), name=service_name(port, protocol),
        sentence=describe_port(port, protocol),
    )


def _text(number: int | None, family: int) -> str | None:
    return None if number is None else address_text(number, family)


def _card(one: Interface) -> Card:
    mac = one.mac if one.mac and any(one.mac) else None
    return Card(
        name=printable(one.name), index=one.index, kind=printable(one.kind), up=one.up,
        running=one.running, mtu=one.mtu, mac=mac.hex(":") if mac else None,
        vendor=printable(vendor(mac)) if mac else "",
        addresses=[
            HeldAddress(
                address=held.text, prefix_length=held.prefix_length, scope=held.scope,
                broadcast=_text(held.broadcast, held.family),
            )
            for held in one.addresses
        ],
    )


def _peer(one: Neighbour, names: dict[int, str]) -> Peer:
    mac = one.mac
    return Peer(
        address=address_text(one.address, one.family),
        interface=printable(names.get(one.index, f"if{one.index}")),
        mac=mac.hex(":") if mac else None, vendor=printable(vendor(mac)) if mac else "",
        private_mac=bool(mac and locally_administered(mac)), state=one.state, router=one.router,
    )


def _way(entry: Entry) -> Way:
    prefix = f"{address_text(entry.destination, entry.family)}/{entry.prefix_length}"
    return Way(
        destination="default" if entry.default else prefix, family=entry.family, kind=entry.kind,
        gateway=_text(entry.gateway, entry.gateway_family), interface=printable(entry.interface),
        source=_text(entry.source, entry.family), metric=entry.metric, table=entry.table,
    )


def _shown(entries: Iterable[Entry]) -> Iterable[Entry]:
    """Leave out what repeats the interfaces' own addresses, and multicast.

    Local routes beyond those (AnyIP) stay: they decide that a whole block is this machine.
    """
    for entry in entries:
        whole = entry.prefix_length == (32 if entry.family == 4 else 128)
        own = entry.table == TABLE_LOCAL and (whole or entry.destination == 0x7F000000)
        if not own and entry.kind not in ("multicast", "broadcast", "anycast"):
            yield entry


def _order(entry: Entry) -> tuple[bool, int, bool, int, int, int]:
    """Sort by main table first, IPv4 first, default first, then by destination."""
    return (
        entry.table != TABLE_MAIN, entry.family, not entry.default, entry.destination,
        entry.prefix_length, entry.metric,
    )
