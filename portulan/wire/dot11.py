"""IEEE 802.11: frames of wireless networks, as far as they are in clear."""

from __future__ import annotations

from dataclasses import replace

from portulan.wire.address import Mac
from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, Value, items_of, number_at, text_of
from portulan.wire.layout import u8, u16
from portulan.wire.llc import LLC

_MANAGEMENT, _CONTROL, _DATA = 0, 1, 2
_NAMES = {
    (0, 0): "association request", (0, 1): "association response", (0, 4): "probe request",
    (0, 5): "probe response", (0, 8): "beacon", (0, 10): "disassociation",
    (0, 11): "authentication", (0, 12): "deauthentication", (0, 13): "action", (1, 8): "block ack",
    (1, 9): "block ack", (1, 10): "ps-poll", (1, 11): "rts", (1, 12): "cts", (1, 13): "ack",
    (2, 0): "data", (2, 4): "null", (2, 8): "qos data", (2, 12): "qos null",
}
_FIXED_OCTETS = {0: 4, 1: 6, 4: 0, 5: 12, 8: 12}
"""What comes before the elements of a management frame, by subtype (section 9.3.3)."""
_SSID = 0
_TO_DS, _FROM_DS, _PROTECTED, _ORDER = 0x01, 0x02, 0x40, 0x80
_ONE_ADDRESS = (12, 13)
"""Subtypes of control frames with no transmitter: cts, ack."""
_ADDRESSES = ("receiver", "transmitter", "address3")


class Dot11(Header, name="wlan", link=105):
    """An IEEE 802.11 header (section 9.2), whose numbers are little-endian.

    control: version, type and subtype
    flags: to and from the distribution system, retry, protected, order
    duration_swapped: reserved time, its octets swapped [us]
    """

    control: u8 = 0x80
    flags: u8 = 0
    duration_swapped: u16 = 0

    type = Told("0 management, 1 control, 2 data", int)
    subtype = Told("of the type: 8 is a beacon of management, qos data of data", int)
    receiver = Told("address of the receiver on the air")
    transmitter = Told("address of the transmitter on the air")
    address3 = Told("third address: network, source or destination")
    sequence = Told("sequence number", int)
    ssid = Told("name of the network")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell addresses and names, and return what unprotected data carries."""
        kind, subtype = self.control >> 2 & 3, self.control >> 4
        told: dict[str, Value] = {"type": kind, "subtype": subtype}
        brief = f"802.11 {_NAMES.get((kind, subtype), f'type {kind} subtype {subtype}')}"
        start = at + self.size
        for name in _ADDRESSES[: self._addresses]:
            if start + 6 > end:
                return Inside(end, end, told=told, brief=brief, defect=f"{name} cut short")
            told[name] = str(Mac(number_at(octets, start, 6)))
            start += 6
        if kind == _CONTROL:
            return Inside(start, end, told=told, brief=brief)
        if start + 2 > end:
            return Inside(end, end, told=told, brief=brief, defect="sequence cut short")
        told["sequence"] = (octets[start] | octets[start + 1] << 8) >> 4
        start += 2
        if kind == _MANAGEMENT and not self.flags & _PROTECTED:
            _elements(octets, start + _FIXED_OCTETS.get(subtype, end), end, told)
            brief = f"{brief} {told.get('ssid', '')}".rstrip()
        if kind == _DATA:
            return self._data(octets, start, end, Inside(start, end, told=told, brief=brief))
        return Inside(start, end, told=told, brief=brief)

    @property
    def _addresses(self) -> int:
        if self.control >> 2 & 3 != _CONTROL:
            return 3
        return 1 if self.control >> 4 in _ONE_ADDRESS else 2

    def _data(self, octets: bytes, at: int, end: int, so_far: Inside) -> Inside:
        subtype = self.control >> 4
        if self.flags & (_TO_DS | _FROM_DS) == _TO_DS | _FROM_DS:
            at += 6
        if subtype & 8:
            at += 6 if self.flags & _ORDER else 2
        if at > end:
            return replace(so_far, at=end, defect="header cut short")
        clear = not self.flags & _PROTECTED and not subtype & 4
        return replace(so_far, at=at, kind=LLC if clear and at < end else None)


def _elements(octets: bytes, at: int, end: int, told: dict[str, Value]) -> None:
    for item in items_of(octets, at, end):
        if item.kind == _SSID:
            told["ssid"] = text_of(octets[item.at : item.end])
            return
