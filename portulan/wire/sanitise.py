"""Addresses replaced so that nobody is named and the network keeps its shape.

Two addresses that share their first n bits share exactly their first n bits afterwards, too: bit
n + 1 is flipped or not by a keyed hash of the n bits before it (the scheme of Xu, Fan, Ammar and
Moon, 2002, with SipHash as the hash). The same key gives the same addresses in every file. Some
bits are never flipped, so that loopback, multicast and broadcast stay what they are.

Replaced are the addresses of Ethernet, cooked captures, ARP, IPv4, IPv6, neighbour discovery and
of packets that ICMP errors quote. What may hold addresses and is not read here is blanked: other
protocols than IP and ARP, tunnels, IPv4 options, headers cut short. The payloads of TCP and UDP
stay as they are: a DHCP lease, a DNS answer or a mail names hosts and people still.

>>> sanitiser = Sanitiser(b"secret")
>>> a, b = sanitiser.ip4(np.array([0x0A090001, 0x0A0900FF], np.uint64)).tolist()
>>> a >> 8 == b >> 8, a >> 7 == b >> 7
(True, False)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portulan.wire.cookie import Words, siphash
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import Defect, Located, Part, locate, quoted
from portulan.wire.repair import repair

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOGETHER_MAX = 512
"""Addresses whose bits are hashed at once: few cost little, and many no megabytes."""
ND_OPTIONS_MAX = 8
"""Options of a neighbour discovery message looked at; what follows them is blanked."""
REDIRECT, ROUTERS = 5, 9
"""ICMP types that name a gateway, and routers (RFC 792, RFC 1256)."""
_TUNNEL_PORTS = (2152, 4789, 6081, 8472)
"""GTP-U, VXLAN, Geneve, VXLAN by Linux's old default: UDP that carries packets."""
_READABLE = (IpProtocol.TCP, IpProtocol.UDP, IpProtocol.ICMP, IpProtocol.ICMPV6)
_UNREAD = (
    Defect.SHORT_LINK, Defect.SHORT_NETWORK, Defect.BAD_VERSION, Defect.BAD_HEADER_LENGTH,
    Defect.SHORT_EXTENSION, Defect.TOO_MANY_EXTENSIONS, Defect.UNKNOWN_LINK,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A prefix whose bits are never flipped; with `inside` nor are those behind it."""

    value: int
    length: int
    inside: bool = False


_KEPT4 = (
    Kept(0, 32), Kept(0x7F000000, 8, inside=True), Kept(0xE0000000, 24, inside=True),
    Kept(0xEFFFFFFA, 32), Kept(0xFFFFFFFF, 32),
)
"""The unspecified address, loopback, local control multicast, SSDP's group, broadcast."""
_KEPT6 = (
    Kept(0, 128), Kept(1, 128), Kept(0xFE80 << 112, 64), Kept(0xFF02 << 112, 96, inside=True),
    Kept((0xFF02 << 112) | (0x1FF << 24), 104),
)
"""Unspecified, loopback, link-local's prefix, well-known groups, solicited-node's prefix."""
_KEPT_MAC = (
    Kept(0, 48), Kept((1 << 48) - 1, 48), Kept(0x01005E000000, 25),
    Kept(0x01005E000000, 40, inside=True), Kept(0x333300000000, 16),
    Kept(0x333300000000, 40, inside=True), Kept(0x3333FF000000, 24),
    Kept(0x0180C2000000, 24, inside=True),
)
"""None, broadcast, IPv4 and IPv6 multicast, bridges' own group."""
_MAC_FLAG_BITS = (6, 7)
"""Locally administered, and group: what kind of address it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Sanitised:
    """Frames without the addresses they had."""

    frames: Frames
    blanked: int
    """Frames of which something was zeroed because it could not be read."""


class Sanitiser:
    """Replaces addresses; the key decides by what, and must stay secret."""

    def __init__(self, key: bytes) -> None:
        digest = hashlib.blake2b(key, digest_size=16, person=b"portulan address").digest()
        self._key = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")

    def ip4(self, addresses: Words) -> Words:
        """Return other IPv4 addresses for these."""
        return self._replaced(addresses, 32, _KEPT4, ())

    def mac(self, addresses: Words) -> Words:
        """Return other MAC addresses for these."""
        return self._replaced(addresses, 48, _KEPT_MAC, _MAC_FLAG_BITS)

    def ip6(self, high: Words, low: Words) -> tuple[Words, Words]:
        """Return other IPv6 addresses for these, as columns of their upper and lower halves."""
        pairs = np.stack([high, low], axis=1).astype(np.uint64)
        unique, back = np.unique(pairs, axis=0, return_inverse=True)
        new = np.concatenate([
            self._replaced6(unique[at : at + TOGETHER_MAX])
            for at in range(0, max(len(unique), 1), TOGETHER_MAX)])[back.reshape(-1)]
        return new[:, 0].copy(), new[:, 1].copy()

    def _replaced6(self, pairs: Words) -> Words:
        lengths = np.arange(128)
        upper = _prefixes(pairs[:, 0], np.minimum(lengths, 64), 64)
        lower = _prefixes(pairs[:, 1], np.maximum(lengths - 64, 0), 64)
        flip = self._flips(128, lengths, upper, lower)
        flip[_fixed6(pairs, lengths)] = 0
        flip <<= (63 - lengths % 64).astype(np.uint64)[:, None]
        return pairs ^ np.stack([_xor(flip[:64]), _xor(flip[64:])], axis=1)

    def _replaced(
        self, addresses: Words, bits: int, kept: tuple[Kept, ...], flags: tuple[int, ...]
    ) -> Words:
        unique, back = np.unique(addresses.astype(np.uint64), return_inverse=True)
        lengths = np.setdiff1d(np.arange(bits), flags)
        new = unique.copy()
        for at in range(0, len(unique), TOGETHER_MAX):
            part = slice(at, at + TOGETHER_MAX)
            prefixes = _prefixes(unique[part], lengths, bits)
            flip = self._flips(bits, lengths, prefixes)
            for each in kept:
                flip[_fixed(prefixes, lengths, each, bits)] = 0
            new[part] ^= _xor(flip << (bits - 1 - lengths).astype(np.uint64)[:, None])
        replaced: Words = new[back.reshape(-1)]
        return replaced

    def _flips(self, bits: int, lengths: Index, *prefixes: Words) -> Words:
        """Return 1 where the bit behind a prefix is flipped, a row for each of `lengths`."""
        tags = np.repeat((bits << 8 | lengths).astype(np.uint64), prefixes[0].shape[1])
        found = siphash(self._key, tags, *(each.reshape(-1) for each in prefixes))
        return found.reshape(prefixes[0].shape) & np.uint64(1)

    def frames(self, frames: Frames) -> Sanitised:
        """Return the frames over a copy of their buffer, addresses replaced, checksums right."""
        work = _Work(self, frames)
        work.all()
        changed = replace(frames, buffer=work.out)
        return Sanitised(repair(changed).frames, int(work.blanked.sum()))


def _prefixes(values: Words, lengths: Index, bits: int) -> Words:
    """Return the first bits of each value, a row for each of `lengths`."""
    away = (bits - lengths).astype(np.uint64)[:, None]
    whole = away == 64  # 64-bit words cannot be shifted by 64
    shifted: Words = values >> np.where(whole, np.uint64(63), away)
    shifted >>= whole.astype(np.uint64)
    return shifted


def _xor(rows: Words) -> Words:
    found: Words = np.bitwise_xor.reduce(rows, axis=0)
    return found


def _fixed(prefixes: Words, lengths: Index, kept: Kept, bits: int) -> Mask:
    """Return which prefixes lead to, or lie behind, one that is kept."""
    upto = np.minimum(lengths, kept.length)
    value = np.array([kept.value >> bits - each for each in upto.tolist()], np.uint64)
    same: Mask = prefixes >> (lengths - upto).astype(np.uint64)[:, None] == value[:, None]
    if not kept.inside:
        same[lengths >= kept.length] = False
    return same


def _fixed6(pairs: Words, lengths: Index) -> Mask:
    fixed = np.zeros((len(lengths), len(pairs)), np.bool_)
    for kept in _KEPT6:
        upto = np.minimum(lengths, kept.length)
        same = np.ones_like(fixed)
        halves = kept.value >> 64, kept.value & (1 << 64) - 1
        for half, length in enumerate((np.minimum(upto, 64), np.maximum(upto - 64, 0))):
            value = np.array([halves[half]], np.uint64)
            same &= _prefixes(pairs[:, half], length, 64) == _prefixes(value, length, 64)
        if not kept.inside:
            same[lengths >= kept.length] = False
        fixed |= same
    return fixed


class _Work:
    """One batch: addresses are read from its buffer and written to a copy of it."""

    def __init__(self, sanitiser: Sanitiser, frames: Frames) -> None:
        self._sanitiser, self._frames = sanitiser, frames
        self.out = frames.buffer.copy()
        self.blanked = np.zeros(len(frames), np.bool_)
        self._end = frames.offset + frames.length

    def all(self) -> None:
        """Replace what is read, blank what is not."""
        frames = self._frames
        at = locate(frames)
        readable = (at.family != 0) & ~np.isin(at.defect, _UNREAD)
        arp = (at.family == 0) & (at.ethertype == EtherType.ARP)
        size = self._links()
        self._arp(np.flatnonzero(arp), at)
        # The headers of a link end where those of the network begin, or where there are none.
        unread = np.flatnonzero(~readable & ~arp)
        self._blank(unread, frames.offset[unread] + size)
        self._packets(np.flatnonzero(readable), at)
        self._neighbours(at)
        self._quotes(at)

    def _links(self) -> int:
        """Replace the addresses of the link's own headers and return how long these are."""
        start, every = self._frames.offset, np.arange(len(self._frames))
        match self._frames.link_type:
            case LinkType.ETHERNET:
                self._macs(every, start)
                self._macs(every, start + 6)
                return 14
            case LinkType.LINUX_SLL:
                self._macs(every, start + 6)
                return 16
            case LinkType.LINUX_SLL2:
                self._macs(every, start + 12)
                return 20
            case LinkType.NULL | LinkType.LOOP:
                return 4
        return 0

    def _arp(self, rows: Index, at: Located) -> None:
        """Replace the addresses of ARP for IPv4 over Ethernet; blank other kinds and cut ones."""
        # Where ARP begins the walk stopped: it found no IP there.
        start = self._frames.offset[rows] + at.defect_offset[rows]
        whole = start + 28 <= self._end[rows]
        known = np.zeros(len(rows), np.bool_)
        head = self._frames.buffer[start[whole, None] + np.arange(6)]
        known[whole] = (head == np.array([0, 1, 8, 0, 6, 4], np.uint8)).all(axis=1)
        self._blank(rows[~known], start[~known])
        rows, start = rows[known], start[known]
        for offset in (8, 18):
            self._macs(rows, start + offset)
            self._ip4s(rows, start + offset + 6)

    def _packets(self, rows: Index, at: Located) -> None:
        """Replace IP addresses; blank IPv4 options and what no known transport reads."""
        part = at.take(rows)
        self._networks(rows, part)
        read = np.isin(part.protocol, _READABLE) | (part.fragment == Part.LATER)
        self._blank(rows[~read], part.transport_offset[~read])
        udp = (part.protocol == IpProtocol.UDP) & (part.defect == 0)
        udp = np.flatnonzero(udp & (part.fragment != Part.LATER))
        start = part.transport_offset[udp]
        tunnel = np.isin(self._words(start), _TUNNEL_PORTS)
        tunnel |= np.isin(self._words(start + 2), _TUNNEL_PORTS)
        self._blank(rows[udp[tunnel]], start[tunnel] + 8)

    def _networks(self, rows: Index, at: Located) -> None:
        start = at.network_offset
        four, six = at.family == 4, at.family == 6
        for offset in (12, 16):
            self._ip4s(rows[four], start[four] + offset)
        for offset in (8, 24):
            self._ip6s(rows[six], start[six] + offset)
        length = (self._frames.buffer[start[four]] & 0xF).astype(np.int64) * 4
        options = length > 20
        # Option 1 does nothing and is one octet long (RFC 791 section 3.1).
        self._fill(rows[four][options], (start[four] + 20)[options],
                   (start[four] + length)[options], value=1)
        # An extension header of 8 octets holds no address; longer ones may, and zeros are padding.
        extended = six & (at.transport_offset > start + 48)
        self._fill(rows[extended], start[extended] + 48, at.transport_offset[extended])

    def _quotes(self, at: Located) -> None:
        icmp = at.of(IpProtocol.ICMP)
        start = at.transport_offset[icmp]
        kind = self._frames.buffer[start]
        self._ip4s(icmp[kind == REDIRECT], start[kind == REDIRECT] + 4)
        self._blank(icmp[kind == ROUTERS], start[kind == ROUTERS] + 8)
        rows, inner = quoted(self._frames, at)
        read = (inner.family != 0) & ~np.isin(inner.defect, _UNREAD)
        self._blank(rows[~read], at.payload_offset[rows[~read]])
        self._networks(rows[read], inner.take(read))

    def _neighbours(self, at: Located) -> None:
        """Replace the addresses of neighbour discovery (RFC 4861) and multicast listeners."""
        rows = at.of(IpProtocol.ICMPV6)
        start = at.transport_offset[rows]
        kind = self._frames.buffer[start].astype(np.int64)
        discovery, listener = (kind >= 133) & (kind <= 137), (kind >= 130) & (kind <= 132)
        target = (kind >= 135) & (kind <= 137) | listener
        self._ip6s(rows[target], start[target] + 8)
        self._ip6s(rows[kind == 137], start[kind == 137] + 24)
        other = (kind >= 128) & ~discovery & ~listener & (kind > 129)
        self._blank(rows[other], start[other] + 8)
        # Where options begin: solicitation and advertisement of routers, of neighbours, redirect.
        head = np.array([8, 16, 24, 24, 40])[np.clip(kind - 133, 0, 4)]
        self._options(rows[discovery], (start + head)[discovery])

    def _options(self, rows: Index, at: Index) -> None:
        """Replace link-layer addresses (1, 2) and prefixes (3), keep the MTU (5), blank others."""
        buffer, end = self._frames.buffer, self._end
        for _ in range(ND_OPTIONS_MAX):
            there = at + 8 <= end[rows]
            self._blank(rows[~there], at[~there])
            rows, at = rows[there], at[there]
            size = buffer[at + 1].astype(np.int64) * 8
            sound = (size > 0) & (at + size <= end[rows])
            self._blank(rows[~sound], at[~sound])
            rows, at, size = rows[sound], at[sound], size[sound]
            kind = buffer[at]
            link, prefix = np.isin(kind, (1, 2)) & (size == 8), (kind == 3) & (size == 32)
            self._macs(rows[link], at[link] + 2)
            self._ip6s(rows[prefix], at[prefix] + 16)
            rest = ~link & ~prefix & (kind != 5)
            self._fill(rows[rest], at[rest] + 2, (at + size)[rest])
            at = at + size
        self._blank(rows, at)

    def _words(self, at: Index) -> Index:
        buffer = self._frames.buffer
        return buffer[at].astype(np.int64) << 8 | buffer[at + 1]

    def _macs(self, rows: Index, at: Index) -> None:
        at = at[self._fitting(rows, at, 6)]
        if len(at):  # to hash no address costs as much as to hash a hundred
            self._store(at, self._sanitiser.mac(self._load(at, 6)), 6)

    def _ip4s(self, rows: Index, at: Index) -> None:
        at = at[self._fitting(rows, at, 4)]
        if len(at):
            self._store(at, self._sanitiser.ip4(self._load(at, 4)), 4)

    def _ip6s(self, rows: Index, at: Index) -> None:
        at = at[self._fitting(rows, at, 16)]
        if not len(at):
            return
        high, low = self._sanitiser.ip6(self._load(at, 8), self._load(at + 8, 8))
        self._store(at, high, 8)
        self._store(at + 8, low, 8)

    def _fitting(self, rows: Index, at: Index, size: int) -> Mask:
        """Return which fields are whole; the octets of the others are blanked."""
        whole: Mask = at + size <= self._end[rows]
        self._blank(rows[~whole], at[~whole])
        return whole

    def _load(self, at: Index, size: int) -> Words:
        octets = np.zeros((len(at), 8), np.uint8)
        octets[:, 8 - size :] = self._frames.buffer[at[:, None] + np.arange(size)]
        return octets.view(">u8").reshape(-1).astype(np.uint64)

    def _store(self, at: Index, values: Words, size: int) -> None:
        octets = values.astype(">u8").view(np.uint8).reshape(-1, 8)
        self.out[at[:, None] + np.arange(size)] = octets[:, 8 - size :]

    def _blank(self, rows: Index, start: Index) -> None:
        self._fill(rows, start, self._end[rows])

    def _fill(self, rows: Index, start: Index, end: Index, *, value: int = 0) -> None:
        for low, high in _stretches(start, np.minimum(end, self._end[rows])):
            self.out[low:high] = value
        self.blanked[rows[start < end]] = True


def _stretches(start: Index, end: Index) -> Iterator[tuple[int, int]]:
    """Yield where to fill, in plain numbers: a slice is one memset, rows are few."""
    yield from zip(start.tolist(), end.tolist(), strict=True)
