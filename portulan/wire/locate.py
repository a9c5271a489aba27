"""Where the headers of a batch lie: one vectorised walk from link type to payload.

`locate` never raises: a row that cannot be walked to its end keeps how far it got, a `Defect` and
the byte of its frame where the walk stopped. Rows without defect keep this promise: the fixed
header of TCP, UDP, ICMP or ICMPv6, and TCP's options, lie inside the frame, so `TCP.gather` over
`transport_offset[located.of(IpProtocol.TCP)]` needs no further check. `quoted` promises the first
8 bytes of the transport header only, which is all that an ICMP error must quote (RFC 792).

Plain frames (no tag, IPv4 without options, not a fragment) take one gather and a few compares;
the others are walked layer by layer, each step on all of them at once. All offsets count in the
batch's buffer, but for `defect_offset`, which counts in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import octets_at
from portulan.wire.icmp import ERRORS
from portulan.wire.icmpv6 import FIRST_INFORMATIONAL
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.ipv6 import EXTENSIONS_MAX

TAGS_MAX = 2
"""VLAN tags followed: a customer's inside a provider's (IEEE 802.1ad)."""

Index = NDArray[np.int64]
_IP_LINKS = frozenset({LinkType.RAW, LinkType.IPV4, LinkType.IPV6})
_FIXED: dict[int, int] = {LinkType.IPV4: 4, LinkType.IPV6: 6}
_LINK_HEADERS: dict[int, tuple[int, int]] = {
    LinkType.ETHERNET: (14, 12), LinkType.LINUX_SLL: (16, 14), LinkType.LINUX_SLL2: (20, 0),
    LinkType.NULL: (4, 0), LinkType.LOOP: (4, 0),
}
"""Octets of the link header, and where in it the ethertype lies."""

_AF_INET6 = (10, 24, 28, 30)
"""The same family has another number on Linux, NetBSD, FreeBSD and macOS."""

_PLAIN_OCTETS = 33
"""IPv4's fixed header and TCP's up to its data offset."""


class Defect(IntEnum):
    """Why the walk along a frame stopped early."""

    NONE = 0
    UNKNOWN_LINK = 1
    SHORT_LINK = 2
    NOT_IP = 3
    SHORT_NETWORK = 4
    BAD_VERSION = 5
    BAD_HEADER_LENGTH = 6
    BAD_TOTAL_LENGTH = 7
    SHORT_EXTENSION = 8
    TOO_MANY_EXTENSIONS = 9
    SHORT_TRANSPORT = 10
    BAD_DATA_OFFSET = 11

    @property
    def text(self) -> str:
        """The reason as people read it."""
        return _TEXTS[self]


_TEXTS = {
    Defect.NONE: "",
    Defect.UNKNOWN_LINK: "link type not known",
    Defect.SHORT_LINK: "link header cut short",
    Defect.NOT_IP: "not IP",
    Defect.SHORT_NETWORK: "network header cut short",
    Defect.BAD_VERSION: "IP version does not match",
    Defect.BAD_HEADER_LENGTH: "bad header length",
    Defect.BAD_TOTAL_LENGTH: "bad total length",
    Defect.SHORT_EXTENSION: "extension header cut short",
    Defect.TOO_MANY_EXTENSIONS: "too many extension headers",
    Defect.SHORT_TRANSPORT: "transport header cut short",
    Defect.BAD_DATA_OFFSET: "bad data offset",
}


class Part(IntEnum):
    """Which part of a packet a frame carries; a `LATER` one has no transport header."""

    WHOLE = 0
    FIRST = 1
    LATER = 2


_LEAST = np.zeros(256, np.int64)
_LEAST[[IpProtocol.UDP, IpProtocol.ICMP, IpProtocol.ICMPV6]] = 8
_LEAST[IpProtocol.TCP] = 20

_IS_EXTENSION = np.zeros(256, np.bool_)
_IS_EXTENSION[[IpProtocol.HOPOPT, IpProtocol.ROUTING, IpProtocol.FRAGMENT]] = True
_IS_EXTENSION[[IpProtocol.DESTINATION, IpProtocol.AH]] = True

_IS_ERROR = np.zeros(256, np.bool_)
_IS_ERROR[sorted(ERRORS)] = True


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where headers lie, one value a row."""

    family: NDArray[np.uint8]
    """4, 6, or 0 if no IP was found."""
    ethertype: NDArray[np.uint16]
    """Behind VLAN tags; 0 if the link has none."""
    network_offset: Index
    protocol: NDArray[np.uint8]
    """Of the upper layer, extension headers passed."""
    transport_offset: Index
    payload_offset: Index
    payload_end: Index
    """Padding of the link excluded."""
    fragment: NDArray[np.uint8]
    """A `Part`."""
    defect: NDArray[np.uint8]
    defect_offset: Index

    @classmethod
    def blank(cls, start: Index, end: Index) -> Self:
        """Return rows of which nothing is known yet but their bounds."""
        count = len(start)
        octets = np.zeros((4, count), np.uint8)
        return cls(
            octets[0], np.zeros(count, np.uint16), start.copy(), octets[1], start.copy(),
            start.copy(), end.copy(), octets[2], octets[3], np.zeros(count, np.int64),
        )

    def __len__(self) -> int:
        return len(self.family)

    def of(self, protocol: int) -> Index:
        """Return the rows whose transport header of that protocol is there, without defect."""
        there = (self.protocol == protocol) & (self.defect == 0) & (self.fragment != Part.LATER)
        return np.flatnonzero(there & (self.family != 0))

    def take(self, selection: Index | NDArray[np.bool_] | slice) -> Located:
        """Return the selected rows."""
        return Located(*(getattr(self, column.name)[selection] for column in fields(self)))

    def defects(self) -> dict[Defect, int]:
        """Return how many rows have which defect."""
        counts = np.bincount(self.defect, minlength=len(Defect))
        return {kind: int(counts[kind]) for kind in Defect if kind and counts[kind]}

    def _put(self, rows: Index, part: Located) -> None:
        for column in fields(self):
            getattr(self, column.name)[rows] = getattr(part, column.name)


