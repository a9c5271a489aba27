"""Loopback captures of BSD systems: an address family in place of a link header."""

from __future__ import annotations

from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_ETHERTYPE, Header
from portulan.wire.inside import Inside
from portulan.wire.layout import u32

_INET = 2
_INET6 = (10, 24, 28, 30)
"""The same family has another number on Linux, NetBSD, FreeBSD and macOS."""


class Loopback(Header, link=(0, 108)):
    """BSD loopback: LINKTYPE_NULL in the byte order of the machine, LINKTYPE_LOOP in ours.

    family: 2 for IPv4; 10, 24, 28 or 30 for IPv6, by system; perhaps with its octets reversed
    """

    family: u32 = _INET

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the family announces."""
        # Families fit one octet, so the order shows.
        family = self.family >> 24 or self.family
        known = {_INET: EtherType.IPV4, **dict.fromkeys(_INET6, EtherType.IPV6)}
        return Inside(at + self.size, end, BY_ETHERTYPE.get(known.get(family, -1)))
