"""VXLAN."""

from __future__ import annotations

from portulan.wire.header import BY_LINK, Header
from portulan.wire.inside import Inside
from portulan.wire.layout import u8, u24


class VXLAN(Header, udp=(4789, 8472)):
    """VXLAN (RFC 7348 section 5); Linux used port 8472 before 4789 was assigned.

    flags: 8 if `vni` is valid
    reserved: zero
    vni: identifier of the virtual network
    reserved2: zero
    """

    flags: u8 = 8
    reserved: u24 = 0
    vni: u24 = 0
    reserved2: u8 = 0

    tunnel = True

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether the flag that must be set is."""
        return octets[at] & 8 == 8

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the Ethernet frame."""
        return Inside(at + self.size, end, BY_LINK[1])
