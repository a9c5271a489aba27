"""TFTP."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, Value, number_at, text_of
from portulan.wire.layout import u16

_NAMES = {1: "read", 2: "write", 3: "data", 4: "ack", 5: "error", 6: "options"}


class TFTP(Header, udp=69):
    """TFTP (RFC 1350 section 5). Only its first packet has a known port.

    opcode: 1 read, 2 write, 3 data, 4 ack, 5 error, 6 options
    """

    opcode: u16 = 1

    file = Told("name of the file")
    mode = Told("netascii or octet")
    block = Told("number of the block", int)
    error = Told("what went wrong")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether the opcode is known."""
        return number_at(octets[:end], at, 2) in _NAMES

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell file and mode, block or error."""
        start, told, defect = at + self.size, dict[str, Value](), ""
        brief = f"TFTP {_NAMES.get(self.opcode, self.opcode)}"
        if self.opcode in (1, 2):
            parts = octets[start:end].split(b"\0", 2)
            told.update(zip(("file", "mode"), map(text_of, parts), strict=False))
            defect = "" if len(parts) > 2 else "strings are not ended"
            return Inside(end, end, told=told, brief=f"{brief} {told['file']}", defect=defect)
        if self.opcode in (3, 4):
            told["block"] = number_at(octets[:end], start, 2)
        elif self.opcode == 5:
            told["error"] = text_of(octets[start + 2 : end].split(b"\0", 1)[0])
        return Inside(min(start + 2, end), end, told=told, brief=brief)
