"""Which reply answers which probe: one join over whole batches, no loop over packets.

TCP by addresses, ports and acknowledged sequence; UDP by addresses and ports, DNS also by id; ICMP
and ICMPv6 echo and timestamp by id and seq; ARP and neighbour discovery by the address asked for;
ICMP errors by the packet they quote (RFC 792, RFC 4443 section 2.4); other protocols by addresses.

>>> from portulan.wire import IPv4, TCP, Frames
>>> from portulan.wire.craft import build
>>> probes = build(IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=7, dport=(1, 3), seq=41))
>>> reply = IPv4(src="10.9.0.2", dst="10.9.0.1") / TCP(sport=2, dport=7, flags="RA", ack=42)
>>> Questions(probes).match(build(reply))
(array([1]), array([0]))
"""

# ruff: noqa: ANN401 - columns of any width come out of headers.

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.dns import DNS
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import BY_PORT, octets_at
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.locate import Located, Part, locate, quoted
from portulan.wire.tcp import TCP, TcpFlags
from portulan.wire.udp import UDP

Index = NDArray[np.int64]
Word = NDArray[np.uint64]
Keys = tuple[Index, NDArray[np.bytes_]]
"""Rows of a batch, and what must be equal in probe and reply."""

_KEY = ">u8"
_KEY_WORDS = 6
# What a key is about, in its first word beside family and protocol.
_TCP, _TCP_RESET, _UDP, _ECHO, _ERROR, _ARP, _ND, _OTHER = range(1, 9)
_EVERYBODY = 1 << 32
"""Marks questions to many at once, whose answers come from addresses nobody knows before."""
_OWN_KIND = (IpProtocol.TCP, IpProtocol.UDP, IpProtocol.ICMP, IpProtocol.ICMPV6)
_PORTED = (IpProtocol.TCP, IpProtocol.UDP, IpProtocol.SCTP)
_ASKS: dict[int, dict[int, int]] = {
    1: {IcmpType.ECHO: 0, IcmpType.TIMESTAMP: 14}, 58: {Icmp6Type.ECHO: 129},
}
_ND_OCTETS = 24


class _Ends(NamedTuple):
    """Both addresses of some packets, as high and low 64 bits."""

    family: Word
    src: tuple[Word, Word]
    dst: tuple[Word, Word]


class Questions:
    """The probes of a batch, ready to find their replies."""

    def __init__(self, probes: Frames) -> None:
        parts = list(_asked(probes))
        rows = np.concatenate([np.empty(0, np.int64), *(row for row, _ in parts)])
        keys = np.concatenate([_no_keys(), *(key for _, key in parts)])
        order = np.lexsort((rows, keys))
        self._rows, self._keys = rows[order], keys[order]
        self._used = np.zeros(len(rows), np.int64)
        """By the first place of each key: how many replies it has had."""

    def match(self, replies: Frames, *, every: bool = False) -> tuple[Index, Index]:
        """Return which probes are answered, and by which row of `replies`.

        Probes that cannot be told apart take replies in turn; what is left over answers nothing,
        or with `every` the last of them. A probe may be named twice, by different kinds of reply.
        """
        if not len(self._rows) or not len(replies):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        parts = list(_told(replies))
        rows = np.concatenate([np.empty(0, np.int64), *(row for row, _ in parts)])
        keys = np.concatenate([_no_keys(), *(key for _, key in parts)])
        first = np.searchsorted(self._keys, keys, "left")
        last = np.searchsorted(self._keys, keys, "right")
        hit = last > first
        rows, first, last = rows[hit], first[hit], last[hit]
        order = np.lexsort((rows, first))
        rows, first, last = rows[order], first[order], last[order]
        place = first + self._used[first] + _rank(first)
        np.add.at(self._used, first, 1)
        free = place < last
        if every:
            place, free = np.minimum(place, last - 1), np.ones_like(free)
        answered, by = self._rows[place[free]], rows[free]
        order = np.argsort(by, kind="stable")
        return answered[order], by[order]


def _rank(groups: Index) -> Index:
    """Return the place of each item in its group; groups are sorted."""
    if not len(groups):
        return groups
    at = np.arange(len(groups))
    new = np.concatenate([[True], groups[1:] != groups[:-1]])
    rank: Index = at - np.maximum.accumulate(np.where(new, at, 0))
    return rank


