"""UDP."""

from __future__ import annotations

from typing import Self

from portulan.wire.checksum import finish_udp, transport_sum
from portulan.wire.header import Header, Place
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
        """Fill length and checksum."""
        header = self.filled(length=(self.size + len(place.body)) & 0xFFFF)
        total = transport_sum(place.outer, IpProtocol.UDP, header.pack() + place.body)
        return header.filled(checksum=finish_udp(total))
