"""What will be done: whom, on which ports, how, how fast, and why. Nothing is sent before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from portulan.drive.request import (
    CONTACT_MAX_BYTES,
    DEFAULT_TOP_PORTS,
    PUBLIC_MAX,
    RATE_PRIVATE_PPS,
    RATE_PUBLIC_PPS,
    Request,
)
from portulan.drive.ways import Ways
from portulan.errors import PrivilegeError, UsageError
from portulan.link.rights import Rights, grant
from portulan.scan.flags import MANNERS
from portulan.scan.pace import TIMING
from portulan.target.classify import UNASKABLE, classify_ranges, kinds
from portulan.target.hosts import Word
from portulan.target.permutation import Shard
from portulan.target.ports import PROTOCOLS, PortSet, parse_ports, top_ports
from portulan.target.protocols import PROTOCOL_MAX
from portulan.target.ranges import Range, address_count
from portulan.target.scope import ScopeRules
from portulan.target.space import Segment, Space
from portulan.target.targets import Resolve, Targets, parse_targets
from portulan.wire.tcp import TcpFlags


class ScopeNeeded(UsageError):  # noqa: N818 - says what is needed, as UsageErrors do
    """So many public addresses need a scope file, or a confirmation."""

    def __init__(self, public: int) -> None:
        self.public = public
        super().__init__(
            f"{public:,} public addresses need a scope", where="target",
            hint="give --scope FILE with `allow NET` lines, or confirm with --yes",
        )


#: Scans by raw frames, as people say it.
SCAN_NAME: Final = {
    "syn": "SYN scan", "ack": "ACK scan", "window": "Window scan", "fin": "FIN scan",
    "null": "NULL scan", "xmas": "Xmas scan", "maimon": "Maimon scan", "udp": "UDP scan",
    "sctp": "SCTP INIT scan", "protocols": "IP protocol scan",
}
#: Whose ports methods ask; those that are not here ask TCP's.
PROTOCOL_OF: Final = {"udp": "udp", "sctp": "sctp", "protocols": "ip"}
#: Methods by which nothing can be told about what was missed.
UNMEASURED: Final = ("connect", "ping", "udp", "sctp", "protocols")
#: Methods after which hosts where much is open are looked at more closely; see `controls.py`.
CONTROLLED: Final = ("syn", "connect")
#: Random high ports asked of such a host, and connections made to those and to ports asked.
CONTROL_PORTS: Final = 4
PROVED_CONTROLS, PROVED_PORTS = 2, 6
#: Ranges without a way that get a line each.
UNREACHED_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom a request means: its targets, ports and order, without a look at this machine."""

    request: Request
    targets: Targets
    ports: PortSet
    shard: Shard
    public: int
    """Public addresses among the targets."""
    notes: tuple[str, ...]

    @property
    def rate_pps(self) -> float:
        """The cap on packets a second, 0 for none."""
        slow = TIMING[self.request.timing].rate_pps
        if self.request.max_rate is not None:
            return self.request.max_rate
        usual = slow or (RATE_PUBLIC_PPS if self.public else RATE_PRIVATE_PPS)
        return max(usual, self.request.min_rate)

    @property
    def retries(self) -> int:
        """How often a silent probe may be asked again at most."""
        given = self.request.retries
        return TIMING[self.request.timing].retries if given is None else given

    @property
    def host_timeout_s(self) -> float:
        """How long the ports of one host may take, 0 for no limit."""
        return self.request.host_timeout_s or TIMING[self.request.timing].host_timeout_s

    @property
    def probes(self) -> int:
        """How many probes a first pass of this shard has."""
        return sum(self.shard.size(space.size) for space in self.spaces())

    def space(self) -> Space:
        """Return the index space of every port of every target."""
        return Space.of(self.targets)

    def spaces(self) -> list[Space]:
        """Return the space of each protocol's ports, in the order in which they are asked."""
        protocols, whole = protocols_of(self.request), self.space()
        if len(protocols) == 1:
            return [whole]
        return [of_protocol(whole, name) for name in protocols]


