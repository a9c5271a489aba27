"""SCTP: the common header and the chunks behind it."""

from __future__ import annotations

from typing import Self

from portulan.wire.crc32c import crc32c
from portulan.wire.header import Header, Place
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at
from portulan.wire.layout import auto, u16, u32

_CHUNKS = {
    0: "DATA", 1: "INIT", 2: "INIT_ACK", 3: "SACK", 4: "HEARTBEAT", 5: "HEARTBEAT_ACK", 6: "ABORT",
    7: "SHUTDOWN", 8: "SHUTDOWN_ACK", 9: "ERROR", 10: "COOKIE_ECHO", 11: "COOKIE_ACK",
    14: "SHUTDOWN_COMPLETE",
}

_DATA, _INIT, _INIT_ACK = 0, 1, 2
_LEAST = {_DATA: 16, _INIT: 20, _INIT_ACK: 20}
"""Octets of a chunk that are always there (RFC 9260 sections 3.3.1 to 3.3.3)."""


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
    checksum: u32 = auto()

    chunks = Told("types of the chunks, in order", list)
    init_tag = Told("tag that an INIT or INIT_ACK asks for", int)
    tsn = Told("transmission number of the first DATA chunk", int)
    stream = Told("of the first DATA chunk", int)
    payload_protocol = Told("identifier of what the first DATA chunk carries", int)

    def fill(self, place: Place) -> Self:
        """Fill the checksum, whose octets are in little-endian order (RFC 9260 appendix A)."""
        if self.is_given("checksum"):
            return self
        value = crc32c(self.pack() + place.body)
        return self.filled(checksum=int.from_bytes(value.to_bytes(4, "little"), "big"))

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the chunks."""
        kinds: list[int] = []
        told: dict[str, Value] = {"chunks": kinds}
        start, defect = at + self.size, ""
        while start + 4 <= end and len(kinds) < ITEMS_MAX and not defect:
            kinds.append(octets[start])
            size = number_at(octets, start + 2, 2)
            if size < 4 or start + size > end:
                defect = f"chunk {len(kinds)} has length {size}"
            elif size >= _LEAST.get(kinds[-1], 4):
                _tell(told, kinds[-1], octets, start)
            start += size + 3 & ~3
        names = " ".join(_CHUNKS.get(kind, f"chunk {kind}") for kind in kinds[:6])
        brief = f"SCTP {self.sport} > {self.dport} {names}"
        return Inside(min(start, end), end, told=told, brief=brief, defect=defect)


def _tell(told: dict[str, Value], kind: int, octets: bytes, at: int) -> None:
    if kind in (_INIT, _INIT_ACK):
        told.setdefault("init_tag", number_at(octets, at + 4, 4))
    elif kind == _DATA and "tsn" not in told:
        told.update(tsn=number_at(octets, at + 4, 4), stream=number_at(octets, at + 8, 2),
                    payload_protocol=number_at(octets, at + 12, 4))
