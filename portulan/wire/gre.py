"""GRE, with key and sequence number."""

from __future__ import annotations

from typing import Self

from portulan.wire.header import BY_ETHERTYPE, BY_LINK, Header, Place
from portulan.wire.inside import Inside, Told, Value, number_at
from portulan.wire.layout import auto, u1, u3, u5, u16

TRANSPARENT_ETHERNET = 0x6558
"""Ethernet frames inside (IANA, ieee-802-numbers)."""


class GRE(Header, protocol=47):
    """Generic routing encapsulation (RFC 2784, RFC 2890).

    has_checksum: 1 if a checksum follows
    has_routing: 1 if routes follow; deprecated
    has_key: 1 if a key follows
    has_sequence: 1 if a sequence number follows
    strict: strict source route; deprecated
    recursion: deprecated
    flags: zero
    version: 0; 1 is PPTP's
    ethertype: what is carried
    """

    has_checksum: u1 = 0
    has_routing: u1 = 0
    has_key: u1 = 0
    has_sequence: u1 = 0
    strict: u1 = 0
    recursion: u3 = 0
    flags: u5 = 0
    version: u3 = 0
    ethertype: u16 = auto()

    key = Told("tells one tunnel from others", int)
    sequence = Told("number of the packet in its tunnel", int)

    def fill(self, place: Place) -> Self:
        """Fill the ethertype from the next header."""
        inner = place.inner
        number = inner.ethertype_number if inner else None
        if inner is not None and type(inner) is BY_LINK[1]:
            number = TRANSPARENT_ETHERNET
        return self if number is None else self.filled(ethertype=number)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell key and sequence number, and return what is carried."""
        start = at + self.size
        if self.version or self.has_routing:
            return Inside(start, end)
        start += 4 * self.has_checksum
        told: dict[str, Value] = {}
        for name, there in (("key", self.has_key), ("sequence", self.has_sequence)):
            if there and start + 4 <= end:
                told[name] = number_at(octets, start, 4)
            start += 4 * there
        if start > end:
            return Inside(at + self.size, end, told=told, defect="optional fields cut short")
        return Inside(start, end, carried(self.ethertype), told)


def carried(ethertype: int) -> type[Header] | None:
    """Return what an ethertype in a tunnel announces."""
    return BY_LINK[1] if ethertype == TRANSPARENT_ETHERNET else BY_ETHERTYPE.get(ethertype)
