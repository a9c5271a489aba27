"""Dissect one packet: every header from the link to the application, as far as its octets hold.

`dissect` never raises, whatever the octets are: what ended it is told by `defect`. With `strict`,
which tests use, a defect is a `WireError` and a header's own fault comes through.

>>> from portulan.wire import IPv4, UDP
>>> question = bytes.fromhex("0007 0100 0001 0000 0000 0000 07 6578616d706c65 00 0001 0001")
>>> packet = IPv4(src="10.9.0.1", dst="10.9.0.2") / UDP(sport=40000, dport=53) / question
>>> found = dissect(packet.pack(), link_type=101)
>>> [layer.name for layer in found.layers], found.get("dns.qname")
(['ip', 'udp', 'dns'], 'example')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from portulan.errors import WireError, printable
from portulan.wire import (
    arp,
    cooked,
    dhcp,
    dhcp6,
    dns,
    dot11,
    esp,
    geneve,
    gre,
    http,
    icmp,
    icmpv6,
    igmp,
    ipv6,
    lines,
    llc,
    lldp,
    loopback,
    mpls,
    ntp,
    pppoe,
    quic,
    radiotap,
    routing,
    sctp,
    snmp,
    ssh,
    tcp,
    telnet,
    tftp,
    tls,
    udp,
    vxlan,
)
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import LinkType
from portulan.wire.header import BY_ETHERTYPE, BY_LINK, Header
from portulan.wire.inside import Inside, Lazy, Value

PROTOCOLS = (
    arp, cooked, dhcp, dhcp6, dns, dot11, esp, geneve, gre, http, icmp, icmpv6, igmp, ipv6, lines,
    llc, lldp, loopback, mpls, ntp, pppoe, quic, radiotap, routing, sctp, snmp, ssh, tcp, telnet,
    tftp, tls, udp, vxlan,
)
"""Every header of ours is declared once these are imported."""

DEPTH_MAX = 32
"""Headers followed in one packet: tunnels in tunnels, and many small TLS records in a segment."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One header of a packet, what it tells beyond its fixed octets, and where it lies."""

    header: Header
    at: int
    end: int
    """Where what it carries begins."""
    told: Mapping[str, Value]
    brief: str = ""

    @property
    def name(self) -> str:
        """The header's name in the registry."""
        return self.header.layer

    @property
    def lends(self) -> bool:
        """Whether it may tell fields of another header."""
        return isinstance(self.told, Lazy)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Yield the fields by full name, in wire order; those told come last."""
        own = self.header.__dict__
        for field in self.header.layout.fields:
            yield field.name, own[field.attr]
        for name, value in self.told.items():
            yield name if "." in name else f"{self.name}.{name}", value


@dataclass(frozen=True, slots=True)
class Dissection:
    """What a packet holds: its layers, its payload, and why it goes no further."""

    layers: tuple[Layer, ...]
    payload_at: int
    payload_end: int
    defect: str = ""
    """What a header promised and the octets do not hold; empty if all was well."""
    defect_at: int = 0
    """Where the header begins that is defective."""

    def get(self, name: str) -> Value | None:
        """Return the first value of a field; None if the packet has none."""
        wanted, _, field = name.partition(".")
        for layer in self.layers:
            if layer.name == wanted:
                if field in layer.header.layout.by_name:
                    value: Value = layer.header.__dict__[field]
                    return value
                if field in layer.told:
                    return layer.told[field]
            elif layer.lends and name in layer.told:
                return layer.told[name]
        return None

    @property
    def protocols(self) -> str:
        """The names of the layers: `ethernet:ip:udp:dns`."""
        return ":".join(layer.name for layer in self.layers)

    @property
    def brief(self) -> str:
        """A few words about the innermost protocol that has some: its first header's.

        A hello comes before other records of its segment.
        """
        name = next((layer.name for layer in reversed(self.layers) if layer.brief), "")
        return next((layer.brief for layer in self.layers if layer.name == name), "")


def dissect(
    octets: bytes, link_type: int = LinkType.ETHERNET, *, strict: bool = False
) -> Dissection:
    """Return what a frame holds; with `strict` a defect raises `WireError`."""
    at, end = 0, len(octets)
    kind = first_header(octets, link_type)
    layers: list[Layer] = []
    defect = "" if kind else f"link type {link_type} is not known"
    start = 0
    while kind is not None and not defect:
        start = at
        if end - at < kind.size:
            defect = f"{kind.layer}: cut short, needs {kind.size} bytes, has {end - at}"
        elif len(layers) == DEPTH_MAX:
            defect = f"more than {DEPTH_MAX} headers"
        else:
            header = kind.parse(octets, at)
            inside = _inside(header, octets, at, end, strict=strict)
            layers.append(Layer(header, at, inside.at, inside.told, inside.brief))
            if inside.defect:
                defect = f"{header.layer}: {inside.defect}"
            at, end, kind = inside.at, inside.end, inside.kind
            if at == end and kind is not None and not kind.size:
                kind = None  # a header without fixed octets cannot be there
    if strict and defect:
        raise WireError(defect, layer=layers[-1].name if layers else "link", offset=start)
    return Dissection(tuple(layers), at, end, defect, start if defect else 0)


def first_header(octets: bytes, link_type: int) -> type[Header] | None:
    """Return the header that a frame of a link type begins with; None if it is not known."""
    if link_type != LinkType.RAW:
        return BY_LINK.get(link_type)
    version = octets[0] >> 4 if octets else 4
    return BY_ETHERTYPE[EtherType.IPV6 if version == 6 else EtherType.IPV4]


def _inside(header: Header, octets: bytes, at: int, end: int, *, strict: bool) -> Inside:
    """Ask a header what it carries; what it answers stays inside the packet."""
    try:
        inside = header.inside(octets, at, end)
    except Exception as error:
        # One fault in one header, perhaps a user's own, must not end the reading of a capture.
        if strict:
            raise
        return Inside(at + header.size, end, defect=printable(f"fault: {error!r}"))
    if at + header.size <= inside.at <= inside.end <= end:
        return inside
    if strict:
        raise ValueError(f"{header.layer} at {at} leads to {inside.at}..{inside.end} of {end}")
    start = min(max(inside.at, at + header.size), end)
    return Inside(start, min(max(inside.end, start), end), inside.kind, inside.told, inside.brief,
                  inside.defect)