def of_protocol(space: Space, name: str) -> Space:
    """Return the part of a space that asks ports of one protocol."""
    number = PROTOCOLS[name]
    # Segments share their lists, which may be of 65,535 ports.
    lists = {id(each.keys): each.keys for each in space.segments}
    chosen = {
        identity: tuple(key for key in keys if key >> 16 == number)
        for identity, keys in lists.items()
    }
    return Space(
        Segment(each.family, each.start, each.count, chosen[id(each.keys)])
        for each in space.segments
    )


@dataclass(frozen=True, slots=True)
class Leg:
    """One method's part of a plan."""

    method: str
    """syn, connect, udp, sctp, protocols, or a method of `scan/flags.py`."""
    raw: bool
    """By frames of our own, not by sockets."""

    @property
    def protocol(self) -> str:
        """Whose ports it asks."""
        return PROTOCOL_OF.get(self.method, "tcp")


@dataclass(frozen=True, slots=True)
class Plan:
    """An aim, and the way this machine takes to it."""

    aim: Aim
    legs: tuple[Leg, ...]
    """One after the other; none if only hosts are asked for."""
    why: str
    ways: Ways
    rights: Rights
    notes: tuple[str, ...] = field(default=())

    @property
    def method(self) -> str:
        """ping, or the methods of all legs: `syn`, `syn+udp`."""
        return "+".join(leg.method for leg in self.legs) or "ping"


def take_aim(request: Request, resolve: Resolve) -> Aim:
    """Return whom a request means; raises `UsageError` for what may not or cannot be asked."""
    _check_numbers(request)
    out = _ports_out(request)
    ports = _ports(request).without(out)
    targets = parse_targets(
        [Word(*word) for word in request.targets], ports=ports, resolve=resolve,
        exclude=[Word(*word) for word in request.exclude],
        family=request.family or None, protocols=protocols_of(request), ports_out=out,
    )
    _check_protocol(request, targets)
    _check_forbidden(targets)
    notes = [
        f"{name} has more addresses ({', '.join(rest)}): the first one is scanned"
        for name, rest in targets.unused.items()
    ]
    public = _public(targets, request, notes)
    shard = Shard.parse(request.shard) if request.shard else Shard(1, 1)
    return Aim(request, targets, ports, shard, public, tuple(notes))


def make_plan(aim: Aim, ways: Ways, rights: Rights) -> Plan:
    """Return how this machine will do it; raises `UsageError` and `PrivilegeError`."""
    notes = list(aim.notes)
    if not ways.reached:
        first = ways.unreached[0]
        raise UsageError(
            "cannot be reached", text=str(first.range), where="target",
            hint=first.reason or "see `portulan info`",
        )
    if (aim.request.tcp_flags or 0) & TcpFlags.RST:
        notes.append("no TCP answers a reset: probes with RST will look like lost ones")
    notes += [f"{each.range} left out: {each.reason}" for each in ways.unreached[:UNREACHED_SHOWN]]
    if len(ways.unreached) > UNREACHED_SHOWN:
        notes.append(f"{len(ways.unreached) - UNREACHED_SHOWN} more ranges left out")
    legs, why = _legs(aim.request, ways, rights)
    if aim.request.systems and not (rights.net_raw and rights.packet_sockets):
        notes.append("systems are not asked for (-O): that takes packets made by hand, and "
                     "CAP_NET_RAW is missing")
    plan = Plan(aim, legs, why, ways, rights, tuple(notes))
    if aim.request.recall and all(leg.method in UNMEASURED for leg in legs):
        raise UsageError(f"no estimate of what a {plan.method} scan misses", where="--recall",
                         hint="leave it out, or scan by packets (-sS)")
    return plan


def controlled(plan: Plan, leg: Leg) -> bool:
    """Tell whether hosts where much is open are looked at more closely after a leg."""
    plain = leg.method in CONTROLLED and plan.aim.request.tcp_flags is None
    return plain and plan.aim.shard.count == 1


