"""The packets of one exchange, read: who sent each, what it says in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.dissect import Dissection, Layer, dissect
from portulan.wire.frames import LinkType
from portulan.wire.header import Header
from portulan.wire.icmp import ICMP, IcmpType, Unreachable
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

_H = TypeVar("_H", bound=Header)

_FLAGS: Final = {
    "S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG", "E": "ECE", "C": "CWR",
}
_CODE6: Final = {
    0: "no route", 1: "admin prohibited", 2: "beyond scope", 3: "address", 4: "port",
    5: "source policy", 6: "reject route",
}
_SYN, _FIN = 0x02, 0x01


@dataclass(frozen=True, slots=True)
class Rung:
    """One packet of an exchange, as it is kept."""

    number: int
    """In evidence.pcapng, from 1."""
    time_ns: int
    octets: bytes
    link_type: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet, dissected; `out` if it is ours."""

    rung: Rung
    found: Dissection
    out: bool

    def header(self, kind: type[_H]) -> _H | None:
        """Return the first header of a kind."""
        layer = self.layer(kind)
        return layer.header if layer is not None and isinstance(layer.header, kind) else None

    def layer(self, kind: type[Header]) -> Layer | None:
        """Return the first layer with a header of a kind."""
        return next((each for each in self.found.layers if isinstance(each.header, kind)), None)

    @property
    def network(self) -> IPv4 | IPv6 | None:
        """The IP header."""
        return self.header(IPv4) or self.header(IPv6)

    @property
    def src(self) -> str:
        """Who sent it, empty if it does not say."""
        network, arp = self.network, self.header(ARP)
        return str(network.src) if network else str(arp.spa) if arp else ""

    @property
    def dst(self) -> str:
        """Whom it is for, empty if it does not say."""
        network, arp = self.network, self.header(ARP)
        return str(network.dst) if network else str(arp.tpa) if arp else ""

    @property
    def ttl(self) -> int:
        """Time to live, or hop limit; 0 without an IP header."""
        network = self.network
        return 0 if network is None else int(
            network.ttl if isinstance(network, IPv4) else network.hop_limit)

    @property
    def ports(self) -> tuple[int, int] | None:
        """Source and destination port."""
        found = self.header(TCP) or self.header(UDP)
        return (int(found.sport), int(found.dport)) if found else None

    @property
    def payload(self) -> bytes:
        """What is behind the last header that was understood."""
        return self.rung.octets[self.found.payload_at : self.found.payload_end]

    def behind(self, kind: type[Header]) -> bytes:
        """Return what a header of a kind carries, headers behind it included."""
        layer = self.layer(kind)
        return b"" if layer is None else self.rung.octets[
            layer.at + layer.header.size : max(self.found.payload_end, layer.end)]

    @property
    def quote(self) -> Seen | None:
        """The packet that an ICMP error is about, as far as it is quoted."""
        icmp = self.header(ICMP) or self.header(ICMPv6)
        if icmp is None or not icmp.is_error:
            return None
        octets = self.behind(type(icmp))
        return Seen(Rung(self.rung.number, self.rung.time_ns, octets, LinkType.RAW),
                    dissect(octets, LinkType.RAW), not self.out)


def see(rungs: Sequence[Rung]) -> list[Seen]:
    """Read packets in order; the first is ours, and so is what comes from the same place."""
    seen: list[Seen] = []
    for rung in sorted(rungs, key=lambda each: each.number):
        one = Seen(rung, dissect(rung.octets, rung.link_type), out=True)
        ours = not seen or _from(one) == _from(seen[0])
        seen.append(one if ours else Seen(rung, one.found, out=False))
    return seen


def _from(one: Seen) -> tuple[object, ...]:
    """Return what tells a sender: on loopback both have one address."""
    icmp = one.header(ICMP) or one.header(ICMPv6)
    return one.src, one.ports and one.ports[0], icmp and icmp.type, type(icmp)


def spelled(flags: object) -> str:
    """Return TCP flags as people say them: `SYN ACK`."""
    return " ".join(_FLAGS.get(letter, letter) for letter in str(flags)) or "no flag"


def taken(tcp: TCP, length: int = 0) -> int:
    """Return how many sequence numbers a segment takes: SYN and FIN count (RFC 9293 3.4)."""
    return length + bool(int(tcp.flags) & _SYN) + bool(int(tcp.flags) & _FIN)


def words(one: Seen, firsts: dict[bool, int]) -> str:
    """Return a packet in a few words; TCP's numbers count from each side's first in `firsts`."""
    tcp, arp, udp = one.header(TCP), one.header(ARP), one.header(UDP)
    if tcp is not None:
        return _tcp(tcp, firsts, out=one.out)
    if arp is not None:
        asks = arp.operation == ArpOperation.REQUEST
        return f"ARP who has {arp.tpa}?" if asks else f"{arp.spa} is at {arp.sha}"
    if udp is not None:
        size = len(one.behind(UDP))
        return one.found.brief or f"UDP, {size} byte{'s' * (size != 1)}"
    return _icmp(one) or one.found.brief or one.found.protocols.rpartition(":")[2] or "no header"


def _tcp(tcp: TCP, firsts: dict[bool, int], *, out: bool) -> str:
    first = firsts.setdefault(out, tcp.seq)
    text = f"{spelled(tcp.flags)} seq={tcp.seq - first & 0xFFFF_FFFF}"
    other = firsts.get(not out)
    if "A" in str(tcp.flags) and other is not None:
        text += f" ack={tcp.ack - other & 0xFFFF_FFFF}"
    return text


def _icmp(one: Seen) -> str:
    icmp, icmp6 = one.header(ICMP), one.header(ICMPv6)
    if icmp is not None:
        kind = _named(IcmpType, icmp.type)
        code = _named(Unreachable, icmp.code) if icmp.type == IcmpType.UNREACHABLE else ""
        return f"ICMP {code} {kind}".replace("  ", " ")
    if icmp6 is not None:
        unreachable = icmp6.type == Icmp6Type.UNREACHABLE
        code = _CODE6.get(icmp6.code, str(icmp6.code)) if unreachable else ""
        return f"ICMPv6 {code} {_named(Icmp6Type, icmp6.type)}".replace("  ", " ")
    return ""


def _named(names: type[IcmpType] | type[Unreachable] | type[Icmp6Type], number: int) -> str:
    try:
        return names(number).name.lower().replace("_", " ")
    except ValueError:
        return str(int(number))
