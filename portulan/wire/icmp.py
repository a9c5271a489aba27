"""ICMP for IPv4: questions, answers, and errors that quote the packet they are about."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Self

from portulan.wire.checksum import internet_checksum
from portulan.wire.header import Header, Packet, Place
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import auto, u8, u16


class IcmpType(IntEnum):
    """Message types (IANA, icmp-parameters)."""

    ECHO_REPLY = 0
    UNREACHABLE = 3
    SOURCE_QUENCH = 4
    REDIRECT = 5
    ECHO = 8
    TIME_EXCEEDED = 11
    PARAMETER_PROBLEM = 12
    TIMESTAMP = 13
    TIMESTAMP_REPLY = 14


class Unreachable(IntEnum):
    """Codes of destination unreachable (RFC 792, RFC 1812 section 5.2.7.1)."""

    NET = 0
    HOST = 1
    PROTOCOL = 2
    PORT = 3
    FRAGMENTATION_NEEDED = 4
    SOURCE_ROUTE_FAILED = 5
    NET_UNKNOWN = 6
    HOST_UNKNOWN = 7
    SOURCE_ISOLATED = 8
    NET_PROHIBITED = 9
    HOST_PROHIBITED = 10
    NET_TOS = 11
    HOST_TOS = 12
    ADMIN_PROHIBITED = 13
    PRECEDENCE_VIOLATION = 14
    PRECEDENCE_CUTOFF = 15


ERRORS = frozenset({
    IcmpType.UNREACHABLE, IcmpType.SOURCE_QUENCH, IcmpType.REDIRECT, IcmpType.TIME_EXCEEDED,
    IcmpType.PARAMETER_PROBLEM,
})
"""Types that quote a packet from byte 8 on."""


class ICMP(Header, protocol=IpProtocol.ICMP):
    """ICMP (RFC 792).

    type: kind of message
    code: what kind of that kind
    checksum: of the whole message
    id: tells one asker from others, in echo and timestamp
    seq: tells one question from others; the next hop's MTU in fragmentation needed (RFC 1191)
    """

    type: u8 = IcmpType.ECHO
    code: u8 = 0
    checksum: u16 = auto()
    id: u16 = 0
    seq: u16 = 0

    def fill(self, place: Place) -> Self:
        """Fill the checksum."""
        return self.filled(checksum=internet_checksum(self.pack() + place.body))

    @classmethod
    def echo(cls, *, id: int | None = None, seq: int | None = None) -> Self:
        """Return an echo request; its data goes behind it."""
        given = {name: each for name, each in (("id", id), ("seq", seq)) if each is not None}
        return cls(type=IcmpType.ECHO, **given)

    @classmethod
    def echo_reply(cls, *, id: int = 0, seq: int = 0) -> Self:
        """Return an echo reply; its data goes behind it."""
        return cls(type=IcmpType.ECHO_REPLY, id=id, seq=seq)

    @classmethod
    def timestamp(cls, *, id: int = 0, seq: int = 0, originate_ms: int = 0) -> Packet:
        """Return a timestamp request, times in milliseconds since midnight UTC."""
        question = cls(type=IcmpType.TIMESTAMP, id=id, seq=seq)
        return question / struct.pack(">III", originate_ms, 0, 0)

    @classmethod
    def unreachable(cls, code: int, quoted: bytes, *, mtu: int = 0) -> Packet:
        """Return destination unreachable about the packet that begins with `quoted`."""
        return cls(type=IcmpType.UNREACHABLE, code=code, seq=mtu) / quoted

    @classmethod
    def time_exceeded(cls, quoted: bytes) -> Packet:
        """Return time exceeded in transit about the packet that begins with `quoted`."""
        return cls(type=IcmpType.TIME_EXCEEDED) / quoted

    @property
    def is_error(self) -> bool:
        """Say whether a packet is quoted behind the header."""
        return self.type in ERRORS
