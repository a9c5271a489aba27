"""IPv4, its options, and the numbers that say what a packet carries."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Self

from portulan.errors import UsageError
from portulan.wire.checksum import internet_checksum, pseudo_ip4
from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_PROTOCOL, Buffer, Header, Options, Place
from portulan.wire.inside import Inside
from portulan.wire.layout import auto, ip4, u2, u3, u4, u6, u8, u13, u16
from portulan.wire.option import Option, walk_options

OPTIONS_MAX_BYTES = 40
"""`ihl` counts to 15 words, 5 of which are the fixed header."""

_ZERO: Any = 0


class IpProtocol(IntEnum):
    """What an IP packet carries (IANA, protocol-numbers), as far as Portulan looks inside."""

    HOPOPT = 0
    ICMP = 1
    IPV4 = 4
    TCP = 6
    UDP = 17
    IPV6 = 41
    ROUTING = 43
    FRAGMENT = 44
    ESP = 50
    AH = 51
    ICMPV6 = 58
    NONE = 59
    DESTINATION = 60
    SCTP = 132


class IPv4(Header, name="ip", ethertype=EtherType.IPV4, protocol=IpProtocol.IPV4, link=228):
    """IPv4 (RFC 791).

    version: 4
    ihl: header with its options [32-bit words]
    dscp: differentiated services code point (RFC 2474)
    ecn: explicit congestion notification (RFC 3168)
    total_length: header, options and payload [bytes]
    identification: tells the fragments of one packet from others
    flags: 2 don't fragment, 1 more fragments follow
    fragment_offset: where the fragment's payload belongs [8 bytes]
    ttl: routers it may still pass [hops]
    protocol: what it carries
    checksum: of the header and its options
    src: address of the sender
    dst: address of the receiver
    """

    version: u4 = 4
    ihl: u4 = auto(5)
    dscp: u6 = 0
    ecn: u2 = 0
    total_length: u16 = auto()
    identification: u16 = 0
    flags: u3 = 2
    fragment_offset: u13 = 0
    ttl: u8 = 64
    protocol: u8 = auto(255)
    checksum: u16 = auto()
    src: ip4 = _ZERO
    dst: ip4 = _ZERO

    def fill(self, place: Place) -> Self:
        """Fill sizes, protocol and the header's checksum."""
        header = self.filled(
            ihl=5 + len(place.options) // 4, total_length=(self.size + len(place.body)) & 0xFFFF)
        if place.inner and place.inner.protocol_number is not None:
            header = header.filled(protocol=place.inner.protocol_number)
        return header.filled(checksum=internet_checksum(header.pack() + place.options))

    def pseudo_sum(self, protocol: int, length: int) -> int:
        """Return what this header adds to the checksum of its payload."""
        return pseudo_ip4(int(self.src), int(self.dst), protocol, length)

    def options(self, buffer: Buffer, at: int = 0) -> Iterator[Option]:
        """Yield the options of this header, parsed from byte `at` of the same buffer."""
        start, end = at + self.size, at + max(self.ihl, 5) * 4
        yield from walk_options(bytes(buffer[start:end]), start)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the protocol announces, link padding left out."""
        start, stop = at + self.ihl * 4, at + (self.total_length or end - at)
        if self.version != 4 or self.ihl < 5 or start > end or stop < start:
            reason = f"version {self.version}, ihl {self.ihl}, total length {self.total_length}"
            return Inside(at + self.size, end, defect=reason)
        # A later fragment begins anywhere within its packet: no header can be read there.
        kind = None if self.fragment_offset else BY_PROTOCOL.get(self.protocol)
        return Inside(start, min(stop, end), kind)


def ip4_options(*options: tuple[int, bytes]) -> Options:
    """Return an option area of (kind, data) pairs, padded; kinds 0 and 1 are bare."""
    area = b"".join(
        bytes([kind]) if kind <= 1 else bytes([kind, len(data) + 2]) + data
        for kind, data in options
    )
    area += bytes(-len(area) % 4)
    if len(area) > OPTIONS_MAX_BYTES:
        raise UsageError(f"IPv4 options take {len(area)} bytes, {OPTIONS_MAX_BYTES} fit")
    return Options(area)
