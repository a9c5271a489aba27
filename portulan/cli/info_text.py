"""Lay out what `portulan info` says in lines of styled words. Pure: values in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from portulan.cli.info_facts import Address, Card, Machine, Path, Peer, Port, Ports, Way
from portulan.link.rights import Method, Rights
from portulan.link.routes import TABLE_LOCAL, TABLE_MAIN
from portulan.render.layout import Line, Row, Span, cells, clip

NEIGHBOURS_SHOWN = 12
ROUTES_SHOWN = 24
INTERFACES_SHOWN = 24
"""Entries of a section before the rest is only counted: a container host has hundreds."""

GAP = 2
SHARED = "everyone who can run this interpreter then has it; for one run only: sudo"


def lines(facts: Machine | Address | Ports, width: int = 80) -> Iterator[Line]:
    """Yield the lines about anything that `info` explains, at most `width` cells wide.

    What people copy is never cut: an address, the command that grants more.
    """
    if isinstance(facts, Machine):
        yield from _machine(facts, width)
    elif isinstance(facts, Address):
        yield from _address(facts, width)
    else:
        yield from _ports(facts.ports, width)


def _machine(facts: Machine, width: int) -> Iterator[Line]:
    yield [(clip(facts.hostname, width), "title")]
    yield from _section("Interfaces", _cards(facts.interfaces, width), INTERFACES_SHOWN)
    yield from _section("Routes", _ways(facts.routes, width), ROUTES_SHOWN + 1)
    yield from _section("Neighbours", _peers(facts.neighbours, width), NEIGHBOURS_SHOWN + 1)
    yield from _section("Rights", _rights(facts.rights, width))
    yield from _section("Methods", _methods(facts.methods, width))
    if facts.grant:
        yield []
        yield [("To allow more", "label")]
        yield [(f"  {facts.grant}", "name")]
        if "setcap" in facts.grant:
            yield [(clip(f"  ({SHARED})", width), "dim")]


def _section(title: str, body: Iterable[list[Line]], limit: int = 0) -> Iterator[Line]:
    """Yield a title and its entries, of one or more lines each; count those over the limit."""
    entries = list(body)
    yield []
    yield [(title, "label")]
    for entry in entries[:limit] if limit else entries:
        yield from entry
    if limit and len(entries) > limit:
        yield [(f"  … and {len(entries) - limit:,} more: --json lists all", "dim")]
    if not entries:
        yield [("  none", "dim")]


def _cards(cards: Sequence[Card], width: int) -> Iterator[list[Line]]:
    name = min(max((cells(card.name) for card in cards), default=0), 16)
    busy = sorted(cards, key=lambda card: (not card.up, not card.addresses))
    for card in busy:
        state = "up" if card.running else "no carrier" if card.up else "down"
        facts = [state, card.kind if card.kind != card.name else "", f"mtu {card.mtu}",
                 card.mac or "", card.vendor]
        head = f"  {clip(card.name, name):<{name}}"
        words = "  " + " · ".join(filter(None, facts))
        style = "up" if card.running else "dim"
        entry: list[Line] = [[(head, "host"), (clip(words, width - cells(head)), style)]]
        texts = [f"{held.address}/{held.prefix_length}" for held in card.addresses]
        entry += [[(" " * (name + 4) + row, "")] for row in _pack(texts, width - name - 4)]
        yield entry


def _pack(texts: Sequence[str], width: int) -> Iterator[str]:
    """Yield texts side by side, as many a row as fit."""
    row = ""
    for text in texts:
        if row and cells(row) + GAP + cells(text) > width:
            yield row
            row = ""
        row = f"{row}  {text}" if row else text
    if row:
        yield row


def _ways(ways: Sequence[Way], width: int) -> Iterator[list[Line]]:
    head: Row = tuple((word, "dim") for word in ("DESTINATION", "NEXT HOP", "INTERFACE", "SOURCE"))
    rows = [_way(way) for way in ways if not _dull(way)]
    yield from _table([head, *rows] if rows else [], width)


def _dull(way: Way) -> bool:
    """Tell a link-local prefix: on every interface, so it says nothing."""
    return way.family == 6 and way.destination.startswith("fe80:") and way.gateway is None


def _way(way: Way) -> Row:
    hop = way.gateway or ("on link" if way.kind == "unicast" else way.kind)
    if way.kind == "local":
        hop = "this machine"
    extra = [way.source or ""]
    extra.append(f"metric {way.metric}" if way.metric and way.family == 4 else "")
    odd = way.table not in (TABLE_MAIN, TABLE_LOCAL)
    extra.append(f"table {way.table}" if odd else "")
    style = "title" if way.destination == "default" else ""
    return (
        (way.destination, style), (hop, "dim" if way.gateway is None else ""),
        (way.interface, "name"), (" ".join(filter(None, extra)), ""),
    )


def _peers(peers: Sequence[Peer], width: int) -> Iterator[list[Line]]:
    known = sorted(peers, key=lambda peer: (peer.mac is None, not peer.router))
    head: Row = tuple((word, "dim") for word in ("ADDRESS", "INTERFACE", "MAC", "VENDOR"))
    rows: list[Row] = [
        (
            (peer.address, "" if peer.mac else "dim"), (peer.interface, "name"),
            (peer.mac or "no answer", "" if peer.mac else "dim"), (_remark(peer), "dim"),
        )
        for peer in known
    ]
    yield from _table([head, *rows] if rows else [], width)


def _remark(peer: Peer) -> str:
    """Return vendor and what is unusual: that an entry is stale by now is no news."""
    odd = peer.state if peer.state not in ("reachable", "stale", "delay", "probe") else ""
    return ", ".join(filter(None, (_vendor(peer), "router" if peer.router else "", odd)))


def _vendor(peer: Peer) -> str:
    return peer.vendor or ("locally administered" if peer.private_mac else "")


def _rights(held: Rights, width: int) -> Iterator[list[Line]]:
    first, last = held.ephemeral_ports
    low, high = held.ping_groups
    who = "nobody" if low > high else f"groups {low} to {high}"
    below = held.unprivileged_port_start
    listening = f"listen on ports below {below:,}" if below else "any port is free to listen on"
    rows: list[Row] = [
        (("  CAP_NET_RAW", ""), _yes(held.net_raw), ("raw and packet sockets", "dim")),
        (("  CAP_NET_ADMIN", ""), _yes(held.net_admin), ("interfaces, routes, filters", "dim")),
        (("  CAP_NET_BIND_SERVICE", ""), _yes(held.net_bind_service), (listening, "dim")),
        (("  ping sockets", ""), _yes(held.ping_sockets),
         (f"net.ipv4.ping_group_range allows {who}", "dim")),
        (("  open files", ""), (f"{held.files_soft:,}", ""),
         (f"can be raised to {held.files_hard:,}", "dim")),
        (("  source ports", ""), (f"{last - first + 1:,}", ""), (f"{first} to {last}", "dim")),
    ]
    yield from _table(rows, width, indent=0)


def _methods(found: Sequence[Method], width: int) -> Iterator[list[Line]]:
    rows: list[Row] = [
        ((method.name, "host"), _yes(method.allowed), (method.reason, "dim")) for method in found
    ]
    yield from _table(rows, width)


def _yes(allowed: bool) -> Span:
    return ("yes", "up") if allowed else ("no", "warning")


def _table(rows: Sequence[Row], width: int, *, indent: int = 2) -> Iterator[list[Line]]:
    """Yield rows with aligned columns; when they are too wide, the last column is cut first."""
    columns = list(zip(*rows, strict=True)) if rows else []
    sizes = [max(cells(text) for text, _ in column) for column in columns]
    for row in rows:
        line: Line = [(" " * indent, "")]
        left = width - indent
        for at, (text, style) in enumerate(row):
            if left <= 0:
                break
            shown = clip(text, left)
            padding = sizes[at] + GAP - cells(shown) if at + 1 < len(row) else 0
            line += [(shown, style), (" " * max(0, min(padding, left - cells(shown))), "")]
            left -= max(sizes[at] + GAP, cells(shown))
        yield [line]


def _address(facts: Address, width: int) -> Iterator[Line]:
    yield from _folded("", facts.sentence, width)
    if facts.zone_missing:
        zone = "depends on the interface: ask with a zone, as in fe80::1%eth0"
        yield from _folded("route", zone, width)
    elif facts.route or facts.scannable:
        yield from _folded("route", _route(facts.route), width)
    if facts.route and facts.route.neighbour:
        yield from _folded("next hop", _neighbour(facts.route.neighbour), width)
    if facts.names is not None:
        yield from _folded("names", ", ".join(facts.names) or "none", width)
    scan = f"portulan scan {facts.address}" if facts.route and facts.route.interface else ""
    if not facts.scannable:
        scan = f"never: {facts.kind} addresses name no single host"
    if scan:
        yield [(f"{'scan':<10}", "label"), (scan, "name" if facts.scannable else "dim")]


def _route(path: Path | None) -> str:
    if path is None:
        return "none from here"
    if path.kind == "local":
        return "this machine itself, over the loopback"
    if not path.interface:
        return f"refused: the routing table says {path.kind}"
    how = f"gateway {path.gateway}" if path.gateway else "on the link"
    if path.kind != "unicast":
        how = path.kind
    source = f", from {path.source}" if path.source else ""
    return f"through {path.interface}, {how}{source}, MTU {path.mtu}"


def _neighbour(peer: Peer) -> str:
    if not peer.mac:
        return f"{peer.address} does not answer ({peer.state})"
    facts = ", ".join(filter(None, (_vendor(peer), peer.state)))
    return f"{peer.address} is at {peer.mac} ({facts})"


def _ports(ports: Sequence[Port], width: int) -> Iterator[Line]:
    for port in ports:
        yield from _folded("", port.sentence, width)
    streams = ",".join(str(port.port) for port in ports if port.protocol == "tcp")
    if streams:
        yield [("scan      ", "label"), (f"portulan scan TARGET -p {streams}", "name")]


def _folded(label: str, text: str, width: int) -> Iterator[Line]:
    """Yield text in lines, beside a label of 10 cells if there is one."""
    room, line = width - (10 if label else 0), ""
    head: Span = (f"{label:<10}" if label else "", "label")
    blank: Span = (" " * len(head[0]), "")
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) > room:
            yield [head, (line, "")]
            head, line = blank, clip(word, room)
        else:
            line = f"{line} {word}" if line else clip(word, room)
    yield [head, (line, "")]
