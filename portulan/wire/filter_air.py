"""Filters on IEEE 802.11: what is said of the radio's header, and of what data frames carry.

Behind a radiotap header of any size, or at once, begins the 802.11 header; data frames carry LLC
behind 24 octets of it, two more with quality of service, and perhaps after padding. A test of what
is carried is made once and moved there, as `geneve` does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from portulan.errors import UsageError
from portulan.wire.filter_geneve import moved
from portulan.wire.filter_graph import Expr, Load, Node, Not, Num, binary, every, some, test
from portulan.wire.filter_link import Link, masked
from portulan.wire.filter_primitives import link_address
from portulan.wire.frames import LinkType

TYPES: Final = {"mgt": 0x00, "ctl": 0x04, "data": 0x08}
SUBTYPES: Final = {
    0x00: {"assoc-req": 0x00, "assoc-resp": 0x10, "reassoc-req": 0x20, "reassoc-resp": 0x30,
           "probe-req": 0x40, "probe-resp": 0x50, "beacon": 0x80, "atim": 0x90, "disassoc": 0xA0,
           "auth": 0xB0, "deauth": 0xC0},
    0x04: {"ps-poll": 0xA0, "rts": 0xB0, "cts": 0xC0, "ack": 0xD0, "cf-end": 0xE0,
           "cf-end-ack": 0xF0},
    0x08: {"data": 0x00, "data-cf-ack": 0x10, "data-cf-poll": 0x20, "data-cf-ack-poll": 0x30,
           "null": 0x40, "cf-ack": 0x50, "cf-poll": 0x60, "cf-ack-poll": 0x70, "qos-data": 0x80,
           "qos-data-cf-ack": 0x90, "qos-data-cf-poll": 0xA0, "qos-data-cf-ack-poll": 0xB0,
           "qos": 0xC0, "qos-cf-poll": 0xE0, "qos-cf-ack-poll": 0xF0},
}
"""Bits of the first octet, by libpcap's names (IEEE 802.11 section 9.2.4.1.3)."""
DIRECTIONS: Final = {"nods": 0, "tods": 1, "fromds": 2, "dstods": 3}
_TYPE, _SUBTYPE, _DIRECTION = 0x0C, 0xF0, 0x03
_TO, _FROM = 1, 2
_ADDRESS: Final = {"addr1": 4, "addr2": 10, "addr3": 16, "addr4": 24}
_NO_SENDER: Final = (0xC0, 0xD0)
"""Control frames that name their receiver only: clear to send, acknowledgement."""
# Of radiotap's field of present fields, read as a big-endian word.
_HAS_TIME, _HAS_FLAGS, _GOES_ON = 0x0100_0000, 0x0200_0000, 0x80
_PADDED: Final = 0x20
"""The flag that octets were put in front of the data, so that they begin at a multiple of 4."""


class Air:
    """The places of an 802.11 frame, behind radiotap or not."""

    def __init__(self, link_type: int) -> None:
        self._radiotap = link_type == LinkType.IEEE802_11_RADIOTAP
        self._start: Expr = Num(0)
        if self._radiotap:  # its length is little-endian
            self._start = binary("or", Load(2, 1), binary("lsh", Load(3, 1), Num(8)))
        control = Load(0, 1, self._start if self._radiotap else None)
        data = every(Not(test("set", control, 4)), test("set", control, 8))
        qos = binary("rsh", binary("and", control, Num(0x80)), Num(6))
        at = binary("add", binary("add", qos, Num(24)), self._start)
        self._ways: list[tuple[Node, Expr]] = [(data, at)]
        if self._radiotap:
            padded, whole = _padded(), binary("and", binary("add", at, Num(3)), Num(0xFFFF_FFFC))
            self._ways = [(every(data, padded), whole), (every(data, Not(padded)), at)]

    def inside(self, make: Callable[[Link], Node]) -> Node:
        """Return a test of what data frames carry."""
        node = make(Link.of(LinkType.IEEE802_11))
        return some(*(every(tests, moved(node, at)) for tests, at in self._ways))

    def framed(self, node: Node) -> Node:
        """Return a test of the 802.11 header, made as if it were the frame's first octet."""
        return moved(node, self._start) if self._radiotap else node

    def type(self, kind: int | None, subtype: int | None) -> Node:
        """Return the test for a type of frame, a subtype, or both."""
        value, mask = 0, 0
        for number, bits, said in ((kind, _TYPE, "type"), (subtype, _SUBTYPE, "subtype")):
            if number is None:
                continue
            if number & ~bits:
                raise UsageError(f"a {said} of frame has no other bits than {bits:#x}")
            value, mask = value | number, mask | bits
        return self.framed(masked(0, 1, value, mask))

    def direction(self, number: int) -> Node:
        """Return the test for frames to or from a distribution system."""
        return self.framed(masked(1, 1, number, _DIRECTION))

    def host(self, direction: str, number: int) -> Node:
        """Return the test for a station's address, by the part it has or by its place."""
        return self.framed(_host(direction, lambda at: link_address(at, number)))

    def cast(self, word: str) -> Node:
        """Return the test for frames to all stations, or to a group."""
        if word == "broadcast":
            return self.host("dst", 0xFFFF_FFFF_FFFF)
        return self.framed(_host("dst", lambda at: test("set", Load(at, 1), 1)))


