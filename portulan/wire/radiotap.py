"""Radiotap: what a wireless card says about a frame, before the frame."""

from __future__ import annotations

from portulan.wire.dot11 import Dot11
from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, Value
from portulan.wire.layout import u8, u16

_FIELDS = ((8, 8), (1, 1), (1, 1), (4, 2), (2, 2), (1, 1))
"""Size and alignment of time, flags, rate, channel, hopping, signal."""
_CHANNEL, _SIGNAL = 3, 5
_FIELDS_AT = 8


class Radiotap(Header, link=127):
    """Radiotap, whose numbers are little-endian.

    version: 0
    pad: zero
    length_swapped: size of the header, its octets swapped [bytes]
    """

    version: u8 = 0
    pad: u8 = 0
    length_swapped: u16 = 0x0800

    length = Told("size of the header", int, "bytes")
    frequency = Told("middle of the channel", int, "MHz")
    signal = Told("strength of the signal", int, "dBm")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Return the frame behind the header."""
        length = int.from_bytes(self.length_swapped.to_bytes(2, "big"), "little")
        start = at + length
        if length < 8 or start > end:
            return Inside(at + self.size, end, defect=f"length is {length}")
        told: dict[str, Value] = {"length": length}
        if length >= _FIELDS_AT:
            _fields(octets[at:start], told)
        return Inside(start, end, Dot11 if start < end else None, told)


def _fields(header: bytes, told: dict[str, Value]) -> None:
    """Tell what stands in the first fields; each is aligned to its size."""
    present, at = int.from_bytes(header[4:8], "little"), 4
    while header[at + 3] & 0x80 and at + 8 <= len(header):
        at += 4  # more words of flags; those of the first stand first all the same
        if at + 4 > len(header):
            return
    at += 4
    for bit, (size, align) in enumerate(_FIELDS):
        if not present >> bit & 1:
            continue
        at = -(-at // align) * align
        if at + size > len(header):
            return
        if bit == _CHANNEL:
            told["frequency"] = int.from_bytes(header[at : at + 2], "little")
        elif bit == _SIGNAL:
            told["signal"] = int.from_bytes(header[at : at + 1], "little", signed=True)
        at += size