def locate(frames: Frames) -> Located:
    """Return where the headers of each frame lie."""
    end = frames.offset + frames.length
    located = Located.blank(frames.offset, end)
    if not len(frames):
        return located
    if not len(frames.buffer):
        located.defect[:] = Defect.SHORT_LINK
        return located
    link_size = 14 if frames.link_type == LinkType.ETHERNET else -1
    if frames.link_type in _IP_LINKS:
        link_size = 0
    left = np.arange(len(frames))
    if link_size >= 0 and len(frames.buffer) >= link_size + _PLAIN_OCTETS:
        left = np.flatnonzero(~_walk_plain(frames, located, end, link_size))
    if len(left):
        walk = _Walk(frames.take(left), located.take(left))
        walk.link()
        walk.network(frames.offset[left] + frames.wire_length[left])
        walk.transport(_LEAST)
        located._put(left, walk.at)
    return located


def quoted(frames: Frames, located: Located) -> tuple[Index, Located]:
    """Return the rows that are ICMP errors, and where the headers of the packets they quote lie."""
    icmp4, icmp6 = located.of(IpProtocol.ICMP), located.of(IpProtocol.ICMPV6)
    icmp4, icmp6 = icmp4[located.family[icmp4] == 4], icmp6[located.family[icmp6] == 6]
    kind4 = frames.buffer[located.transport_offset[icmp4]]
    kind6 = frames.buffer[located.transport_offset[icmp6]]
    rows = np.concatenate([icmp4[_IS_ERROR[kind4]], icmp6[kind6 < FIRST_INFORMATIONAL]])
    inner = Located.blank(located.payload_offset[rows], located.payload_end[rows])
    if len(rows):
        walk = _Walk(frames.take(rows), inner)
        walk.network(None)
        walk.transport(np.minimum(_LEAST, 8))
    return rows, inner


def _walk_plain(frames: Frames, located: Located, end: Index, link_size: int) -> NDArray[np.bool_]:
    """Fill in the rows of plain IPv4 without options or fragments; return which rows they are."""
    count = link_size + _PLAIN_OCTETS
    head = octets_at(frames.buffer, np.minimum(frames.offset, len(frames.buffer) - count), count)
    network = frames.offset + link_size
    ip = head[:, link_size:]
    total = ip[:, 2:4].view(">u2")[:, 0].astype(np.int64)
    protocol = ip[:, 9]
    least = _LEAST[protocol]
    tcp = protocol == IpProtocol.TCP
    size = np.where(tcp, (ip[:, 32] >> np.uint8(4)).astype(np.int64) << 2, least)
    plain: NDArray[np.bool_] = (ip[:, 0] == 0x45) & (frames.length >= count)
    if link_size:
        plain &= head[:, 12:14].view(">u2")[:, 0] == EtherType.IPV4
    plain &= ip[:, 6:8].view(">u2")[:, 0] & 0x3FFF == 0
    stop = network + total
    plain &= (size >= least) & (20 + size <= total) & (stop <= end)
    located.family[plain] = 4
    located.ethertype[plain] = EtherType.IPV4 if link_size else 0
    np.copyto(located.protocol, protocol, where=plain)
    np.copyto(located.network_offset, network, where=plain)
    np.copyto(located.transport_offset, network + 20, where=plain)
    np.copyto(located.payload_offset, network + 20 + size, where=plain)
    np.copyto(located.payload_end, stop, where=plain)
    return plain


