"""UDP."""

from __future__ import annotations

from typing import Self

from portulan.wire.checksum import finish_udp, transport_sum
from portulan.wire.header import Header, Place, on_ports, port_of
from portulan.wire.inside import Inside
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import auto, u16


class UDP(Header, protocol=IpProtocol.UDP):
    """UDP (RFC 768).

    sport: port of the sender
    dport: port of the receiver
    length: header and payload [bytes]
    checksum: of pseudo-header, header and payload; 0 says none
    """

    sport: u16 = 0
    dport: u16 = 0
    length: u16 = auto()
    checksum: u16 = auto()

    def fill(self, place: Place) -> Self:
        """Fill length, checksum, and the port of what is carried."""
        port = port_of(IpProtocol.UDP, place.inner)
        header = self.filled(length=(self.size + len(place.body)) & 0xFFFF, **port)
        total = transport_sum(place.outer, IpProtocol.UDP, header.pack() + place.body)
        return header.filled(checksum=finish_udp(total))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the ports announce, as far as the length says."""
        start = at + self.size
        if 0 < self.length < self.size:
            return Inside(start, end, defect=f"length is {self.length}")
        # 0 is a jumbogram's (RFC 2675), or a sender's own capture before its card cuts.
        end = min(end, at + self.length) if self.length else end
        kind = on_ports(IpProtocol.UDP, (self.sport, self.dport), octets, start, end)
        return Inside(start, end, kind)
