"""DHCP for IPv4 and its options."""

from __future__ import annotations

from typing import Any

from portulan.wire.address import Ip4
from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, number_at, text_of
from portulan.wire.layout import ip4, mac, u8, u16, u32, u64

_NAMES_OCTETS = 192
"""Server name and boot file, between the addresses and the cookie."""
_COOKIE = 0x63825363
_PAD, _END = 0, 255
_MESSAGES = {1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak",
             7: "release", 8: "inform"}
_ADDRESS = {1: "mask", 50: "requested", 54: "server"}
_ADDRESSES = {3: "routers", 6: "dns_servers"}
_TEXTS = {12: "hostname", 15: "domain", 60: "vendor_class"}
_NUMBERS = {51: "lease_s", 53: "message"}
_ZERO: Any = 0


class DHCP(Header, udp=(67, 68)):
    """DHCP (RFC 2131 section 2), options by RFC 2132.

    op: 1 from the client, 2 to it
    hardware: kind of link, 1 is Ethernet
    hlen: size of a link address [bytes]
    hops: relays passed
    xid: tells one exchange from others
    seconds: since the client began [s]
    flags: 32768 asks for a broadcast answer
    ciaddr: the client's address, if it has one
    yiaddr: the address it is given
    siaddr: the next server to boot from
    giaddr: the relay
    chaddr: link address of the client
    chaddr_rest: what longer link addresses take
    chaddr_rest2: what longer link addresses take
    """

    op: u8 = 1
    hardware: u8 = 1
    hlen: u8 = 6
    hops: u8 = 0
    xid: u32 = 0
    seconds: u16 = 0
    flags: u16 = 0
    ciaddr: ip4 = _ZERO
    yiaddr: ip4 = _ZERO
    siaddr: ip4 = _ZERO
    giaddr: ip4 = _ZERO
    chaddr: mac = _ZERO
    chaddr_rest: u64 = 0
    chaddr_rest2: u16 = 0

    message = Told("1 discover, 2 offer, 3 request, 5 ack, 6 nak, ...", int)
    mask = Told("subnet mask")
    requested = Told("address asked for")
    server = Told("address of the server")
    routers = Told("routers of the network", list)
    dns_servers = Told("name servers of the network", list)
    hostname = Told("name of the client")
    domain = Told("domain of the network")
    vendor_class = Told("kind of client")
    lease_s = Told("how long the address is the client's", int, "s")
    parameters = Told("options asked for", list)
    boot_file = Told("file to boot from")

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the options."""
        start = at + self.size + _NAMES_OCTETS + 4
        if start > end:
            return Inside(at + self.size, end, defect="cut short before its options")
        told: dict[str, Value] = {}
        if boot := octets[start - 132 : start - 4].split(b"\0", 1)[0]:
            told["boot_file"] = text_of(boot)
        if number_at(octets, start - 4, 4) != _COOKIE:
            return Inside(start - 4, end, told=told, brief="BOOTP")
        stop, defect = _options(octets, start, end, told)
        message = told.get("message", 0)
        brief = f"DHCP {_MESSAGES.get(message) if isinstance(message, int) else message}"
        given = self.yiaddr or told.get("requested", "")
        brief = f"{brief} {self.chaddr} {given}".rstrip()
        return Inside(stop, end, told=told, brief=brief, defect=defect)


def _options(octets: bytes, at: int, end: int, told: dict[str, Value]) -> tuple[int, str]:
    """Tell the options that are read; return where they end and what is wrong."""
    for _ in range(ITEMS_MAX):
        while at < end and octets[at] == _PAD:
            at += 1
        if at >= end or octets[at] == _END:
            return min(at + 1, end), "" if at < end else "no end of the options"
        kind, start = octets[at], at + 2
        at = start + number_at(octets[:end], at + 1, 1)
        if at > end:
            return start - 2, f"option {kind} cut short"
        _tell(told, kind, octets[start:at])
    return at, "too many options"


def _tell(told: dict[str, Value], kind: int, data: bytes) -> None:
    if kind in _ADDRESS and len(data) == 4:
        told[_ADDRESS[kind]] = str(Ip4(number_at(data, 0, 4)))
    elif kind in _ADDRESSES:
        whole = len(data) // 4 * 4
        told[_ADDRESSES[kind]] = [str(Ip4(number_at(data, i, 4))) for i in range(0, whole, 4)]
    elif kind in _TEXTS:
        told[_TEXTS[kind]] = text_of(data.rstrip(b"\0"))
    elif kind in _NUMBERS and 1 <= len(data) <= 4:
        told[_NUMBERS[kind]] = number_at(data, 0, len(data))
    elif kind == 55:
        told["parameters"] = list(data)
    elif kind == 67:
        told["boot_file"] = text_of(data.rstrip(b"\0"))
