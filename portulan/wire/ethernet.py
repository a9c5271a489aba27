"""Ethernet II and the 802.1Q tag."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self, TypeVar

from portulan.wire.header import BY_ETHERTYPE, Header, Place
from portulan.wire.inside import Inside
from portulan.wire.layout import auto, mac, u1, u3, u12, u16

_Link = TypeVar("_Link", bound=Header)
_ZERO: Any = 0
_BROADCAST: Any = 0xFFFF_FFFF_FFFF


class EtherType(IntEnum):
    """What follows an Ethernet header (IANA, ieee-802-numbers)."""

    IPV4 = 0x0800
    ARP = 0x0806
    VLAN = 0x8100
    IPV6 = 0x86DD
    SERVICE_VLAN = 0x88A8
    LLC = 0x0004
    """No number on the wire but Linux's: an IEEE 802.3 length was there, LLC follows."""


LENGTH_MAX = 1535
"""Below 1536 the field is the length of what follows (IEEE 802.3 section 3.2.6)."""


class Ethernet(Header, link=1):
    """Ethernet II (IEEE 802.3).

    dst: address of the receiver on this link
    src: address of the sender on this link
    ethertype: what follows; below 1536 a length
    """

    dst: mac = _BROADCAST
    src: mac = _ZERO
    ethertype: u16 = auto()

    def fill(self, place: Place) -> Self:
        """Fill the ethertype from the next header."""
        return fill_ethertype(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the ethertype announces."""
        return behind_ethertype(self.ethertype, at + self.size, end)


class VLAN(Header, ethertype=(EtherType.VLAN, EtherType.SERVICE_VLAN, 0x9100)):
    """802.1Q tag (IEEE 802.1Q section 9.6).

    pcp: priority code point
    dei: drop eligible indicator
    id: identifier of the virtual network
    ethertype: what follows
    """

    pcp: u3 = 0
    dei: u1 = 0
    id: u12 = 0
    ethertype: u16 = auto()

    def fill(self, place: Place) -> Self:
        """Fill the ethertype from the next header."""
        return fill_ethertype(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the ethertype announces."""
        return behind_ethertype(self.ethertype, at + self.size, end)


def fill_ethertype(header: _Link, place: Place) -> _Link:
    """Return a link header with its ethertype set by the next header, if that has one."""
    number = place.inner.ethertype_number if place.inner else None
    return header if number is None else header.filled(ethertype=number)


def behind_ethertype(ethertype: int, at: int, end: int) -> Inside:
    """Return what an ethertype, or a length in its place, announces at byte `at`."""
    if ethertype <= LENGTH_MAX:
        return Inside(at, min(end, at + ethertype), BY_ETHERTYPE.get(EtherType.LLC))
    return Inside(at, end, BY_ETHERTYPE.get(ethertype))
