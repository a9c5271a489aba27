"""IPv6, its extension headers, and the walk along them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self, TypeVar

from portulan.wire.checksum import pseudo_ip6
from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_PROTOCOL, Buffer, Header, Options, Place
from portulan.wire.inside import Inside
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import auto, ip6, u1, u2, u4, u8, u13, u16, u20, u32
from portulan.wire.option import Option, walk_ip6_options

EXTENSIONS_MAX = 8
"""Extension headers followed in one packet. RFC 8200 section 4.1 names seven at most, each once
but destination options; longer chains are only seen from those who test parsers."""

_Before = TypeVar("_Before", bound=Header)
_ZERO: Any = 0


class IPv6(Header, name="ip6", ethertype=EtherType.IPV6, protocol=IpProtocol.IPV6, link=229):
    """IPv6 (RFC 8200).

    version: 6
    traffic_class: differentiated services and congestion notification
    flow_label: tells the packets of one flow from others (RFC 6437)
    payload_length: everything behind this header [bytes]
    next_header: what follows
    hop_limit: routers it may still pass [hops]
    src: address of the sender
    dst: address of the receiver
    """

    version: u4 = 6
    traffic_class: u8 = 0
    flow_label: u20 = 0
    payload_length: u16 = auto()
    next_header: u8 = auto(IpProtocol.NONE)
    hop_limit: u8 = 64
    src: ip6 = _ZERO
    dst: ip6 = _ZERO

    def fill(self, place: Place) -> Self:
        """Fill payload length and next header."""
        return _fill_next(self.filled(payload_length=len(place.body) & 0xFFFF), place)

    def pseudo_sum(self, protocol: int, length: int) -> int:
        """Return what this header adds to the checksum of its payload."""
        src, dst = (self.src.hi, self.src.lo), (self.dst.hi, self.dst.lo)
        return pseudo_ip6(src, dst, protocol, length)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces, link padding left out."""
        start = at + self.size
        if self.version != 6:
            return Inside(start, end, defect=f"version is {self.version}")
        # Length 0 before hop-by-hop options is a jumbogram's (RFC 2675).
        if self.payload_length or self.next_header != IpProtocol.HOPOPT:
            end = min(end, start + self.payload_length)
        return Inside(start, end, BY_PROTOCOL.get(self.next_header))


def _fill_next(header: _Before, place: Place) -> _Before:
    number = place.inner.protocol_number if place.inner else None
    return header if number is None else header.filled(next_header=number)


class HopByHop(Header, protocol=IpProtocol.HOPOPT):
    """Hop-by-hop options of IPv6 (RFC 8200 section 4.3), options behind it.

    next_header: what follows
    length: this header but its first 8 bytes [8 bytes]
    """

    next_header: u8 = auto(IpProtocol.NONE)
    length: u8 = auto()

    def fill(self, place: Place) -> Self:
        """Fill next header and length."""
        return _fill_sized(self, place)

    def options(self, buffer: Buffer, at: int = 0) -> Iterator[Option]:
        """Yield the options of this header, parsed from byte `at` of the same buffer."""
        yield from walk_ip6_options(bytes(buffer[at + 2 : at + 8 + self.length * 8]), at + 2)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces."""
        return _behind(self, at, end)


class Destination(Header, protocol=IpProtocol.DESTINATION):
    """Destination options of IPv6 (RFC 8200 section 4.6), options behind it.

    next_header: what follows
    length: this header but its first 8 bytes [8 bytes]
    """

    next_header: u8 = auto(IpProtocol.NONE)
    length: u8 = auto()

    def fill(self, place: Place) -> Self:
        """Fill next header and length."""
        return _fill_sized(self, place)

    def options(self, buffer: Buffer, at: int = 0) -> Iterator[Option]:
        """Yield the options of this header, parsed from byte `at` of the same buffer."""
        yield from walk_ip6_options(bytes(buffer[at + 2 : at + 8 + self.length * 8]), at + 2)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces."""
        return _behind(self, at, end)


