"""IPsec: authentication header and encapsulated payload."""

from __future__ import annotations

from portulan.wire.header import BY_PROTOCOL, Header
from portulan.wire.inside import Inside
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import u8, u16, u32


class ESP(Header, protocol=IpProtocol.ESP):
    """Encapsulating security payload (RFC 4303 section 2); what is behind it is encrypted.

    spi: tells the security association
    sequence: number of the packet in its association
    """

    spi: u32 = 0
    sequence: u32 = 0

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return encrypted payload."""
        brief = f"ESP spi=0x{self.spi:08x} seq={self.sequence}"
        return Inside(at + self.size, end, brief=brief)


class AH(Header, protocol=IpProtocol.AH):
    """Authentication header (RFC 4302 section 2).

    next_header: what follows
    length: this header less 2 [4 bytes]
    reserved: zero
    spi: tells the security association
    sequence: number of the packet in its association
    """

    next_header: u8 = IpProtocol.NONE
    length: u8 = 1
    reserved: u16 = 0
    spi: u32 = 0
    sequence: u32 = 0

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the next header announces, behind the integrity check value."""
        start = at + (self.length + 2) * 4
        if start > end or start < at + self.size:
            return Inside(at + self.size, end, defect=f"length is {self.length}")
        return Inside(start, end, BY_PROTOCOL.get(self.next_header))