def _padded() -> Node:
    present, time = Load(4, 4), test("set", Load(4, 4), _HAS_TIME)
    flagged = some(every(time, test("set", Load(16, 1), _PADDED)),
                   every(Not(time), test("set", Load(8, 1), _PADDED)))
    return every(test("set", present, _HAS_FLAGS), Not(test("set", present, _GOES_ON)), flagged)


def _host(direction: str, found: Callable[[int], Node]) -> Node:
    """Return the test of an address where a frame of its kind and direction has it."""
    control = Load(0, 1)
    is_control = masked(0, 1, TYPES["ctl"], _TYPE)
    if direction in ("ra", "ta"):
        place = {"ra": "addr1", "ta": "addr2"}[direction]
        return every(test("set", control, 8), _host(place, found))
    if direction in _ADDRESS:
        there: dict[str, Node] = {
            "addr1": True, "addr3": Not(is_control), "addr4": masked(1, 1, 3, _DIRECTION),
            "addr2": Not(every(is_control, some(
                *(masked(0, 1, kind, _SUBTYPE) for kind in _NO_SENDER)))),
        }
        return every(there[direction], found(_ADDRESS[direction]))
    if direction in ("src", "dst"):
        return every(Not(test("set", control, 4)), some(
            every(test("set", control, 8), _of_data(direction, found)),
            every(Not(test("set", control, 8)), found(10 if direction == "src" else 4))))
    both = _host("src", found), _host("dst", found)
    return every(*both) if direction == "and" else some(*both)


def _of_data(direction: str, found: Callable[[int], Node]) -> Node:
    to, from_ = (test("set", Load(1, 1), bit) for bit in (_TO, _FROM))
    if direction == "dst":
        return some(every(to, found(16)), every(Not(to), found(4)))
    return some(every(from_, to, found(24)), every(from_, Not(to), found(16)),
                every(Not(from_), found(10)))


def type_number(text: str) -> int:
    """Return the bits of a type's name; raises `UsageError` naming all."""
    if text not in TYPES:
        raise UsageError("no such type of frame", hint=", ".join(TYPES))
    return TYPES[text]


def subtype_number(text: str, kind: int | None) -> tuple[int, int]:
    """Return the bits of the type and of the subtype that a name means."""
    alias = {"disassociation": "disassoc", "authentication": "auth", "deauthentication": "deauth",
             "assocreq": "assoc-req", "assocresp": "assoc-resp", "reassocreq": "reassoc-req",
             "reassocresp": "reassoc-resp", "probereq": "probe-req", "proberesp": "probe-resp"}
    name = alias.get(text, text)
    for number, known in SUBTYPES.items():
        if name in known and kind in (None, number):
            return number, known[name]
    names = [each for number, known in SUBTYPES.items() if kind in (None, number) for each in known]
    raise UsageError("no such subtype of frame", hint=", ".join(names))


def direction_number(text: str) -> int:
    """Return the bits of a direction's name; raises `UsageError` naming all."""
    if text not in DIRECTIONS:
        raise UsageError("no such direction", hint=", ".join(DIRECTIONS))
    return DIRECTIONS[text]
