"""Who is on this link: two questions to all its nodes (ff02::1), for which no address is needed.

A /64 cannot be asked address by address. All nodes must take part in ff02::1 (RFC 4291 section
2.7.1): most answer an echo request to it; others, that keep silent then, must object to an option
that they do not know (RFC 8200 section 4.2: types that begin with the bits 10 ask for an error
even where the destination is multicast). Reports of group membership would tell as much, but who
asks for them takes the link's router's place as querier for minutes (RFC 3810 section 7.6.2): so
we do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portulan.wire.dissect import Dissection, dissect
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames
from portulan.wire.header import Packet
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv6 import Destination, IPv6, ip6_options

ALL_NODES: Final = "ff02::1"
_ALL_NODES_MAC: Final = "33:33:00:00:00:01"
#: An option that nobody knows: 10 in its first two bits, the rest kept for experiments (RFC 4727).
UNKNOWN_OPTION: Final = 0x9E
_UNRECOGNIZED: Final = 2
_SEQUENCES: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Answerer:
    """A node of the link: the address it answered from, its Ethernet address, and how."""

    addr: str
    mac: str
    reason: str


def questions(source: str, mac: bytes, identifier: int) -> list[bytes]:
    """Return the frames that ask all nodes from one address of ours."""
    ether = Ethernet(dst=_ALL_NODES_MAC, src=int.from_bytes(mac, "big"))
    head = IPv6(src=source, dst=ALL_NODES, hop_limit=1)
    echo, objected = (ICMPv6.echo(id=identifier, seq=seq) for seq in _SEQUENCES)
    odd = Destination() / ip6_options((UNKNOWN_OPTION, b""))
    packets: list[Packet] = [ether / head / echo / b"portulan", ether / head / odd / objected]
    return [packet.pack() for packet in packets]


def answerers(frames: Frames, identifier: int) -> Iterator[Answerer]:
    """Yield who answered the questions of this identifier; forgeries on one's own link aside."""
    for octets in frames:
        found = dissect(octets, frames.link_type)
        reason = _reason(found, octets, identifier)
        if reason:
            yield Answerer(str(found.get("ip6.src")), str(found.get("ethernet.src")), reason)


def _reason(found: Dissection, octets: bytes, identifier: int) -> str:
    layer = next((each for each in found.layers if isinstance(each.header, ICMPv6)), None)
    if layer is None or not isinstance(layer.header, ICMPv6):
        return ""
    icmp = layer.header
    if icmp.type == Icmp6Type.ECHO_REPLY:
        ours = icmp.id == identifier and icmp.seq in _SEQUENCES
        return "echo-reply" if ours else ""
    if (icmp.type, icmp.code) == (Icmp6Type.PARAMETER_PROBLEM, _UNRECOGNIZED):
        quoted = dissect(octets[layer.at + ICMPv6.size :], link_type=101)
        same = quoted.get("icmpv6.id") == identifier and str(quoted.get("ip6.dst")) == ALL_NODES
        return "param-problem" if same else ""
    return ""
