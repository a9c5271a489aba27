"""SCTP: the common header and the chunks behind it."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, number_at
from portulan.wire.layout import u16, u32

_CHUNKS = {
    0: "DATA", 1: "INIT", 2: "INIT_ACK", 3: "SACK", 4: "HEARTBEAT", 5: "HEARTBEAT_ACK", 6: "ABORT",
    7: "SHUTDOWN", 8: "SHUTDOWN_ACK", 9: "ERROR", 10: "COOKIE_ECHO", 11: "COOKIE_ACK",
    14: "SHUTDOWN_COMPLETE",
}


class SCTP(Header, protocol=132):
    """SCTP's common header (RFC 9260 section 3.1).

    sport: port of the sender
    dport: port of the receiver
    tag: verification tag of the association
    checksum: CRC32c of the packet
    """

    sport: u16 = 0
    dport: u16 = 0
    tag: u32 = 0
    checksum: u32 = 0

    chunks = Told("types of the chunks, in order", list)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the chunks."""
        kinds: list[int] = []
        start, defect = at + self.size, ""
        while start + 4 <= end and len(kinds) < ITEMS_MAX and not defect:
            kinds.append(octets[start])
            size = number_at(octets, start + 2, 2)
            if size < 4 or start + size > end:
                defect = f"chunk {len(kinds)} has length {size}"
            start += size + 3 & ~3
        names = " ".join(_CHUNKS.get(kind, f"chunk {kind}") for kind in kinds[:6])
        brief = f"SCTP {self.sport} > {self.dport} {names}"
        return Inside(min(start, end), end, told={"chunks": kinds}, brief=brief, defect=defect)
