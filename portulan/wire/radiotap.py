"""Radiotap: what a wireless card says about a frame, before the frame."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told
from portulan.wire.layout import u8, u16


class Radiotap(Header, link=127):
    """Radiotap, whose numbers are little-endian; the IEEE 802.11 frame is payload.

    version: 0
    pad: zero
    length_swapped: size of the header, its octets swapped [bytes]
    """

    version: u8 = 0
    pad: u8 = 0
    length_swapped: u16 = 0x0800

    length = Told("size of the header", int, "bytes")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the frame behind the header."""
        length = int.from_bytes(self.length_swapped.to_bytes(2, "big"), "little")
        start = at + length
        if length < 8 or start > end:
            return Inside(at + self.size, end, defect=f"length is {length}")
        return Inside(start, end, told={"length": length}, brief="IEEE 802.11")
