"""ICMP for IPv6, neighbour discovery included."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self

from portulan.wire.address import Ip6, Mac
from portulan.wire.checksum import finish, transport_sum
from portulan.wire.header import Header, Packet, Place
from portulan.wire.inside import Inside
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import auto, ip6, u8, u16

_ZERO: Any = 0


class Icmp6Type(IntEnum):
    """Message types (IANA, icmpv6-parameters); those below 128 are errors."""

    UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4
    ECHO = 128
    ECHO_REPLY = 129
    LISTENER_QUERY = 130
    LISTENER_REPORT = 131
    LISTENER_DONE = 132
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOUR_SOLICITATION = 135
    NEIGHBOUR_ADVERTISEMENT = 136
    REDIRECT = 137
    LISTENER_REPORT_V2 = 143


class Unreachable6(IntEnum):
    """Codes of destination unreachable (RFC 4443 section 3.1)."""

    NO_ROUTE = 0
    ADMIN_PROHIBITED = 1
    BEYOND_SCOPE = 2
    ADDRESS = 3
    PORT = 4
    POLICY = 5
    REJECT_ROUTE = 6


FIRST_INFORMATIONAL = 128
"""Types below it are errors and quote a packet from byte 8 on (RFC 4443 section 2.1)."""


class ICMPv6(Header, protocol=IpProtocol.ICMPV6):
    """ICMPv6 (RFC 4443).

    type: kind of message
    code: what kind of that kind
    checksum: of pseudo-header and message
    id: tells one asker from others, in echo; the flags of a neighbour advertisement
    seq: tells one question from others; with `id`, the MTU in packet too big
    """

    type: u8 = Icmp6Type.ECHO
    code: u8 = 0
    checksum: u16 = auto()
    id: u16 = 0
    seq: u16 = 0

    def fill(self, place: Place) -> Self:
        """Fill the checksum."""
        total = transport_sum(place.outer, IpProtocol.ICMPV6, self.pack() + place.body)
        return self.filled(checksum=finish(total))

    @classmethod
    def echo(cls, *, id: int | None = None, seq: int | None = None) -> Self:
        """Return an echo request; its data goes behind it."""
        given = {name: each for name, each in (("id", id), ("seq", seq)) if each is not None}
        return cls(type=Icmp6Type.ECHO, **given)

    @classmethod
    def echo_reply(cls, *, id: int = 0, seq: int = 0) -> Self:
        """Return an echo reply; its data goes behind it."""
        return cls(type=Icmp6Type.ECHO_REPLY, id=id, seq=seq)

    @classmethod
    def unreachable(cls, code: int, quoted: bytes) -> Packet:
        """Return destination unreachable about the packet that begins with `quoted`."""
        return cls(type=Icmp6Type.UNREACHABLE, code=code) / quoted

    @classmethod
    def neighbour_solicitation(cls, target: str | int, *, mac: str | int) -> Packet:
        """Return the question who has `target`, from link address `mac` (RFC 4861 section 4.3)."""
        message = cls(type=Icmp6Type.NEIGHBOUR_SOLICITATION)
        return message / Neighbour(target=target) / link_address(1, mac)

    @classmethod
    def neighbour_advertisement(
        cls, target: str | int, *, mac: str | int, solicited: bool = True
    ) -> Packet:
        """Return the answer that `target` is at `mac`, overriding (RFC 4861 section 4.4)."""
        flags = 0x2000 | (0x4000 if solicited else 0)
        message = cls(type=Icmp6Type.NEIGHBOUR_ADVERTISEMENT, id=flags)
        return message / Neighbour(target=target) / link_address(2, mac)

    @property
    def is_error(self) -> bool:
        """Say whether a packet is quoted behind the header."""
        return self.type < FIRST_INFORMATIONAL

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the target of neighbour discovery; a quoted packet is payload of the error."""
        asks = self.type in (Icmp6Type.NEIGHBOUR_SOLICITATION, Icmp6Type.NEIGHBOUR_ADVERTISEMENT)
        return Inside(at + self.size, end, Neighbour if asks else None)


class Neighbour(Header, name="nd"):
    """The target of a neighbour solicitation or advertisement (RFC 4861), behind ICMPv6.

    target: address that is asked for or told about
    """

    target: ip6 = _ZERO


def link_address(kind: int, mac: str | int) -> bytes:
    """Return the link-layer address option: kind 1 of the source, 2 of the target."""
    return bytes((kind, 1)) + Mac.of(mac).packed


def solicited_node(target: str | int) -> tuple[Ip6, Mac]:
    """Return the multicast addresses `target` hears solicitations on (RFC 4291 section 2.7.1)."""
    low = Ip6.of(target) & 0xFF_FFFF
    return Ip6(0xFF02_0000_0000_0000_0000_0001_FF00_0000 | low), Mac(0x3333_FF00_0000 | low)
