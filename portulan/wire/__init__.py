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

__all__ = [
    "ARP", "ICMP", "TCP", "UDP", "VLAN", "ArpOperation", "Destination", "EtherType", "Ethernet",
    "Fragment", "Frames", "Header", "HopByHop", "ICMPv6", "IPv4", "IPv6", "Icmp6Type", "IcmpType",
    "Ip4", "Ip6", "IpProtocol", "LinkType", "LinuxSLL", "LinuxSLL2", "Mac", "Neighbour", "Options",
    "Packet", "Routing", "TcpFlags", "TcpOption", "Unreachable", "Unreachable6", "fields",
    "find_field", "headers", "ip4_options", "ip6_options", "tcp_options",
]
