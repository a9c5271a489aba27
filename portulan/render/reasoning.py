"""How a finding follows from its packets: each step is checked again on the octets that were kept.

The steps are what an auditor would verify by hand: that reply and probe belong together, that the
reply repeats what only the probe could tell it, that checksums are right, that the state follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from portulan.errors import printable
from portulan.record import Host, Os, Port, Service
from portulan.render import wording
from portulan.render.exchange import Rung, Seen, see, spelled, taken
from portulan.render.reasons import ASKED, Why, why, why_host
from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.checksum import finish, fold, internet_checksum, transport_sum
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6, Neighbour
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

#: What a service said, as far as one line holds it.
_BANNER_CHARS: Final = 120
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_LOW_32: Final = 0xFFFF_FFFF
#: Flags of a probe -> the method they belong to.
_METHODS: Final = {"S": "syn", "A": "ack", "F": "fin", "": "null", "FPU": "xmas"}
_PROTOCOLS: Final = {"udp": "udp", "sctp": "sctp", "ip": "ip"}
#: Where the checksum stands in each header.
_FIELD: Final = {TCP: 16, UDP: 6, ICMP: 2, ICMPv6: 2}
#: Errors that say what is missing (RFC 792; RFC 4443 sections 3.1 and 3.4).
_ERRORS: Final[dict[tuple[type, int, int], str]] = {
    (ICMP, 3, 2): "protocol", (ICMP, 3, 3): "port",
    (ICMPv6, 1, 4): "port", (ICMPv6, 4, 1): "protocol",
}
#: First chunks of an SCTP answer: INIT ACK, ABORT (RFC 9260 section 3.2).
_CHUNKS: Final = {b"\x02": "open", b"\x06": "closed"}


@dataclass(frozen=True, slots=True)
class Claim:
    """One step of the proof, and whether the packets bear it out."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a port or a host is said to be in its state."""

    addr: str
    state: str
    reason: str
    asked: str
    seen: list[Seen]
    claims: list[Claim]
    why: Why
    port: int | None = None
    protocol: str = ""
    tries: int = 0
    notes: list[str] = field(default_factory=list)
    named: str = ""
    """What service or system it was named, and by what."""

    @property
    def proven(self) -> bool:
        """Whether every step holds; without packets there is nothing to check."""
        return all(claim.holds for claim in self.claims)

    def __str__(self) -> str:
        from portulan.render.ladder import ladder
        from portulan.render.text import plain

        return "\n".join(plain(line) for line in ladder(self))

    @property
    def subject(self) -> str:
        """Whom it is about."""
        return self.addr if self.port is None else f"{self.addr} port {self.port}/{self.protocol}"


def explain_port(
    port: Port, rungs: Sequence[Rung], *, method: str = "", notes: Sequence[str] = (),
    service: Service | None = None,
) -> Explanation:
    """Return how a port's state follows from its packets; `method` is the run's."""
    seen = see(rungs)
    how = _method(port, seen, method)
    claims = [*_lost(port.frames, rungs), *_claims(seen)]
    state = _state(seen, how)
    if state:
        claims.append(Claim(f"so the state is {state}", state == port.state))
    return Explanation(
        port.addr, port.state, port.reason, ASKED.get(how, ""), seen, claims,
        why(how, port.reason), port.port, port.protocol, port.tries, list(notes),
        _named(port, service) if service else "")


def _named(port: Port, service: Service) -> str:
    """Return what a service was named, and by what."""
    parts = [f"rule {service.rule}" if service.rule else "",
             f"{service.confidence:.0%} sure" if service.confidence else ""]
    by = ", ".join(filter(None, parts))
    said = f", which said: {printable(service.banner, _BANNER_CHARS)}" if service.banner else ""
    return f"Named: {wording.service(port, service)}{f' ({by})' if by else ''}{said}"


def explain_host(
    host: Host, rungs: Sequence[Rung], *, notes: Sequence[str] = (), systems: Sequence[Os] = (),
) -> Explanation:
    """Return how a host's state follows."""
    seen = see(rungs)
    return Explanation(
        host.addr, host.state, host.reason, "", seen,
        [*_lost(host.frames, rungs), *_claims(seen)], why_host(host.reason),
        notes=list(notes), named="; ".join(map(_system, systems)))


def _system(found: Os) -> str:
    sure = f" ({found.confidence:.0%} sure)" if found.confidence else ""
    by = f", by: {', '.join(found.evidence)}" if found.evidence else ""
    return f"Named: {wording.system(found)}{sure}{by}"


