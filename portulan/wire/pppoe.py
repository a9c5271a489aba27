"""PPP over Ethernet: discovery, sessions, and the PPP protocol number."""

from __future__ import annotations

from portulan.wire.ethernet import EtherType
from portulan.wire.header import BY_ETHERTYPE, Header
from portulan.wire.inside import Inside, Told, Value, items_of, text_of
from portulan.wire.layout import u4, u8, u16

_SESSION = 0
_CODES = {9: "PADI", 7: "PADO", 0x19: "PADR", 0x65: "PADS", 0xA7: "PADT"}
_TAGS = {0x0101: "service", 0x0102: "concentrator"}


class PPPoE(Header, ethertype=(0x8864, 0x8863)):
    """PPP over Ethernet (RFC 2516 section 4).

    version: 1
    type: 1
    code: 0 in a session; 9, 7, 25, 101, 167 in discovery
    session: tells one session from others
    length: what follows [bytes]
    """

    version: u4 = 1
    type: u4 = 1
    code: u8 = 0
    session: u16 = 0
    length: u16 = 0

    service = Told("name of the service, in discovery")
    concentrator = Told("name of the access concentrator, in discovery")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return PPP in a session, the tags of a discovery."""
        start = at + self.size
        stop = min(end, start + self.length)
        if self.code == _SESSION:
            return Inside(start, stop, PPP)
        told: dict[str, Value] = {
            _TAGS[tag.kind]: text_of(octets[tag.at : tag.end])
            for tag in items_of(octets, start, stop, kind=2, length=2) if tag.kind in _TAGS
        }
        return Inside(start, stop, told=told, brief=f"PPPoE {_CODES.get(self.code, self.code)}")


class PPP(Header):
    """The PPP protocol number (RFC 1661 section 2).

    protocol: what follows; 33 IPv4, 87 IPv6, 49185 link control
    """

    protocol: u16 = 0x21

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the number announces."""
        known = {0x21: EtherType.IPV4, 0x57: EtherType.IPV6, 0x281: 0x8847}
        return Inside(at + self.size, end, BY_ETHERTYPE.get(known.get(self.protocol, -1)))
