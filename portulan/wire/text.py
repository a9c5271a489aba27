"""One line a packet, for people and logs: `10.9.0.1:40000 > 10.9.0.2:80 TCP S seq=1 ...`.

Any octets make one printable line of bounded length. Where they do not hold what they promise, the
line says how far it got and why it stopped, in brackets. Payload is counted, never shown.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import IntEnum

from portulan.errors import WireError
from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.cooked import LinuxSLL, LinuxSLL2
from portulan.wire.ethernet import VLAN, Ethernet, EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Header
from portulan.wire.icmp import ICMP, IcmpType, Unreachable
from portulan.wire.icmpv6 import FIRST_INFORMATIONAL, Icmp6Type, ICMPv6, Neighbour, Unreachable6
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6, walk_extensions
from portulan.wire.locate import TAGS_MAX
from portulan.wire.option import Option
from portulan.wire.tcp import TCP, TcpOption
from portulan.wire.udp import UDP

LINE_MAX_CHARS = 400
"""A line that quotes a quoted packet with all its options stays below; longer is an attack."""

_MORE_PROTOCOLS = {2: "IGMP", 47: "GRE", 88: "EIGRP", 89: "OSPF", 103: "PIM", 112: "VRRP"}
_MORE_ETHERTYPES = {0x8847: "MPLS", 0x8863: "PPPoE", 0x8864: "PPPoE", 0x888E: "EAPOL",
                    0x88CC: "LLDP"}
_MORE_LINKS: dict[int, str] = {
    LinkType.IEEE802_11: "802.11", LinkType.IEEE802_11_RADIOTAP: "802.11 by radiotap"}
DEPTH_MAX = 3
"""Packets inside packets that are followed: a tunnel in an error about a tunnel."""


def line(octets: bytes, link_type: int = LinkType.ETHERNET) -> str:
    """Return one printable line about a frame; never raises."""
    said: list[str] = []
    try:
        _link(octets, link_type, said)
    except WireError as error:
        said.append(f"[{error}]")
    text = " ".join(part for part in said if part)
    return text if len(text) <= LINE_MAX_CHARS else text[: LINE_MAX_CHARS - 1] + "…"


def lines(frames: Frames) -> Iterator[str]:
    """Yield one line a frame."""
    for octets in frames:
        yield line(octets, frames.link_type)


def _link(octets: bytes, link_type: int, said: list[str]) -> None:
    if link_type in (LinkType.RAW, LinkType.IPV4, LinkType.IPV6):
        _network(octets, 0, said, DEPTH_MAX)
    elif link_type == LinkType.ETHERNET:
        _ethertype(octets, 14, Ethernet.parse(octets).ethertype, said)
    elif link_type == LinkType.LINUX_SLL:
        _ethertype(octets, 16, LinuxSLL.parse(octets).ethertype, said)
    elif link_type == LinkType.LINUX_SLL2:
        _ethertype(octets, 20, LinuxSLL2.parse(octets).ethertype, said)
    elif link_type in (LinkType.NULL, LinkType.LOOP):
        _network(octets, 4, said, DEPTH_MAX)
    else:
        name = _MORE_LINKS.get(link_type, f"link type {link_type}")
        said.append(f"{name} len={len(octets)}")


def _ethertype(octets: bytes, at: int, ethertype: int, said: list[str]) -> None:
    for _ in range(TAGS_MAX):
        if ethertype not in (EtherType.VLAN, EtherType.SERVICE_VLAN):
            break
        tag = VLAN.parse(octets, at)
        said.append(f"vlan {tag.id}")
        at, ethertype = at + VLAN.size, tag.ethertype
    if ethertype in (EtherType.IPV4, EtherType.IPV6):
        _network(octets, at, said, DEPTH_MAX)
    elif ethertype == EtherType.ARP:
        _arp(ARP.parse(octets, at), said)
    elif ethertype < 1536:
        said.append(f"802.3 len={ethertype}")
    else:
        name = _MORE_ETHERTYPES.get(ethertype, f"ethertype 0x{ethertype:04x}")
        said.append(f"{name} len={max(len(octets) - at, 0)}")


def _arp(arp: ARP, said: list[str]) -> None:
    if not arp.plain:
        said.append(f"ARP hardware={arp.hardware} protocol=0x{arp.protocol:04x}")
    elif arp.operation == ArpOperation.REQUEST:
        said.append(f"ARP who-has {arp.tpa} tell {arp.spa}")
    elif arp.operation == ArpOperation.REPLY:
        said.append(f"ARP {arp.spa} is-at {arp.sha}")
    else:
        said.append(f"ARP operation={arp.operation} {arp.spa} > {arp.tpa}")


def _network(octets: bytes, at: int, said: list[str], depth: int) -> None:
    if at >= len(octets):
        raise WireError("cut short", layer="ip", offset=at, need=1, have=0)
    version = octets[at] >> 4
    if version == 4:
        _ipv4(octets, at, said, depth)
    elif version == 6:
        _ipv6(octets, at, said, depth)
    else:
        raise WireError(f"version is {version}", layer="ip", offset=at)


def _ipv4(octets: bytes, at: int, said: list[str], depth: int) -> None:
    ip = IPv4.parse(octets, at)
    size = ip.ihl * 4
    total = ip.total_length or len(octets) - at
    if size < IPv4.size or total < size:
        said.append(f"{ip.src} > {ip.dst}")
        reason = f"ihl is {ip.ihl}, total length {ip.total_length}"
        raise WireError(reason, layer="ip", offset=at)
    body = octets[: at + total]
    inside = _Inside(body, at + size, f"{ip.src}", f"{ip.dst}", cut=at + total - len(body))
    if ip.fragment_offset:
        where = f"fragment id={ip.identification} at={ip.fragment_offset * 8}"
        said.append(f"{ip.src} > {ip.dst} {_protocol(ip.protocol)} {where} len={inside.left}")
        return
    inside.show(ip.protocol, said, depth)
    if ip.flags & 1:
        said.append(f"fragment id={ip.identification} at=0")
    if size > IPv4.size:
        said.append(_options("ip", ip.options(body, at), lambda option: f"{option.kind}"))


def _ipv6(octets: bytes, at: int, said: list[str], depth: int) -> None:
    ip = IPv6.parse(octets, at)
    end = at + IPv6.size + ip.payload_length
    if not ip.payload_length and ip.next_header == IpProtocol.HOPOPT:
        end = len(octets)
    body = octets[:end]
    chain = walk_extensions(body, ip.next_header, at + IPv6.size)
    names = " ".join(_protocol(extension.kind).lower() for extension in chain.extensions)
    if chain.defect:
        said += [f"{ip.src} > {ip.dst}", names]
        raise WireError(chain.defect, layer="ip6", offset=chain.offset)
    inside = _Inside(body, chain.offset, f"{ip.src}", f"{ip.dst}", cut=end - len(body))
    if chain.fragment_offset:
        where = f"fragment at={chain.fragment_offset * 8} len={inside.left}"
        said.append(f"{ip.src} > {ip.dst} {_protocol(chain.protocol)} {where}")
        return
    inside.show(chain.protocol, said, depth)
    if names:
        said.append(f"<{names}>")


class _Inside:
    """What a network header carries, shown by protocol."""

    def __init__(self, octets: bytes, at: int, src: str, dst: str, *, cut: int) -> None:
        self.octets, self.at, self.src, self.dst = octets, at, src, dst
        self.cut = max(cut, 0)

    @property
    def left(self) -> int:
        """Octets behind the network header, those that the capture cut off included."""
        return max(len(self.octets) - self.at, 0) + self.cut

    def show(self, protocol: int, said: list[str], depth: int) -> None:
        """Say what is inside, ports beside the addresses."""
        shows: dict[int, Callable[[list[str], int], None]] = {
            IpProtocol.TCP: self._tcp, IpProtocol.UDP: self._udp, IpProtocol.ICMP: self._icmp,
            IpProtocol.ICMPV6: self._icmpv6, IpProtocol.IPV4: self._tunnel,
            IpProtocol.IPV6: self._tunnel,
        }
        if protocol in shows and self.left:
            shows[protocol](said, depth)
        else:
            said.append(f"{self._pair()} {_protocol(protocol)} len={self.left}")

    def _pair(self, sport: int | None = None, dport: int | None = None) -> str:
        return f"{_endpoint(self.src, sport)} > {_endpoint(self.dst, dport)}"

    def _need(self, header: type[Header], said: list[str]) -> None:
        """Name what is known before the header's own error: ports, if they are there."""
        if len(self.octets) - self.at >= header.size:
            return
        ports: tuple[int, ...] = ()
        if header in (TCP, UDP) and len(self.octets) - self.at >= 4:
            read = self.octets[self.at : self.at + 4]
            ports = (int.from_bytes(read[:2], "big"), int.from_bytes(read[2:], "big"))
        said.append(f"{self._pair(*ports)} {header.__name__}")

    def _tcp(self, said: list[str], depth: int) -> None:
        have = len(self.octets) - self.at
        if depth < DEPTH_MAX and 8 <= have < TCP.size:
            # Eight bytes are all that an ICMP error must quote: enough for ports and seq.
            sport, dport, seq = struct.unpack_from(">HHI", self.octets, self.at)
            said.append(f"{self._pair(sport, dport)} TCP seq={seq}")
            return
        self._need(TCP, said)
        tcp = TCP.parse(self.octets, self.at)
        size = tcp.data_offset * 4
        ack = f" ack={tcp.ack}" if tcp.flags & 16 else ""
        said.append(f"{self._pair(tcp.sport, tcp.dport)} TCP {tcp.flags or '-'}")
        said.append(f"seq={tcp.seq}{ack} win={tcp.window}")
        if size < TCP.size or size > self.left:
            reason = f"data offset is {tcp.data_offset} with {self.left} bytes left"
            raise WireError(reason, layer="tcp", offset=self.at)
        said.append(f"len={self.left - size}")
        if size > TCP.size:
            said.append(_options("", tcp.options(self.octets, self.at), _tcp_option))

    def _udp(self, said: list[str], depth: int) -> None:
        self._need(UDP, said)
        udp = UDP.parse(self.octets, self.at)
        said.append(f"{self._pair(udp.sport, udp.dport)} UDP len={self.left - UDP.size}")
        if udp.length != self.left:
            said.append(f"[udp at byte {self.at}: length says {udp.length} of {self.left}]")

    def _icmp(self, said: list[str], depth: int) -> None:
        self._need(ICMP, said)
        icmp = ICMP.parse(self.octets, self.at)
        said.append(f"{self._pair()} ICMP {_name(IcmpType, icmp.type)}")
        if icmp.type == IcmpType.UNREACHABLE:
            said.append(_name(Unreachable, icmp.code))
            if icmp.code == Unreachable.FRAGMENTATION_NEEDED:
                said.append(f"mtu={icmp.seq}")
        elif not icmp.is_error:
            said.append(f"id={icmp.id} seq={icmp.seq} len={self.left - ICMP.size}")
        if icmp.is_error:
            self._quote(said, depth)

    def _icmpv6(self, said: list[str], depth: int) -> None:
        self._need(ICMPv6, said)
        icmp = ICMPv6.parse(self.octets, self.at)
        said.append(f"{self._pair()} ICMPv6 {_name(Icmp6Type, icmp.type)}")
        if icmp.type == Icmp6Type.UNREACHABLE:
            said.append(_name(Unreachable6, icmp.code))
        elif icmp.type in (Icmp6Type.NEIGHBOUR_SOLICITATION, Icmp6Type.NEIGHBOUR_ADVERTISEMENT):
            said.append(str(Neighbour.parse(self.octets, self.at + ICMPv6.size).target))
        elif icmp.type in (Icmp6Type.ECHO, Icmp6Type.ECHO_REPLY):
            said.append(f"id={icmp.id} seq={icmp.seq} len={self.left - ICMPv6.size}")
        if icmp.type < FIRST_INFORMATIONAL:
            self._quote(said, depth)

    def _quote(self, said: list[str], depth: int) -> None:
        inner: list[str] = []
        try:
            self._deeper(self.at + ICMP.size, inner, depth)
        except WireError as error:
            inner.append(f"[{error}]")
        said.append(f"({' '.join(part for part in inner if part)})")

    def _tunnel(self, said: list[str], depth: int) -> None:
        said.append(f"{self._pair()} tunnel")
        self._deeper(self.at, said, depth)

    def _deeper(self, at: int, said: list[str], depth: int) -> None:
        if depth:
            _network(self.octets, at, said, depth - 1)
        else:
            said.append("...")


