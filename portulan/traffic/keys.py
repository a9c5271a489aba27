"""Which conversation each packet of a batch belongs to, as exact keys of five words.

The outermost IP header counts: a tunnel is one flow. ICMP and cut headers have no ports and get 0,
later fragments too, unless someone remembers their first ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.fragments import Fragments
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import Located, Part, locate

Index = NDArray[np.int64]
Words = NDArray[np.uint64]

KEY_WORDS = 5
"""What (protocol, family, VLAN, ports), then both addresses of 128 bits."""

_ETHERNET_OCTETS = 14
_VLAN_MASK = 0xFFF
_SCTP = 132


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """One value for each packet that has an IP header."""

    rows: Index
    """Where it stands in its batch."""
    words: Words
    """Shape (n, KEY_WORDS); both directions of a conversation have the same."""
    swapped: NDArray[np.bool_]
    """Whether the sender is the second endpoint of the key."""
    tcp_flags: NDArray[np.uint8]
    at: Located
    """Where the headers of these packets lie."""


def keys(frames: Frames, fragments: Fragments | None = None) -> Keys:
    """Return the keys of a batch's packets; `fragments` tells ports of later fragments."""
    at = locate(frames)
    rows = np.flatnonzero(at.family != 0)
    at = at.take(rows)
    addresses = _addresses(frames, at)
    ports = _ports(frames, at)
    some = frames.take(rows)
    if fragments is not None:
        fragments.join(some, at, addresses, ports=ports)
    sport, dport = ports[:, 0], ports[:, 1]
    swapped = _greater(addresses, sport, dport)
    words = np.empty((len(rows), KEY_WORDS), np.uint64)
    low, high = np.where(swapped, dport, sport), np.where(swapped, sport, dport)
    vlan = _vlans(some, at)
    what = at.protocol.astype(np.int64) << 48 | at.family.astype(np.int64) << 44 | vlan << 32
    words[:, 0] = (what | low << 16 | high).astype(np.uint64)
    words[:, 1:] = np.where(swapped[:, None], addresses[:, [2, 3, 0, 1]], addresses)
    return Keys(rows, words, swapped, _flags(frames, at), at)


def _addresses(frames: Frames, at: Located) -> Words:
    """Return source and destination as two words each; IPv4 lies in the low one."""
    found = np.zeros((len(at), 4), np.uint64)
    old, new = np.flatnonzero(at.family == 4), np.flatnonzero(at.family == 6)
    if len(old):
        octets = octets_at(frames.buffer, at.network_offset[old] + 12, 8)
        found[old[:, None], [1, 3]] = np.ascontiguousarray(octets).view(">u4")
    if len(new):
        octets = octets_at(frames.buffer, at.network_offset[new] + 8, 32)
        found[new] = np.ascontiguousarray(octets).view(">u8")
    return found


def _ports(frames: Frames, at: Located) -> Index:
    ports = np.zeros((len(at), 2), np.int64)
    kind = at.protocol
    there = (kind == IpProtocol.TCP) | (kind == IpProtocol.UDP) | (kind == _SCTP)
    there &= (at.defect == 0) & (at.fragment != Part.LATER)
    rows = np.flatnonzero(there & (at.transport_offset + 4 <= at.payload_end))
    if len(rows):
        octets = octets_at(frames.buffer, at.transport_offset[rows], 4)
        ports[rows] = np.ascontiguousarray(octets).view(">u2")
    return ports


def _greater(addresses: Words, sport: Index, dport: Index) -> NDArray[np.bool_]:
    """Say whose source (address, port) is above its destination."""
    source, target = addresses[:, :2], addresses[:, 2:]
    above = sport > dport
    for word in (1, 0):
        same = source[:, word] == target[:, word]
        above = np.where(same, above, source[:, word] > target[:, word])
    return above


def _vlans(frames: Frames, at: Located) -> Index:
    """Return the outermost VLAN of each, 0 for none."""
    vlan = np.zeros(len(at), np.int64)
    if frames.link_type == LinkType.ETHERNET:
        rows = np.flatnonzero(at.network_offset - frames.offset > _ETHERNET_OCTETS)
        if len(rows):
            octets = octets_at(frames.buffer, frames.offset[rows] + 12, 4)
            tags = np.ascontiguousarray(octets).view(">u2").astype(np.int64)
            tagged = (tags[:, 0] == EtherType.VLAN) | (tags[:, 0] == EtherType.SERVICE_VLAN)
            vlan[rows] = np.where(tagged, tags[:, 1] & _VLAN_MASK, 0)
    return vlan


def _flags(frames: Frames, at: Located) -> NDArray[np.uint8]:
    flags = np.zeros(len(at), np.uint8)
    rows = at.of(IpProtocol.TCP)
    if len(rows):
        flags[rows] = frames.buffer[at.transport_offset[rows] + 13]
    return flags
