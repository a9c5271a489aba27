"""Routing protocols' headers: OSPF and BGP."""

from __future__ import annotations

from typing import Any

from portulan.wire.address import Ip4
from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at
from portulan.wire.layout import ip4, u8, u16, u64

_OSPF = {1: "hello", 2: "database", 3: "request", 4: "update", 5: "acknowledgment"}
_BGP = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "refresh"}
_HELLO, _UPDATE = 1, 4
_HELLO_OCTETS = {2: 20, 3: 20}
_OPEN, _BGP_UPDATE, _NOTIFICATION = 1, 2, 3
_ONES = 0xFFFF_FFFF_FFFF_FFFF
_ZERO: Any = 0


class OSPF(Header, protocol=89):
    """OSPF, both versions (RFC 2328 appendix A.3.1, RFC 5340 appendix A.3.1).

    version: 2 for IPv4, 3 for IPv6
    type: 1 hello, 2 database description, 3 request, 4 update, 5 acknowledgment
    length: of the whole packet [bytes]
    router: identifier of the sender
    area: identifier of the area
    checksum: of the packet
    extra: kind of authentication in version 2, instance in version 3
    """

    version: u8 = 2
    type: u8 = 1
    length: u16 = 0
    router: ip4 = _ZERO
    area: ip4 = _ZERO
    checksum: u16 = 0
    extra: u16 = 0

    hello_s = Told("time between hellos", int, "s")
    dead_s = Told("silence after which a router is gone", int, "s")
    mask = Told("of the network, in a version 2 hello")
    designated = Told("designated router, in a hello")
    backup = Told("backup designated router, in a hello")
    neighbours = Told("routers whose hellos the sender has seen", list)
    advertisements = Told("how many an update carries", int)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell a hello; other messages are payload."""
        brief = f"OSPFv{self.version} {_OSPF.get(self.type, self.type)} from {self.router}"
        start = at + self.size + (8 if self.version == 2 else 0)
        told: dict[str, Value] = {}
        stop = min(end, at + self.length) if self.length else end
        if self.type == _HELLO and self.version in _HELLO_OCTETS:
            if start + _HELLO_OCTETS[self.version] > stop:
                return Inside(at + self.size, end, brief=brief, defect="hello cut short")
            _hello(octets, start, stop, told)
            if self.version == 2:
                told["mask"] = str(Ip4(number_at(octets, start, 4)))
                told["hello_s"] = number_at(octets, start + 4, 2)
                told["dead_s"] = number_at(octets, start + 8, 4)
            else:
                told["hello_s"] = number_at(octets, start + 8, 2)
                told["dead_s"] = number_at(octets, start + 10, 2)
        elif self.type == _UPDATE and start + 4 <= stop:
            told["advertisements"] = number_at(octets, start, 4)
        return Inside(at + self.size, end, told=told, brief=brief)


def _hello(octets: bytes, at: int, end: int, told: dict[str, Value]) -> None:
    """Tell the routers, which stand at the same places in both versions."""
    told["designated"] = str(Ip4(number_at(octets, at + 12, 4)))
    told["backup"] = str(Ip4(number_at(octets, at + 16, 4)))
    told["neighbours"] = [
        str(Ip4(number_at(octets, each, 4))) for each in range(at + 20, end - 3, 4)][:ITEMS_MAX]


class BGP(Header, tcp=179):
    """BGP (RFC 4271 section 4.1).

    marker_hi: all ones
    marker_lo: all ones
    length: of the whole message [bytes]
    type: 1 open, 2 update, 3 notification, 4 keepalive, 5 route refresh
    """

    marker_hi: u64 = _ONES
    marker_lo: u64 = _ONES
    length: u16 = 19
    type: u8 = 4

    version = Told("in an open", int)
    asn = Told("system of the sender, in an open; 23456 if it needs four octets", int)
    hold_s = Told("silence after which the session ends, in an open", int, "s")
    router = Told("identifier of the sender, in an open")
    prefixes = Told("networks that an update announces", list)
    withdrawn = Told("networks that an update takes back", list)
    attributes = Told("types of an update's path attributes, in order", list)
    error = Told("code of a notification", int)
    suberror = Told("subcode of a notification", int)

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a marker is there: the middle of an update has none."""
        return octets[at : at + 16] == b"\xff" * 16

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell a message, and return the next of the segment."""
        stop = at + self.length
        if not self.size <= self.length <= end - at:
            return Inside(at + self.size, end, defect=f"length is {self.length}")
        told: dict[str, Value] = {}
        start, defect = at + self.size, ""
        if self.type == _OPEN and start + 10 <= stop:
            told.update(version=octets[start], asn=number_at(octets, start + 1, 2),
                        hold_s=number_at(octets, start + 3, 2),
                        router=str(Ip4(number_at(octets, start + 5, 4))))
        elif self.type == _BGP_UPDATE:
            defect = _update(octets, start, stop, told)
        elif self.type == _NOTIFICATION and start + 2 <= stop:
            told.update(error=octets[start], suberror=octets[start + 1])
        more = stop + self.size <= end and self.claims(octets, stop, end)
        return Inside(stop if more else at + self.size, end, BGP if more else None, told,
                      f"BGP {_BGP.get(self.type, self.type)}", defect)


def _update(octets: bytes, at: int, end: int, told: dict[str, Value]) -> str:
    """Tell an update (RFC 4271 section 4.3); return what is wrong with it."""
    withdrawn = at + 2 + number_at(octets[:end], at, 2)
    paths = withdrawn + 2 + number_at(octets[:end], withdrawn, 2)
    if paths > end:
        return "update cut short"
    kinds, where = list[int](), withdrawn + 2
    while where + 3 <= paths and len(kinds) < ITEMS_MAX:
        kinds.append(octets[where + 1])
        wide = octets[where] >> 4 & 1  # extended length
        where += 3 + wide + number_at(octets, where + 2, 1 + wide)
    told["attributes"] = kinds
    for name, start, stop in (("withdrawn", at + 2, withdrawn), ("prefixes", paths, end)):
        if start < stop:
            told[name] = _prefixes(octets, start, stop)
    return ""


def _prefixes(octets: bytes, at: int, end: int) -> list[str]:
    found = list[str]()
    while at < end and len(found) < ITEMS_MAX:
        bits = octets[at]
        size = (bits + 7) // 8
        if bits > 32 or at + 1 + size > end:
            break
        number = number_at(octets, at + 1, size) << 8 * (4 - size)
        found.append(f"{Ip4(number)}/{bits}")
        at += 1 + size
    return found