def _no_keys() -> NDArray[np.bytes_]:
    return np.empty(0, f"S{8 * _KEY_WORDS}")


def _keys(
    rows: Index, kind: Word | int, peer: tuple[Any, Any], *, own: tuple[Any, Any], extra: Any = 0
) -> Keys:
    words = np.empty((len(rows), _KEY_WORDS), _KEY)
    for at, column in enumerate((kind, *peer, *own, extra)):
        words[:, at] = column
    return rows, words.view(f"S{8 * _KEY_WORDS}")[:, 0]


def _kind(what: int, family: Any, protocol: Any = 0) -> Any:
    return np.uint64(what) | np.asarray(family, np.uint64) << np.uint64(8) | np.asarray(
        protocol, np.uint64) << np.uint64(16)


def _ends(frames: Frames, at: Located) -> _Ends:
    """Return the addresses of rows that have an IP header."""
    columns = np.zeros((4, len(at)), np.uint64)
    four, six = at.family == 4, at.family == 6
    if four.any():
        ip: Any = IPv4.gather(frames.buffer, at.network_offset[four])
        columns[1, four], columns[3, four] = ip.src, ip.dst
    if six.any():
        ip = IPv6.gather(frames.buffer, at.network_offset[six])
        columns[0, six], columns[1, six] = ip.src_hi, ip.src_lo
        columns[2, six], columns[3, six] = ip.dst_hi, ip.dst_lo
    return _Ends(at.family.astype(np.uint64), (columns[0], columns[1]), (columns[2], columns[3]))


def _ports(near: Any, far: Any) -> Word:
    both: Word = near.astype(np.uint64) << np.uint64(48) | far.astype(np.uint64) << np.uint64(32)
    return both


def _asked(frames: Frames) -> Iterator[Keys]:
    at = locate(frames)
    yield from _asked_tcp(frames, at)
    for rows, ends, ports, extra in _udp(frames, at, asked=True):
        own, peer, kind = ends.src, ends.dst, _kind(_UDP, ends.family)
        kind, peer = _to_everybody(kind, peer, ends.family, _to_group(frames, rows))
        yield _keys(rows, kind, peer, own=own, extra=ports | extra)
    for rows, ends, protocol, extra in _echoes(frames, at, asked=True):
        kind, peer = _to_everybody(
            _kind(_ECHO, ends.family, protocol), ends.dst, ends.family, _to_group(frames, rows))
        yield _keys(rows, kind, peer, own=ends.src, extra=extra)
    yield from _quotable(frames, at, np.arange(len(frames)))
    yield from _arps(frames, at, ArpOperation.REQUEST)
    yield from _nds(frames, at, Icmp6Type.NEIGHBOUR_SOLICITATION)
    rows, ends, kind, extra = _others(frames, at, asked=True)
    yield _keys(rows, kind, ends.dst, own=ends.src, extra=extra)


def _told(frames: Frames) -> Iterator[Keys]:
    at = locate(frames)
    yield from _told_tcp(frames, at)
    for rows, ends, ports, extra in _udp(frames, at, asked=False):
        kind = _kind(_UDP, ends.family)
        yield _keys(rows, kind, ends.src, own=ends.dst, extra=ports | extra)
        yield _keys(rows, kind | np.uint64(_EVERYBODY), (0, 0), own=ends.dst, extra=ports | extra)
    for rows, ends, protocol, extra in _echoes(frames, at, asked=False):
        kind = _kind(_ECHO, ends.family, protocol)
        yield _keys(rows, kind, ends.src, own=ends.dst, extra=extra)
        yield _keys(rows, kind | np.uint64(_EVERYBODY), (0, 0), own=ends.dst, extra=extra)
    rows, inner = quoted(frames, at)
    yield from _quotable(frames, inner, rows)
    yield from _arps(frames, at, ArpOperation.REPLY)
    yield from _nds(frames, at, Icmp6Type.NEIGHBOUR_ADVERTISEMENT)
    rows, ends, kind, extra = _others(frames, at, asked=False)
    # On loopback our own packets come back: one from an address to itself answers nothing.
    other = (ends.src[0] != ends.dst[0]) | (ends.src[1] != ends.dst[1])
    rows, ends = rows[other], _Ends(
        ends.family[other], (ends.src[0][other], ends.src[1][other]),
        (ends.dst[0][other], ends.dst[1][other]))
    yield _keys(rows, kind[other], ends.src, own=ends.dst, extra=extra[other])