def _method(port: Port, seen: Sequence[Seen], method: str) -> str:
    """Return how a port was asked: by the probe if it was kept, else as the run says."""
    if port.protocol in _PROTOCOLS:
        return _PROTOCOLS[port.protocol]
    tcp = seen[0].header(TCP) if seen else None
    if tcp is None:  # a scan of several protocols is called `syn+udp`
        return next((one for one in method.split("+") if one in ASKED), "syn")
    found = _METHODS.get("".join(sorted(str(tcp.flags))), "flags")
    return "window" if found == "ack" and method == "window" else found


# -- the steps ---------------------------------------------------------------------------------


def _lost(named: Sequence[int], rungs: Sequence[Rung]) -> Iterator[Claim]:
    """Yield that packets are gone which the chart names as its proof."""
    gone = sorted({*named} - {rung.number for rung in rungs})
    if gone:
        numbers = ", ".join(map(str, gone))
        yield Claim(f"the evidence holds packet {numbers}, which the chart names", False)


def _claims(seen: Sequence[Seen]) -> Iterator[Claim]:
    """Yield the steps from the first probe to the first reply."""
    probe = next((one for one in seen if one.out), None)
    reply = next((one for one in seen if not one.out), None)
    if probe is None or reply is None:
        return
    quote = reply.quote
    if quote is not None:
        yield from _quoted(probe, reply, quote)
    elif reply.header(ARP) is not None:
        yield from _arp(probe, reply)
    elif reply.header(Neighbour) is not None:
        yield from _neighbour(probe, reply)
    else:
        yield from _mirrored(probe, reply)
        yield from _tcp(probe, reply)
        yield from _echo(probe, reply)
    yield from _checksums(reply)
    late_ms = (reply.rung.time_ns - probe.rung.time_ns) / 1e6
    yield Claim(f"it came {late_ms:.3f} ms after packet {probe.rung.number}", late_ms >= 0)


def _mirrored(probe: Seen, reply: Seen) -> Iterator[Claim]:
    there, back = probe.rung.number, reply.rung.number
    yield Claim(
        f"packet {back} comes from {reply.src}, where packet {there} went",
        _same(reply.src, probe.dst) and _same(reply.dst, probe.src))
    asked, answered = probe.ports, reply.ports
    if asked and answered:
        yield Claim(
            f"from port {answered[0]} to port {answered[1]}, as packet {there} in reverse",
            answered == asked[::-1])


def _tcp(probe: Seen, reply: Seen) -> Iterator[Claim]:
    """Yield what the numbers say: only who has seen the probe can know them (RFC 9293 3.10.7)."""
    asked, told = probe.header(TCP), reply.header(TCP)
    if asked is None or told is None:
        return
    if int(told.flags) & _RST and int(asked.flags) & _ACK:
        yield Claim(f"its sequence number {told.seq} is the one that packet {probe.rung.number} "
                    "acknowledged: an answer to this very packet", told.seq == asked.ack)
        return
    count = taken(asked, len(probe.behind(TCP)) - 4 * (int(asked.data_offset) - 5))
    meant = (asked.seq + count) & _LOW_32
    counted = f" + {count} for {spelled(asked.flags)}" if count else ""
    yield Claim(
        f"it acknowledges {told.ack} = {asked.seq}{counted}: an answer to this very packet",
        bool(int(told.flags) & _ACK) and told.ack == meant)


def _echo(probe: Seen, reply: Seen) -> Iterator[Claim]:
    for kind in (ICMP, ICMPv6):
        asked, told = probe.header(kind), reply.header(kind)
        if isinstance(asked, (ICMP, ICMPv6)) and isinstance(told, (ICMP, ICMPv6)):
            yield Claim(
                f"it repeats our identifier {asked.id} and sequence number {asked.seq}",
                (told.id, told.seq) == (asked.id, asked.seq))


def _quoted(probe: Seen, reply: Seen, quote: Seen) -> Iterator[Claim]:
    there, back = probe.rung.number, reply.rung.number
    who = "the host itself" if _same(reply.src, probe.dst) else "a router or firewall on the way"
    yield Claim(f"packet {back} is from {reply.src}: {who}", bool(reply.src))
    yield Claim(
        f"it quotes a packet from {quote.src} to {quote.dst}, as packet {there} is",
        _same(quote.src, probe.src) and _same(quote.dst, probe.dst))
    wanted, given = _transport(probe)[:8], _transport(quote)[:8]
    if wanted:
        yield Claim(
            f"with the same first {len(given)} octets behind IP (ports, and what is proof in them)",
            len(given) >= min(4, len(wanted)) and wanted.startswith(given))
    else:
        yield Claim(f"with our mark {_mark(quote)} in its IP header", _mark(quote) == _mark(probe))


def _mark(one: Seen) -> int:
    """Return what tells a packet without content: identification, or flow label."""
    network = one.network
    if network is None:
        return -1
    return int(network.identification if isinstance(network, IPv4) else network.flow_label)


