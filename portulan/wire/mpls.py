"""MPLS label stack entries."""

from __future__ import annotations

from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_ETHERTYPE, Header
from portulan.wire.inside import Inside
from portulan.wire.layout import u1, u3, u8, u20

_BY_VERSION = {4: EtherType.IPV4, 6: EtherType.IPV6}


class MPLS(Header, ethertype=(0x8847, 0x8848), protocol=137):
    """One entry of an MPLS label stack (RFC 3032 section 2.1).

    label: tells the path
    tc: traffic class (RFC 5462)
    bottom: 1 if no entry follows
    ttl: routers it may still pass [hops]
    """

    label: u20 = 0
    tc: u3 = 0
    bottom: u1 = 1
    ttl: u8 = 64

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the next entry, or IP by its version: nothing else says what is carried."""
        start = at + self.size
        if not self.bottom:
            return Inside(start, end, MPLS)
        version = octets[start] >> 4 if start < end else 0
        return Inside(start, end, BY_ETHERTYPE.get(_BY_VERSION.get(version, -1)))
