"""IGMP: who listens to which IPv4 groups."""

from __future__ import annotations

from typing import Any, Self

from portulan.wire.address import Ip4
from portulan.wire.checksum import internet_checksum
from portulan.wire.header import Header, Place
from portulan.wire.inside import ITEMS_MAX, Inside, Told, number_at
from portulan.wire.layout import auto, ip4, u8, u16

_QUERY, _REPORT3 = 0x11, 0x22
_NAMES = {_QUERY: "query", 0x12: "v1 report", 0x16: "v2 report", 0x17: "leave", 0x22: "v3 report"}
_ZERO: Any = 0


class IGMP(Header, protocol=2):
    """IGMP (RFC 2236 section 2, RFC 9776 section 4).

    type: 17 query, 18 and 22 report, 23 leave, 34 version 3 report
    max_response: time to answer a query [0.1 s]
    checksum: of the whole message
    group: that is asked for or told about; in a version 3 report, the number of records
    """

    type: u8 = _QUERY
    max_response: u8 = 0
    checksum: u16 = auto()
    group: ip4 = _ZERO

    groups = Told("groups of a version 3 report", list)

    def fill(self, place: Place) -> Self:
        """Fill the checksum."""
        return self.filled(checksum=internet_checksum(self.pack() + place.body))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the groups of a version 3 report."""
        name = _NAMES.get(self.type, f"type {self.type}")
        if self.type != _REPORT3:
            return Inside(at + self.size, end, brief=f"IGMP {name} {self.group}")
        groups: list[str] = []
        start = at + self.size
        for _ in range(min(int(self.group) & 0xFFFF, ITEMS_MAX)):
            sources = number_at(octets, start + 2, 2)
            size = 8 + 4 * sources + 4 * number_at(octets, start + 1, 1)
            if start + size > end:
                break
            groups.append(str(Ip4(number_at(octets, start + 4, 4))))
            start += size
        defect = "" if len(groups) == int(self.group) & 0xFFFF else "records cut short"
        brief = f"IGMP {name} {' '.join(groups[:4])}"
        return Inside(start, end, told={"groups": groups}, brief=brief, defect=defect)