def _transport(one: Seen) -> bytes:
    network = one.network
    if network is None:
        return b""
    octets = one.behind(type(network))
    return octets[4 * (int(network.ihl) - 5):] if isinstance(network, IPv4) else octets


def _arp(probe: Seen, reply: Seen) -> Iterator[Claim]:
    asked, told = probe.header(ARP), reply.header(ARP)
    if asked is None or told is None:
        return
    yield Claim(f"packet {reply.rung.number} speaks of {told.spa}, that packet "
                f"{probe.rung.number} asked for", told.spa == asked.tpa)
    yield Claim(f"it is a reply, to our own Ethernet address {told.tha}",
                told.operation == ArpOperation.REPLY and told.tha == asked.sha)


def _neighbour(probe: Seen, reply: Seen) -> Iterator[Claim]:
    asked, told = probe.header(Neighbour), reply.header(Neighbour)
    if asked is None or told is None:
        return
    yield Claim(f"packet {reply.rung.number} speaks of {told.target}, that packet "
                f"{probe.rung.number} asked for", told.target == asked.target)
    yield Claim(f"its hop limit is {reply.ttl}: no router has passed it on", reply.ttl == 255)


def _checksums(one: Seen) -> Iterator[Claim]:
    network, number = one.network, one.rung.number
    if network is None:
        return
    if isinstance(network, IPv4):
        at = next(layer.at for layer in one.found.layers if layer.header is network)
        header = one.rung.octets[at : at + 4 * int(network.ihl)]
        yield Claim(f"packet {number}'s IP checksum is right", internet_checksum(header) == 0)
    for kind, protocol in ((TCP, 6), (UDP, 17), (ICMP, 1), (ICMPv6, 58)):
        layer = one.layer(kind)
        if layer is None:
            continue
        segment = one.rung.octets[layer.at : _end(one)]
        field = int.from_bytes(segment[_FIELD[kind] : _FIELD[kind] + 2], "big")
        outer = () if kind is ICMP else (network,)
        name = kind.__name__
        if kind is UDP and not field:
            return
        if outer and field == fold(network.pseudo_sum(protocol, len(segment))):
            yield Claim(f"its {name} checksum was left to a network card that is none: it came "
                        "from this same machine, by a virtual link", True)
        else:
            yield Claim(f"its {name} checksum is right",
                        finish(transport_sum(outer, protocol, segment)) == 0)
        return


def _end(one: Seen) -> int:
    """Return where the IP packet ends: behind it an Ethernet frame may be padded."""
    for layer in one.found.layers:
        if isinstance(layer.header, IPv4):
            return layer.at + int(layer.header.total_length)
        if isinstance(layer.header, IPv6):
            return layer.at + IPv6.size + int(layer.header.payload_length)
    return len(one.rung.octets)


def _same(one: str, other: str) -> bool:
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return False


# -- the state, judged anew --------------------------------------------------------------------


def _state(seen: Sequence[Seen], method: str) -> str:
    """Return the state that the first reply means; empty where none can be told."""
    probe = next((one for one in seen if one.out), None)
    reply = next((one for one in seen if not one.out), None)
    if probe is None or reply is None:
        return ""
    if reply.quote is not None:
        return _state_of_error(reply, method, itself=_same(reply.src, probe.dst))
    if method == "ip":
        return "open"
    if method == "sctp":
        return _CHUNKS.get(reply.behind(SCTP)[:1], "")
    if method == "udp":
        return "open" if reply.header(UDP) is not None else ""
    tcp = reply.header(TCP)
    return "" if tcp is None else _state_of_tcp(tcp, method)


def _state_of_tcp(tcp: TCP, method: str) -> str:
    flags = int(tcp.flags)
    if flags & _RST:
        states = {"ack": "unfiltered", "window": "open" if tcp.window else "closed", "flags": ""}
        return states.get(method, "closed")
    return "open" if flags & (_SYN | _ACK) == _SYN | _ACK else ""


def _state_of_error(reply: Seen, method: str, *, itself: bool) -> str:
    """Return what an error means: only the target's own word can close or open a port."""
    icmp = reply.header(ICMP) or reply.header(ICMPv6)
    if icmp is None or not itself:
        return "filtered"
    said = _ERRORS.get((type(icmp), int(icmp.type), int(icmp.code)), "")
    if method == "ip" and said != "protocol":
        behind = int(icmp.type) not in (IcmpType.UNREACHABLE, Icmp6Type.UNREACHABLE)
        return "open" if said == "port" or behind else "filtered"
    closes = {"udp": "port", "sctp": "protocol", "ip": "protocol"}
    return "closed" if said and closes.get(method) == said else "filtered"