def _to_group(frames: Frames, rows: Index) -> NDArray[np.bool_]:
    """Return which frames go to many on their link, as to a network's broadcast address."""
    if frames.link_type != LinkType.ETHERNET:
        return np.zeros(len(rows), np.bool_)
    group: NDArray[np.bool_] = frames.buffer[frames.offset[rows]] & 1 != 0
    return group


def _to_everybody(
    kind: Word, peer: tuple[Word, Word], family: Word, group: NDArray[np.bool_]
) -> tuple[Word, Any]:
    """Leave out the address asked if it stands for many: multicast, broadcast."""
    many = group | (family == 4) & (peer[1] >= np.uint64(0xE000_0000))
    many |= (family == 6) & (peer[0] >> np.uint64(56) == np.uint64(0xFF))
    kind = np.where(many, kind | np.uint64(_EVERYBODY), kind)
    zero = np.uint64(0)
    return kind, (np.where(many, zero, peer[0]), np.where(many, zero, peer[1]))


def _asked_tcp(frames: Frames, at: Located) -> Iterator[Keys]:
    rows = at.of(IpProtocol.TCP)
    tcp: Any = TCP.gather(frames.buffer, at.transport_offset[rows])
    inner = at.take(rows)
    ends, ports = _ends(frames, inner), _ports(tcp.sport, tcp.dport)
    size = (inner.payload_end - inner.payload_offset).astype(np.uint64)
    syn, fin = ((tcp.flags & int(flag) != 0).astype(np.uint64)
                for flag in (TcpFlags.SYN, TcpFlags.FIN))
    whole = np.uint64(0xFFFF_FFFF)
    seq = tcp.seq.astype(np.uint64)
    kind = _kind(_TCP, ends.family)
    extra = ports | (seq + size + syn + fin) & whole
    yield _keys(rows, kind, ends.dst, own=ends.src, extra=extra)
    early = np.flatnonzero((syn > 0) & (size > 0))  # data in a SYN is mostly not acknowledged
    if len(early):
        ends2 = _ends(frames, inner.take(early))
        extra = ports[early] | (seq[early] + np.uint64(1)) & whole
        yield _keys(rows[early], kind[early], ends2.dst, own=ends2.src, extra=extra)
    extra = ports | tcp.ack.astype(np.uint64)
    yield _keys(rows, _kind(_TCP_RESET, ends.family), ends.dst, own=ends.src, extra=extra)


def _told_tcp(frames: Frames, at: Located) -> Iterator[Keys]:
    rows = at.of(IpProtocol.TCP)
    tcp: Any = TCP.gather(frames.buffer, at.transport_offset[rows])
    ends, ports = _ends(frames, at.take(rows)), _ports(tcp.dport, tcp.sport)
    acks = tcp.flags & int(TcpFlags.ACK) != 0
    kind = np.where(acks, _kind(_TCP, ends.family), _kind(_TCP_RESET, ends.family))
    extra = ports | np.where(acks, tcp.ack, tcp.seq).astype(np.uint64)
    says = acks | (tcp.flags & int(TcpFlags.RST) != 0)
    rows, keys = _keys(rows, kind, ends.src, own=ends.dst, extra=extra)
    yield rows[says], keys[says]


def _udp(
    frames: Frames, at: Located, *, asked: bool
) -> Iterator[tuple[Index, _Ends, Word, Word]]:
    """Yield rows, addresses, ports from our side, and the id of DNS messages."""
    rows = at.of(IpProtocol.UDP)
    udp: Any = UDP.gather(frames.buffer, at.transport_offset[rows])
    inner = at.take(rows)
    ports = _ports(udp.sport, udp.dport) if asked else _ports(udp.dport, udp.sport)
    service = udp.dport if asked else udp.sport
    extra = np.zeros(len(rows), np.uint64)
    dns = [port for (protocol, port), kind in BY_PORT.items() if kind is DNS and protocol == 17]
    named = np.isin(service, dns) & (inner.payload_end - inner.payload_offset >= DNS.size)
    head = octets_at(frames.buffer, inner.payload_offset[named], 2)
    extra[named] = head.copy().view(">u2")[:, 0] if len(head) else 0
    extra[named] |= np.uint64(1 << 16)
    yield rows, _ends(frames, inner), ports, extra


