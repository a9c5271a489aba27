"""Bytes: headers declared once, batches of frames, checksums, filters, and lines for people.

A thinking room: it opens nothing, reads no clock and imports no other room. Scalars raise
`WireError` when bytes do not hold what they promise; columns never raise, they mask and count.

>>> import numpy as np
>>> packet = IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=40000, dport=80, flags="S")
>>> IPv4.parse(packet.pack()).total_length
40
>>> slots = np.zeros((3, 40), np.uint8)
>>> slots[:] = np.frombuffer(packet.pack(), np.uint8)
>>> TCP.view(slots, at=20).dport[:] = [22, 80, 443]
>>> TCP.parse(slots[2].tobytes(), at=20).dport
443
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from portulan.wire.address import Ip4, Ip6, Mac
from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.cooked import LinuxSLL, LinuxSLL2
from portulan.wire.ethernet import VLAN, Ethernet, EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Header, Options, Packet, fields, find_field, headers
from portulan.wire.icmp import ICMP, IcmpType, Unreachable
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6, Neighbour, Unreachable6
from portulan.wire.ipv4 import IpProtocol, IPv4, ip4_options
from portulan.wire.ipv6 import Destination, Fragment, HopByHop, IPv6, Routing, ip6_options
from portulan.wire.tcp import TCP, TcpFlags, TcpOption, tcp_options
from portulan.wire.udp import UDP

if TYPE_CHECKING:
    from portulan.wire.craft import build
    from portulan.wire.craft_text import parse_packet
    from portulan.wire.dhcp import DHCP
    from portulan.wire.dhcp6 import DHCPv6
    from portulan.wire.dns import DNS, DNSOverTCP
    from portulan.wire.esp import AH, ESP
    from portulan.wire.geneve import Geneve
    from portulan.wire.gre import GRE
    from portulan.wire.http import HTTP
    from portulan.wire.igmp import IGMP
    from portulan.wire.lines import FTP, IMAP, POP3, SIP, SMTP
    from portulan.wire.llc import LLC, SNAP, STP
    from portulan.wire.lldp import LLDP
    from portulan.wire.loopback import Loopback
    from portulan.wire.mpls import MPLS
    from portulan.wire.ntp import NTP
    from portulan.wire.pppoe import PPP, PPPoE
    from portulan.wire.radiotap import Radiotap
    from portulan.wire.routing import BGP, OSPF
    from portulan.wire.sctp import SCTP
    from portulan.wire.snmp import SNMP
    from portulan.wire.ssh import SSH
    from portulan.wire.tftp import TFTP
    from portulan.wire.tls import TLS
    from portulan.wire.vxlan import VXLAN

_LATER = {
    "craft": ("build",),
    "craft_text": ("parse_packet",),
    "dhcp": ("DHCP",),
    "dhcp6": ("DHCPv6",),
    "dns": ("DNS", "DNSOverTCP"),
    "esp": ("AH", "ESP"),
    "geneve": ("Geneve",),
    "gre": ("GRE",),
    "http": ("HTTP",),
    "igmp": ("IGMP",),
    "lines": ("FTP", "IMAP", "POP3", "SIP", "SMTP"),
    "llc": ("LLC", "SNAP", "STP"),
    "lldp": ("LLDP",),
    "loopback": ("Loopback",),
    "mpls": ("MPLS",),
    "ntp": ("NTP",),
    "pppoe": ("PPP", "PPPoE"),
    "radiotap": ("Radiotap",),
    "routing": ("BGP", "OSPF"),
    "sctp": ("SCTP",),
    "snmp": ("SNMP",),
    "ssh": ("SSH",),
    "tftp": ("TFTP",),
    "tls": ("TLS",),
    "vxlan": ("VXLAN",),
}
"""What is imported when it is first asked for: a scan needs none of these protocols."""
_FILES = {name: file for file, names in _LATER.items() for name in names}

__all__ = [
    "AH", "ARP", "BGP", "DHCP", "DNS", "ESP", "FTP", "GRE", "HTTP", "ICMP", "IGMP", "IMAP", "LLC",
    "LLDP", "MPLS", "NTP", "OSPF", "POP3", "PPP", "SCTP", "SIP", "SMTP", "SNAP", "SNMP", "SSH",
    "STP", "TCP", "TFTP", "TLS", "UDP", "VLAN", "VXLAN", "ArpOperation", "DHCPv6", "DNSOverTCP",
    "Destination", "EtherType", "Ethernet", "Fragment", "Frames", "Geneve", "Header", "HopByHop",
    "ICMPv6", "IPv4", "IPv6", "Icmp6Type", "IcmpType", "Ip4", "Ip6", "IpProtocol", "LinkType",
    "LinuxSLL", "LinuxSLL2", "Loopback", "Mac", "Neighbour", "Options", "PPPoE", "Packet",
    "Radiotap", "Routing", "TcpFlags", "TcpOption", "Unreachable", "Unreachable6", "build",
    "fields", "find_field", "headers", "ip4_options", "ip6_options", "parse_packet", "tcp_options",
]


def __getattr__(name: str) -> object:
    """Import a protocol when it is first asked for (PEP 562)."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
