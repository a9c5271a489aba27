"""Linux cooked captures: what a capture on all interfaces puts in place of a link header."""

from __future__ import annotations

from typing import Any, Self

from portulan.wire.ethernet import EtherType, fill_ethertype
from portulan.wire.header import BY_ETHERTYPE, Header, Place
from portulan.wire.inside import Inside
from portulan.wire.layout import auto, mac, u8, u16, u32

_ZERO: Any = 0


class LinuxSLL(Header, link=113):
    """Linux cooked capture, version 1 (LINKTYPE_LINUX_SLL).

    packet_type: 0 to us, 1 broadcast, 2 multicast, 3 to others, 4 sent by us
    hardware: ARP hardware kind of the interface
    address_length: octets of the link address that count [bytes]
    address: link address of the sender, an Ethernet one if it has 6 octets
    address_rest: its last octets where it has 8
    ethertype: what follows
    """

    packet_type: u16 = 0
    hardware: u16 = 1
    address_length: u16 = 6
    address: mac = _ZERO
    address_rest: u16 = 0
    ethertype: u16 = auto(EtherType.IPV4)

    def fill(self, place: Place) -> Self:
        """Fill the ethertype from the next header."""
        return fill_ethertype(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the ethertype announces."""
        return Inside(at + self.size, end, BY_ETHERTYPE.get(self.ethertype))


class LinuxSLL2(Header, link=276):
    """Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2).

    ethertype: what follows
    reserved: zero
    interface: number of the interface
    hardware: ARP hardware kind of the interface
    packet_type: 0 to us, 1 broadcast, 2 multicast, 3 to others, 4 sent by us
    address_length: octets of the link address that count [bytes]
    address: link address of the sender, an Ethernet one if it has 6 octets
    address_rest: its last octets where it has 8
    """

    ethertype: u16 = auto(EtherType.IPV4)
    reserved: u16 = 0
    interface: u32 = 0
    hardware: u16 = 1
    packet_type: u8 = 0
    address_length: u8 = 6
    address: mac = _ZERO
    address_rest: u16 = 0

    def fill(self, place: Place) -> Self:
        """Fill the ethertype from the next header."""
        return fill_ethertype(self, place)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return what the ethertype announces."""
        return Inside(at + self.size, end, BY_ETHERTYPE.get(self.ethertype))
