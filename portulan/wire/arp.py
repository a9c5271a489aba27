"""Address resolution for IPv4 over Ethernet."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self

from portulan.wire.ethernet import EtherType
from portulan.wire.header import Header
from portulan.wire.layout import ip4, mac, u8, u16

_ZERO: Any = 0


class ArpOperation(IntEnum):
    """What an ARP packet does (IANA, arp-parameters)."""

    REQUEST = 1
    REPLY = 2


class ARP(Header, ethertype=EtherType.ARP):
    """ARP (RFC 826), for Ethernet and IPv4.

    hardware: kind of link, 1 is Ethernet
    protocol: kind of network address, as an ethertype
    hlen: size of a link address [bytes]
    plen: size of a network address [bytes]
    operation: 1 asks, 2 answers
    sha: link address of the sender
    spa: network address of the sender
    tha: link address of the target
    tpa: network address of the target
    """

    hardware: u16 = 1
    protocol: u16 = EtherType.IPV4
    hlen: u8 = 6
    plen: u8 = 4
    operation: u16 = ArpOperation.REQUEST
    sha: mac = _ZERO
    spa: ip4 = _ZERO
    tha: mac = _ZERO
    tpa: ip4 = _ZERO

    @classmethod
    def request(cls, *, sha: str | int, spa: str | int, tpa: str | int) -> Self:
        """Return the question who has `tpa`."""
        return cls(sha=sha, spa=spa, tpa=tpa)

    @classmethod
    def who_has(cls, tpa: str | int) -> Self:
        """Return the question who has `tpa`; sending fills in who asks."""
        return cls(tpa=tpa)

    @classmethod
    def is_at(
        cls, spa: str | int, sha: str | int, *, tpa: str | int = 0, tha: str | int = 0
    ) -> Self:
        """Return the answer that `spa` is at `sha`, to who asked."""
        return cls(operation=ArpOperation.REPLY, spa=spa, sha=sha, tpa=tpa, tha=tha)

    @property
    def plain(self) -> bool:
        """Say whether this is ARP for IPv4 over Ethernet, the only kind whose addresses fit."""
        return (self.hardware, self.protocol, self.hlen, self.plen) == (1, EtherType.IPV4, 6, 4)