def systems_asked(plan: Plan) -> bool:
    """Tell whether hosts' stacks are asked what they are: it takes packets made by hand."""
    return plan.aim.request.systems and plan.rights.net_raw and plan.rights.packet_sockets


def _check_numbers(request: Request) -> None:
    if request.max_rate is not None and not 0 <= request.max_rate < math.inf:
        raise UsageError("no such rate", text=f"{request.max_rate:g}", where="--max-rate",
                         hint="packets a second, or 0 for no cap")
    if not 0 <= request.min_rate < math.inf:
        raise UsageError("no such rate", text=f"{request.min_rate:g}", where="--min-rate",
                         hint="packets a second")
    if request.max_rate and request.min_rate > request.max_rate:
        raise UsageError(f"more than --max-rate {request.max_rate:g}",
                         text=f"{request.min_rate:g}", where="--min-rate",
                         hint="a rate below the cap")
    if request.retries is not None and not 0 <= request.retries <= 15:
        raise UsageError("retries out of range", text=str(request.retries), where="--retries",
                         hint="0 to 15")
    if not 0 <= request.recall < 1:
        raise UsageError("no such recall", text=f"{request.recall:g}", where="--recall",
                         hint="a share below 1, as 0.999")
    if request.tcp_flags is not None and request.method not in ("auto", "syn", *MANNERS):
        raise UsageError(f"a {request.method} scan has no flags to choose", where="--scanflags",
                         hint="leave it out, or scan by TCP packets (-sS, -sA, -sF, ...)")
    _check_methods(request)
    if request.timing not in TIMING:
        raise UsageError("no such timing", text=str(request.timing), where="-T", hint="0 to 5")
    if len(request.contact.encode()) > CONTACT_MAX_BYTES:
        raise UsageError("the contact is too long", where="--contact",
                         hint=f"at most {CONTACT_MAX_BYTES} bytes")


def _check_methods(request: Request) -> None:
    """Raise `UsageError` for methods that cannot share a scan."""
    if not request.also:
        return
    methods = [request.method, *request.also]
    if alone := {"ping", "protocols"} & {*methods}:
        raise UsageError(f"a {' and '.join(alone)} scan goes alone", where="-s",
                         hint="scan twice")
    if len(protocols_of(request)) < len(methods):
        raise UsageError("two scans of the same protocol's ports", where="-s",
                         hint="one of TCP, -sU and -sY may be joined")


def protocols_of(request: Request) -> tuple[str, ...]:
    """Return the protocols whose ports are asked, in the order in which they are."""
    methods = (request.method, *request.also)
    return tuple(dict.fromkeys(PROTOCOL_OF.get(method, "tcp") for method in methods))


def _ports(request: Request) -> PortSet:
    protocols = protocols_of(request)
    if request.ports:
        return parse_ports(request.ports, protocols=protocols)
    count = request.top_ports or DEFAULT_TOP_PORTS
    return PortSet.of(**{
        name: range(PROTOCOL_MAX + 1) if name == "ip" else top_ports(count, name)
        for name in protocols
    })


def _ports_out(request: Request) -> PortSet:
    if not request.exclude_ports:
        return PortSet()
    return parse_ports(
        request.exclude_ports, protocols=protocols_of(request), where="--exclude-ports")


def _check_protocol(request: Request, targets: Targets) -> None:
    """Raise `UsageError` for ports of another protocol than the scan's."""
    asked = protocols_of(request)
    for name, (letter, option) in _ASKED_BY.items():
        if name not in asked and any(getattr(block.ports, name) for block in targets.blocks):
            known = " and ".join(each.upper() for each in asked)
            raise UsageError(f"only {known} ports can be scanned", where="-p",
                             hint=f"leave {letter}: out, or scan them too: {option}")


#: The letter before a protocol's ports, and the option by which they are asked.
_ASKED_BY: Final = {
    "tcp": ("T", "-sS"), "udp": ("U", "-sU"), "sctp": ("S", "-sY"), "ip": ("P", "-sO"),
}