def _echoes(
    frames: Frames, at: Located, *, asked: bool
) -> Iterator[tuple[Index, _Ends, int, Word]]:
    """Yield questions, or answers, with what both have: the answer's type, id and seq."""
    for protocol, pairs in _ASKS.items():
        rows = at.of(protocol)
        icmp: Any = ICMP.gather(frames.buffer, at.transport_offset[rows])
        for question, answer in pairs.items():
            here = np.flatnonzero(icmp.type == (int(question) if asked else answer))
            extra = icmp.id[here].astype(np.uint64) << np.uint64(16) | icmp.seq[here]
            extra |= np.uint64(answer << 32)
            yield rows[here], _ends(frames, at.take(rows[here])), protocol, extra


def _quotable(frames: Frames, at: Located, rows: Index) -> Iterator[Keys]:
    """Yield what an error's quote has of a packet: protocol, addresses, 8 octets behind."""
    whole = (at.family != 0) & (at.fragment != Part.LATER)
    room = at.payload_end - at.transport_offset >= 8
    for protocol in (*_OWN_KIND, IpProtocol.SCTP):
        here = np.flatnonzero(whole & room & (at.protocol == protocol))
        inner = at.take(here)
        head = octets_at(frames.buffer, inner.transport_offset, 8).copy().view(">u4")
        words = head.astype(np.uint64) if len(here) else np.zeros((0, 2), np.uint64)
        extra = np.zeros(len(here), np.uint64)
        if protocol in _PORTED:
            extra |= words[:, 0] << np.uint64(32)
        if protocol != IpProtocol.UDP:  # there lies the checksum, which routers may rewrite
            extra |= words[:, 1]
        ends = _ends(frames, inner)
        yield _keys(rows[here], _kind(_ERROR, ends.family, int(protocol)), ends.dst,
                    own=ends.src, extra=extra)
    here = np.flatnonzero(whole & ~np.isin(at.protocol, (*_OWN_KIND, IpProtocol.SCTP)))
    ends = _ends(frames, at.take(here))
    yield _keys(rows[here], _kind(_ERROR, ends.family, at.protocol[here]), ends.dst, own=ends.src)


def _arps(frames: Frames, at: Located, operation: int) -> Iterator[Keys]:
    rows = np.flatnonzero(at.ethertype == EtherType.ARP)
    start = at.network_offset[rows]
    rows = rows[start + ARP.size <= frames.offset[rows] + frames.length[rows]]
    arp: Any = ARP.gather(frames.buffer, at.network_offset[rows])
    here = np.flatnonzero(arp.operation == operation)
    asked = operation == ArpOperation.REQUEST
    peer, own = (arp.tpa, arp.spa) if asked else (arp.spa, arp.tpa)
    yield _keys(rows[here], _ARP, (0, peer[here]), own=(0, own[here]))


def _nds(frames: Frames, at: Located, kind: int) -> Iterator[Keys]:
    rows = at.of(IpProtocol.ICMPV6)
    start = at.transport_offset[rows]
    here = (at.payload_end[rows] - start >= _ND_OCTETS) & (frames.buffer[start] == kind)
    rows, start = rows[here], start[here]
    target = octets_at(frames.buffer, start + 8, 16).copy()
    words = target.view(">u8") if len(rows) else np.zeros((0, 2), np.uint64)
    yield _keys(rows, _ND, (words[:, 0], words[:, 1]), own=(0, 0))


def _others(
    frames: Frames, at: Located, *, asked: bool
) -> tuple[Index, _Ends, Word, Word]:
    """Return packets of all other protocols; those of SCTP have ports, too."""
    here = (at.family != 0) & ~np.isin(at.protocol, _OWN_KIND) & (at.fragment != Part.LATER)
    rows = np.flatnonzero(here & (at.defect == 0))
    inner = at.take(rows)
    extra = np.zeros(len(rows), np.uint64)
    ported = inner.protocol == IpProtocol.SCTP
    ported &= inner.payload_end - inner.transport_offset >= 4
    head = octets_at(frames.buffer, inner.transport_offset[ported], 4).copy()
    if len(head):
        ports = head.view(">u2")
        near, far = (0, 1) if asked else (1, 0)
        extra[ported] = _ports(ports[:, near], ports[:, far])
    ends = _ends(frames, inner)
    return rows, ends, _kind(_OTHER, ends.family, inner.protocol), extra
