"""Checksums of IPv4, TCP, UDP, ICMP and ICMPv6 made right, over whole batches.

A checksum is computed where all octets under it were captured: fragments and cut packets keep
what they have, and so does UDP over IPv4 that says it has none (RFC 768).

>>> from portulan.wire import IPv4, UDP
>>> packet = bytearray((IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7, dport=9)).pack())
>>> packet[11] ^= 1
>>> fixed = repair(Frames.of([bytes(packet)], link_type=101))
>>> fixed.changed, fixed.left
(1, 0)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portulan.wire.checksum import checksum_ragged, finish_udp, pseudo_ip4, sum_ragged
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import Located, Part, locate, quoted

Index = NDArray[np.int64]
_AT = {IpProtocol.TCP: 16, IpProtocol.UDP: 6, IpProtocol.ICMP: 2, IpProtocol.ICMPV6: 2}
"""Where the checksum lies in the transport header."""


_NEED = np.full(256, 8, np.int64)
_NEED[IpProtocol.TCP] = 20


@dataclass(frozen=True, slots=True, eq=False)
class Repaired:
    """Frames with right checksums."""

    frames: Frames
    changed: int
    """Frames in which a checksum was wrong."""
    left: int
    """IP packets whose upper checksum cannot be computed: fragments, cut ones, unknown ones."""


def repair(frames: Frames) -> Repaired:
    """Return the frames over a copy of their buffer in which all checksums are right.

    The outermost IP packet is repaired, and what ICMP errors quote.
    """
    frames = replace(frames, buffer=frames.buffer.copy())
    at = locate(frames)
    changed = np.zeros(len(frames), np.bool_)
    # What an ICMP error quotes first: it lies under the error's own checksum.
    rows, inner = quoted(frames, at)
    changed[rows], _ = _packets(frames.buffer, inner, inner.payload_end)
    outer, whole = _packets(frames.buffer, at, frames.offset + frames.length)
    left = (at.family != 0) & ~whole
    return Repaired(frames, int((changed | outer).sum()), int(left.sum()))


def _packets(
    buffer: NDArray[np.uint8], at: Located, end: Index
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Repair packets that end at `end`; return which were wrong, and which are whole and known."""
    changed = np.zeros(len(at), np.bool_)
    four = np.flatnonzero((at.family == 4) & _has(at.network_offset, 20, end))
    changed[four] |= _headers(buffer, at, four)
    whole = _whole(buffer, at, end) & np.isin(at.protocol, list(_AT))
    for protocol, place in _AT.items():
        chosen = np.flatnonzero(whole & (at.protocol == protocol))
        changed[chosen] |= _transport(buffer, at, chosen, protocol=protocol, place=place)
    return changed, whole


def _has(start: Index, size: int, end: Index) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = start + size <= end
    return inside


def _word(buffer: NDArray[np.uint8], at: Index) -> Index:
    return buffer[at].astype(np.int64) << 8 | buffer[at + 1]


def _headers(buffer: NDArray[np.uint8], at: Located, rows: Index) -> NDArray[np.bool_]:
    """Repair the IPv4 headers of rows and return which were wrong."""
    start = at.network_offset[rows]
    stop = start + (buffer[start] & 0xF).astype(np.int64) * 4
    sound = (stop - start >= 20) & (stop <= at.payload_end[rows])
    wrong = np.zeros(len(rows), np.bool_)
    start, stop = start[sound], stop[sound]
    wrong[sound] = _renewed(buffer, start + 10, start, stop)
    return wrong


def _renewed(
    buffer: NDArray[np.uint8], place: Index, start: Index, stop: Index,
    *, initial: NDArray[np.uint64] | int = 0, udp: bool = False,
) -> NDArray[np.bool_]:
    old = _word(buffer, place)
    buffer[place] = buffer[place + 1] = 0
    if udp:
        total = sum_ragged(buffer, start, stop) + np.asarray(initial, np.uint64)
        new = finish_udp(total).astype(np.uint16)
    else:
        new = checksum_ragged(buffer, start, stop, initial=initial)
    buffer[place], buffer[place + 1] = new >> 8, new & 0xFF
    return np.not_equal(old, new.astype(np.int64))


def _whole(buffer: NDArray[np.uint8], at: Located, end: Index) -> NDArray[np.bool_]:
    """Return which rows hold all octets under their transport checksum."""
    sound: NDArray[np.bool_] = (at.family != 0) & (at.defect == 0) & (at.fragment == Part.WHOLE)
    rows = np.flatnonzero(sound)
    start = at.network_offset[rows]
    six = at.family[rows] == 6
    length = _word(buffer, start + np.where(six, 4, 2)) + np.where(six, 40, 0)
    said = np.where(six, 40, 0) != length  # 0 = a jumbogram, or a packet that a card will cut
    sound[rows] = said & (length > 0) & (start + length <= end[rows])
    # A quote keeps the first octets only: what is there of its transport header may be 8.
    sound[rows] &= at.transport_offset[rows] + _NEED[at.protocol[rows]] <= end[rows]
    return sound


def _transport(
    buffer: NDArray[np.uint8], at: Located, rows: Index, *, protocol: int, place: int
) -> NDArray[np.bool_]:
    start, stop = at.transport_offset[rows], at.payload_end[rows]
    udp = protocol == IpProtocol.UDP
    if udp:
        said = _word(buffer, start + 4)
        stop = np.where((said >= 8) & (start + said <= stop), start + said, stop)
    where = start + place
    keep = np.ones(len(rows), np.bool_)
    if udp:
        keep = (_word(buffer, where) != 0) | (at.family[rows] == 6)
    if protocol in (IpProtocol.ICMP, IpProtocol.ICMPV6):
        keep = (at.family[rows] == 6) == (protocol == IpProtocol.ICMPV6)
    initial = np.zeros(len(rows), np.uint64)
    if protocol != IpProtocol.ICMP:
        initial = _pseudo(buffer, at, rows, lengths=stop - start)
    wrong = np.zeros(len(rows), np.bool_)
    wrong[keep] = _renewed(
        buffer, where[keep], start[keep], stop[keep], initial=initial[keep], udp=udp)
    return wrong


def _pseudo(
    buffer: NDArray[np.uint8], at: Located, rows: Index, *, lengths: Index
) -> NDArray[np.uint64]:
    """Return the sums of the pseudo-headers: both addresses lie side by side in either version."""
    network = at.network_offset[rows]
    six = at.family[rows] == 6
    first = network + np.where(six, 8, 12)
    addresses = sum_ragged(buffer, first, first + np.where(six, 32, 8))
    none = np.zeros(len(rows), np.uint64)
    rest: NDArray[np.uint64] = pseudo_ip4(none, none, 0, lengths.astype(np.uint64))
    total: NDArray[np.uint64] = addresses + rest + at.protocol[rows].astype(np.uint64)
    return total