class Routing(Header, protocol=IpProtocol.ROUTING):
    """Routing header of IPv6 (RFC 8200 section 4.4), its data behind it.

    next_header: what follows
    length: this header but its first 8 bytes [8 bytes]
    kind: routing type
    segments_left: nodes still to be visited
    """

    next_header: u8 = auto(IpProtocol.NONE)
    length: u8 = auto()
    kind: u8 = 0
    segments_left: u8 = 0

    def fill(self, place: Place) -> Self:
        """Fill next header and length."""
        return _fill_sized(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces."""
        return _behind(self, at, end)


class Fragment(Header, protocol=IpProtocol.FRAGMENT):
    """Fragment header of IPv6 (RFC 8200 section 4.5).

    next_header: what the whole packet carries
    reserved: zero
    fragment_offset: where the fragment's payload belongs [8 bytes]
    reserved2: zero
    more: 1 if fragments follow
    identification: tells the fragments of one packet from others
    """

    next_header: u8 = auto(IpProtocol.NONE)
    reserved: u8 = 0
    fragment_offset: u13 = 0
    reserved2: u2 = 0
    more: u1 = 0
    identification: u32 = 0

    def fill(self, place: Place) -> Self:
        """Fill next header."""
        return _fill_next(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces, for the first fragment."""
        kind = None if self.fragment_offset else BY_PROTOCOL.get(self.next_header)
        return Inside(at + self.size, end, kind)


def _behind(header: HopByHop | Destination | Routing, at: int, end: int) -> Inside:
    start = at + extension_size(header.protocol_number or 0, header.length)
    if start > end:
        return Inside(at + header.size, end, defect=f"length {header.length} exceeds the packet")
    return Inside(start, end, BY_PROTOCOL.get(header.next_header))


def _fill_sized(header: _Before, place: Place) -> _Before:
    length = max(header.size + len(place.options) + 7, 8) // 8 - 1
    return _fill_next(header.filled(length=length), place)


def ip6_options(*options: tuple[int, bytes], header: int = 2) -> Options:
    """Return an option area of (kind, data) pairs, padded so that it and `header` bytes fill words.

    Words are of 8 bytes, the padding is Pad1 or PadN (RFC 8200 section 4.2).
    """
    area = b"".join(bytes([kind, len(data)]) + data for kind, data in options)
    missing = -(len(area) + header) % 8
    if missing == 1:
        return Options(area + b"\0")
    return Options(area + (bytes([1, missing - 2]) + bytes(missing - 2) if missing else b""))


class Extension(NamedTuple):
    """One extension header of a packet: its number, where it starts, and its octets in all."""

    kind: int
    offset: int
    size: int


class Chain(NamedTuple):
    """Where a walk along extension headers ended.

    `defect` is empty if `protocol` and `offset` tell the upper layer; `fragment_offset` is nonzero
    for a fragment that holds no upper-layer header.
    """

    extensions: tuple[Extension, ...]
    protocol: int
    offset: int
    fragment_offset: int
    defect: str = ""


def walk_extensions(data: Buffer, protocol: int, at: int) -> Chain:
    """Return the chain of extension headers that starts at byte `at` as `protocol`."""
    found: list[Extension] = []
    fragment = 0
    while protocol in EXTENSIONS and not fragment:
        if len(found) == EXTENSIONS_MAX:
            return Chain(tuple(found), protocol, at, fragment, "too many extension headers")
        if len(data) - at < 8:
            return Chain(tuple(found), protocol, at, fragment, "extension header cut short")
        size = extension_size(protocol, data[at + 1])
        if protocol == IpProtocol.FRAGMENT:
            fragment = int.from_bytes(data[at + 2 : at + 4], "big") >> 3
        found.append(Extension(protocol, at, size))
        protocol, at = data[at], at + size
    if at > len(data):
        return Chain(tuple(found), protocol, at, fragment, "extension header cut short")
    return Chain(tuple(found), protocol, at, fragment)


def extension_size(protocol: int, length: int) -> int:
    """Return the octets of an extension header from its length octet."""
    if protocol == IpProtocol.FRAGMENT:
        return 8
    # AH alone counts in words of 4, less two (RFC 4302 section 2.2).
    return (length + 2) * 4 if protocol == IpProtocol.AH else (length + 1) * 8


EXTENSIONS = frozenset({
    IpProtocol.HOPOPT, IpProtocol.ROUTING, IpProtocol.FRAGMENT, IpProtocol.DESTINATION,
    IpProtocol.AH,
})
"""Headers that may stand between IPv6's own and what is carried."""
