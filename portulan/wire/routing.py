"""Routing protocols' headers: OSPF and BGP."""

from __future__ import annotations

from typing import Any

from portulan.wire.header import Header
from portulan.wire.inside import Inside
from portulan.wire.layout import ip4, u8, u16, u64

_OSPF = {1: "hello", 2: "database", 3: "request", 4: "update", 5: "acknowledgment"}
_BGP = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "refresh"}
_ONES = 0xFFFF_FFFF_FFFF_FFFF
_ZERO: Any = 0


class OSPF(Header, protocol=89):
    """OSPF, both versions (RFC 2328 appendix A.3.1, RFC 5340 appendix A.3.1).

    version: 2 for IPv4, 3 for IPv6
    type: 1 hello, 2 database description, 3 request, 4 update, 5 acknowledgment
    length: of the whole packet [bytes]
    router: identifier of the sender
    area: identifier of the area
    checksum: of the packet
    extra: kind of authentication in version 2, instance in version 3
    """

    version: u8 = 2
    type: u8 = 1
    length: u16 = 0
    router: ip4 = _ZERO
    area: ip4 = _ZERO
    checksum: u16 = 0
    extra: u16 = 0

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the message as payload."""
        brief = f"OSPFv{self.version} {_OSPF.get(self.type, self.type)} from {self.router}"
        return Inside(at + self.size, end, brief=brief)


class BGP(Header, tcp=179):
    """BGP (RFC 4271 section 4.1).

    marker_hi: all ones
    marker_lo: all ones
    length: of the whole message [bytes]
    type: 1 open, 2 update, 3 notification, 4 keepalive, 5 route refresh
    """

    marker_hi: u64 = _ONES
    marker_lo: u64 = _ONES
    length: u16 = 19
    type: u8 = 4

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a marker is there: the middle of an update has none."""
        return octets[at : at + 16] == b"\xff" * 16

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the next message of the segment."""
        stop = at + self.length
        if not self.size <= self.length <= end - at:
            return Inside(at + self.size, end, defect=f"length is {self.length}")
        more = stop + self.size <= end and self.claims(octets, stop, end)
        return Inside(stop if more else at + self.size, end, BGP if more else None,
                      brief=f"BGP {_BGP.get(self.type, self.type)}")