class _Walk:
    """The layered walk over rows of any kind: each step narrows the rows that go on."""

    def __init__(self, frames: Frames, at: Located) -> None:
        self.frames, self.at = frames, at
        self.rows = np.arange(len(at))

    def _octet(self, offset: Index) -> NDArray[np.uint8]:
        # Out of range reads clip: rows that asked too far are stopped by the length checks.
        return self.frames.buffer.take(offset, mode="clip")

    def _word(self, offset: Index) -> Index:
        high = self._octet(offset).astype(np.int64) << 8
        return high | self._octet(offset + 1)

    def _stop(self, bad: NDArray[np.bool_], defect: Defect, offset: Index) -> None:
        """Mark those of the present rows that are bad, at absolute `offset`, and go on without."""
        if bad.any():
            rows = self.rows[bad]
            self.at.defect[rows] = defect
            self.at.defect_offset[rows] = offset[bad] - self.frames.offset[rows]
            self.rows = self.rows[~bad]

    def link(self) -> None:
        """Walk from the frame's start to its network header."""
        kind, at = self.frames.link_type, self.at
        start = self.frames.offset
        if kind in _IP_LINKS:
            return
        if kind not in _LINK_HEADERS:
            self._stop(np.ones(len(at), np.bool_), Defect.UNKNOWN_LINK, start)
            return
        size, type_at = _LINK_HEADERS[kind]
        self._stop(at.payload_end - start < size, Defect.SHORT_LINK, start)
        rows = self.rows
        start = start[rows]
        loop = kind in (LinkType.NULL, LinkType.LOOP)
        found = self._loop_ethertype(start) if loop else self._word(start + type_at)
        at.ethertype[rows], at.network_offset[rows] = found, start + size
        if not loop:
            self._tags()
        self._not_ip()

    def _loop_ethertype(self, start: Index) -> Index:
        # NULL is in the byte order of the machine that captured; families fit one octet.
        family = self._octet(start) | self._octet(start + 3)
        ip6 = np.isin(family, _AF_INET6) * EtherType.IPV6
        return np.where(family == 2, int(EtherType.IPV4), ip6)

    def _tags(self) -> None:
        at = self.at
        for _ in range(TAGS_MAX):
            kind = at.ethertype[self.rows]
            tagged = (kind == EtherType.VLAN) | (kind == EtherType.SERVICE_VLAN)
            if not tagged.any():
                return
            start = at.network_offset[self.rows]
            short = tagged & (at.payload_end[self.rows] - start < 4)
            rows = self.rows[tagged & ~short]
            self._stop(short, Defect.SHORT_LINK, start)
            at.ethertype[rows] = self._word(at.network_offset[rows] + 2)
            at.network_offset[rows] += 4

    def _not_ip(self) -> None:
        kind = self.at.ethertype[self.rows]
        other = (kind != EtherType.IPV4) & (kind != EtherType.IPV6)
        self._stop(other, Defect.NOT_IP, self.at.network_offset[self.rows])

    def network(self, wire_end: Index | None) -> None:
        """Walk over the network header; a quoted packet has no `wire_end` and may be cut."""
        at = self.at
        start = at.network_offset[self.rows]
        self._stop(at.payload_end[self.rows] <= start, Defect.SHORT_NETWORK, start)
        start = at.network_offset[self.rows]
        version = self._octet(start) >> np.uint8(4)
        declared = at.ethertype[self.rows]
        wanted = np.where(declared == EtherType.IPV4, 4, np.where(declared == 0, version, 6))
        fixed = _FIXED.get(self.frames.link_type)
        if fixed and wire_end is not None:
            wanted = np.full(len(start), fixed)
        bad = (version != wanted) | ((version != 4) & (version != 6))
        self._stop(bad, Defect.BAD_VERSION, start)
        both, version = self.rows, version[~bad]
        self.rows = both[version == 4]
        self._network4(wire_end)
        done = self.rows
        self.rows = both[version == 6]
        self._network6(wire_end)
        self.rows = np.concatenate([done, self.rows])

    def _network4(self, wire_end: Index | None) -> None:
        at = self.at
        start = at.network_offset[self.rows]
        self._stop(at.payload_end[self.rows] - start < 20, Defect.SHORT_NETWORK, start)
        start = at.network_offset[self.rows]
        size = (self._octet(start) & np.uint8(15)).astype(np.int64) * 4
        bad = (size < 20) | (start + size > at.payload_end[self.rows])
        self._stop(bad, Defect.BAD_HEADER_LENGTH, start)
        rows, start, size = self.rows, start[~bad], size[~bad]
        total = self._word(start + 2)
        # A sender's own capture of segments that its card will cut shows 0: all there is, then.
        total = np.where(total == 0, at.payload_end[rows] - start, total)
        bad = total < size
        if wire_end is not None:
            bad |= start + total > wire_end[rows]
        offset = self._word(start + 6)
        at.family[rows], at.protocol[rows] = 4, self._octet(start + 9)
        at.transport_offset[rows] = at.payload_offset[rows] = start + size
        at.fragment[rows] = _part(offset & 0x1FFF, offset & 0x2000)
        self._stop(bad, Defect.BAD_TOTAL_LENGTH, start)
        end = (start + total)[~bad]
        at.payload_end[self.rows] = np.minimum(at.payload_end[self.rows], end)

    def _network6(self, wire_end: Index | None) -> None:
        at = self.at
        start = at.network_offset[self.rows]
        self._stop(at.payload_end[self.rows] - start < 40, Defect.SHORT_NETWORK, start)
        rows = self.rows
        start = at.network_offset[rows]
        at.family[rows], at.protocol[rows] = 6, self._octet(start + 6)
        at.transport_offset[rows] = at.payload_offset[rows] = start + 40
        length = self._word(start + 4)
        jumbo = (length == 0) & (at.protocol[rows] == IpProtocol.HOPOPT)
        length = np.where(jumbo, at.payload_end[rows] - start - 40, length)
        end = start + 40 + length
        if wire_end is not None:
            bad = end > wire_end[rows]
            self._stop(bad, Defect.BAD_TOTAL_LENGTH, start)
            end = end[~bad]
        at.payload_end[self.rows] = np.minimum(at.payload_end[self.rows], end)
        self._extensions()

    def _extensions(self) -> None:
        at = self.at
        walked = self.rows
        for left in range(EXTENSIONS_MAX, -1, -1):
            go_on = _IS_EXTENSION[at.protocol[walked]] & (at.fragment[walked] != Part.LATER)
            walked = walked[go_on & (at.defect[walked] == 0)]
            if not len(walked):
                break
            if left:
                self._extension(walked)
            else:
                self._mark(walked, Defect.TOO_MANY_EXTENSIONS)
        self.rows = self.rows[at.defect[self.rows] == 0]

    def _extension(self, rows: Index) -> None:
        at = self.at
        start = at.transport_offset[rows]
        kind, length = at.protocol[rows], self._octet(start + 1).astype(np.int64)
        size = np.where(kind == IpProtocol.AH, (length + 2) * 4, (length + 1) * 8)
        size[kind == IpProtocol.FRAGMENT] = 8
        bad = start + size > at.payload_end[rows]
        self._mark(rows[bad], Defect.SHORT_EXTENSION)
        rows, start, size, kind = rows[~bad], start[~bad], size[~bad], kind[~bad]
        word = self._word(start + 2)
        part = _part(word >> 3, word & 1)
        at.fragment[rows] = np.where(kind == IpProtocol.FRAGMENT, part, at.fragment[rows])
        at.protocol[rows] = self._octet(start)
        at.transport_offset[rows] = at.payload_offset[rows] = start + size

    def _mark(self, rows: Index, defect: Defect) -> None:
        self.at.defect[rows] = defect
        self.at.defect_offset[rows] = self.at.transport_offset[rows] - self.frames.offset[rows]

    def transport(self, least: Index) -> None:
        """Walk over the transport header, of which `least[protocol]` bytes must be there."""
        at = self.at
        self.rows = self.rows[at.fragment[self.rows] != Part.LATER]
        start, protocol = at.transport_offset[self.rows], at.protocol[self.rows]
        short = start + least[protocol] > at.payload_end[self.rows]
        self._stop(short, Defect.SHORT_TRANSPORT, start)
        start, size = start[~short], _LEAST[protocol[~short]]
        tcp = protocol[~short] == IpProtocol.TCP
        offset = (self._octet(start + 12) >> np.uint8(4)).astype(np.int64) * 4
        size = np.where(tcp, offset, size)
        strict = int(least[IpProtocol.TCP]) == 20
        end = at.payload_end[self.rows]
        if strict:
            bad = tcp & ((offset < 20) | (start + offset > end))
            self._stop(bad, Defect.BAD_DATA_OFFSET, start)
            start, size, end = start[~bad], size[~bad], end[~bad]
        at.payload_offset[self.rows] = np.minimum(start + size, end)


def _part(offset: Index, more: Index) -> Index:
    return np.where(offset != 0, int(Part.LATER), np.where(more != 0, int(Part.FIRST), 0))