def _check_forbidden(targets: Targets) -> None:
    # A /16 holds x.x.255.255 without harm: only classes of the registries count here.
    for kind, item in kinds(targets.ranges):
        if kind in UNASKABLE:
            raise UsageError(f"{kind} addresses are never scanned", text=str(item), where="target",
                             hint="leave them out or name them in --exclude")


def _public(targets: Targets, request: Request, notes: list[str]) -> int:
    counts = dict(classify_ranges(targets.ranges))
    public = counts.get("public", 0)
    if request.scope:
        outside = ScopeRules.parse(request.scope, request.scope_where or "--scope").check(
            targets.ranges)
        if outside:
            raise UsageError("outside of the scope", text=_few(outside), where="target",
                             hint="leave it out, or allow it in the scope file")
    elif public > PUBLIC_MAX and not request.confirmed:
        raise ScopeNeeded(public)
    if public:
        rate = request.max_rate if request.max_rate is not None else RATE_PUBLIC_PPS
        cap = f"at most {rate:,g} packets a second" if rate else "without a rate cap"
        notes.append(f"{public:,} public address{'es' * (public > 1)}, {cap}: "
                     "be sure that you may")
    return public


def _few(ranges: Sequence[Range]) -> str:
    shown = ", ".join(str(item) for item in ranges[:3])
    return shown + (f" and {address_count(ranges[3:]):,} more addresses" if ranges[3:] else "")


def _legs(request: Request, ways: Ways, rights: Rights) -> tuple[tuple[Leg, ...], str]:
    """Return how each protocol's ports are asked, and why so."""
    raw = rights.net_raw and rights.packet_sockets
    if request.method == "ping":
        return (), _ping_why(ways, raw, echo=rights.ping_sockets)
    told = [_leg(method, request.tcp_flags, rights, raw=raw)
            for method in (request.method, *request.also)]
    return tuple(leg for leg, _ in told), "; ".join(why for _, why in told)


def _leg(method: str, flags: int | None, rights: Rights, *, raw: bool) -> tuple[Leg, str]:
    if method == "connect":
        return Leg("connect", raw=False), "connect scan, as asked"
    if method == "auto" and flags is None:
        if raw:
            return Leg("syn", raw), "SYN scan: CAP_NET_RAW is there, so handshakes stay half open"
        why = f"connect scan: no CAP_NET_RAW ({grant(rights)} would allow a SYN scan)"
        return Leg("connect", raw), why
    method = "syn" if method == "auto" else method
    name = SCAN_NAME[method]
    if not raw and method == "udp":
        return Leg(method, raw), "UDP scan through sockets: no CAP_NET_RAW"
    if not raw:
        raise PrivilegeError(f"a {name}", right="CAP_NET_RAW", grant=grant(rights))
    own = flags is not None and method not in PROTOCOL_OF
    shown = f" with flags {str(TcpFlags(flags or 0)) or 'none'}" if own else ""
    return Leg(method, raw), f"{name}{shown}, as asked"


def _ping_why(ways: Ways, raw: bool, *, echo: bool) -> str:
    if not raw:
        by = "ICMP echo and by connecting" if echo else "connecting"
        return f"hosts only, by {by} to ports 80 and 443: no CAP_NET_RAW"
    parts = []
    if any(way.neighbour for way in ways.reached):
        parts.append("ARP and ND on the link")
    if any(way.routed for way in ways.reached):
        parts.append("ICMP, TCP and UDP beyond it")
    return "hosts only, by " + " and ".join(parts or ["looking at this machine"])


def fingerprint(space: Space, seed: int, shard: Shard) -> bytes:
    """Return what identifies an order of probing: a progress log of another one is worthless."""
    segments = [[s.family, str(s.start), s.count, list(s.keys)] for s in space.segments]
    return msgspec.json.encode([segments, seed, shard.number, shard.count])