def _endpoint(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _name(names: type[IntEnum], number: int) -> str:
    known = {int(member): member.name for member in names}
    return known[number].lower().replace("_", "-") if number in known else f"type {number}"


def _protocol(number: int) -> str:
    known = {int(member): member.name for member in IpProtocol}
    return known.get(number) or _MORE_PROTOCOLS.get(number, f"protocol {number}")


def _options(prefix: str, options: Iterator[Option], show: Callable[[Option], str]) -> str:
    shown: list[str] = []
    for option in options:
        reason = f"[option {option.kind} at byte {option.offset}: {option.defect}]"
        shown.append(reason if option.defect else show(option))
    return f"<{f'{prefix} ' if prefix else ''}{', '.join(shown)}>"


def _tcp_option(option: Option) -> str:
    kind, data = option.kind, option.data
    number = int.from_bytes(data, "big")
    if kind == TcpOption.TIMESTAMPS and len(data) == 8:
        return f"ts {number >> 32} {number & 0xFFFF_FFFF}"
    if (kind, len(data)) in ((TcpOption.MSS, 2), (TcpOption.WSCALE, 1)):
        return f"{TcpOption(kind).name.lower()} {number}"
    known = {int(member): member.name.lower().replace("_", "-") for member in TcpOption}
    return known.get(kind, f"option {kind}") + (f" {len(data)} bytes" if data else "")
