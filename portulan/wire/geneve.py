"""Geneve."""

from __future__ import annotations

from portulan.wire.gre import TRANSPARENT_ETHERNET, carried
from portulan.wire.header import Header
from portulan.wire.inside import Inside
from portulan.wire.layout import u1, u2, u6, u8, u16, u24


class Geneve(Header, udp=6081):
    """Geneve (RFC 8926 section 3.4).

    version: 0
    options_length: options behind this header [4 bytes]
    oam: 1 if it carries a control message
    critical: 1 if an option must be understood
    reserved: zero
    ethertype: what is carried
    vni: identifier of the virtual network
    reserved2: zero
    """

    version: u2 = 0
    options_length: u6 = 0
    oam: u1 = 0
    critical: u1 = 0
    reserved: u6 = 0
    ethertype: u16 = TRANSPARENT_ETHERNET
    vni: u24 = 0
    reserved2: u8 = 0

    tunnel = True

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what is carried behind the options."""
        start = at + self.size + self.options_length * 4
        if start > end or self.version:
            return Inside(at + self.size, end, defect="options cut short or version not 0")
        return Inside(start, end, carried(self.ethertype))
