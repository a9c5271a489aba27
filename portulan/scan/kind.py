"""What a probe kind is, and the stamping of probes out of one template.

A kind is deterministic: the same index and try give the same bytes, so that evidence can show a
probe without having kept it. What a reply must prove is in the probe itself (a keyed cookie), so
nothing is kept per probe and a stray or spoofed reply is never believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from portulan.scan.paths import Paths, Via
from portulan.scan.verdict import Answers, State
from portulan.target.space import Probes, Space
from portulan.wire.checksum import finish, word_sum
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Packet
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

Instruction = tuple[int, int, int, int]
Column = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """Frames of equal length for one link; `at` says which rows of the batch they are."""

    link: int
    rows: NDArray[np.uint8]
    at: NDArray[np.int64] | slice
    ethernet: bool

    @property
    def link_type(self) -> int:
        """How the frames begin."""
        return LinkType.ETHERNET if self.ethernet else LinkType.RAW


class Kind(Protocol):
    """A way to ask: builds probes, reads replies, names what it wants to hear."""

    space: Space
    silent: State
    """What silence to all tries means."""

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes all replies to this kind on such a link."""
        ...

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the frames that ask these probes; those without a way are left out."""
        ...

    def read(self, frames: Frames) -> Answers:
        """Return the answers to our probes among these frames; times are those of the frames."""
        ...


class Stamp:
    """One probe's bytes with zeros where probes differ, and the sums of what stays the same."""

    def __init__(
        self, via: Via, transport: Packet | bytes, *, number: int | None = None
    ) -> None:
        """Make a stamp; `number` is the protocol's where the transport does not tell."""
        network = _network(via, number)
        packet = network / transport
        if via.ethernet:
            source = int.from_bytes(via.source_mac, "big")
            packet = Ethernet(dst=via.next_mac, src=source) / packet
        self.via = via
        self.network = Ethernet.size if via.ethernet else 0
        self.transport = self.network + (IPv4.size if via.family == 4 else IPv6.size)
        self.row = np.frombuffer(packet.pack(), np.uint8)
        self._ip_sum = 0
        if via.family == 4:
            self._ip_sum = 0xFFFF - IPv4.parse(self.row.tobytes(), self.network).checksum

    def transport_sum(self, header: type[TCP | UDP | ICMP | ICMPv6]) -> int:
        """Return the sum behind the checksum of the segment as stamped, its address left out."""
        return 0xFFFF - header.parse(self.row.tobytes(), self.transport).checksum

    def rows(
        self, probes: Probes, macs: NDArray[np.uint64] | int
    ) -> tuple[NDArray[np.uint8], Column]:
        """Return rows addressed to the probes, and what each address adds to a transport sum."""
        rows = np.empty((len(probes), len(self.row)), np.uint8)
        rows[:] = self.row
        if self.via.ethernet and not isinstance(macs, int):
            Ethernet.view(rows).dst[:] = macs
        if self.via.family == 4:
            header = IPv4.view(rows, self.network)
            header.dst[:] = probes.lo
            added = word_sum(probes.lo)
            header.checksum[:] = finish(added + np.uint64(self._ip_sum))
            return rows, added
        header = IPv6.view(rows, self.network)
        header.dst_hi[:], header.dst_lo[:] = probes.hi, probes.lo
        return rows, word_sum(probes.hi) + word_sum(probes.lo)


def _network(via: Via, number: int | None) -> IPv4 | IPv6:
    # Identification 0 with don't-fragment is what RFC 6864 section 4.1 allows for atomic datagrams.
    if via.family == 4:
        return IPv4(src=via.source) if number is None else IPv4(src=via.source, protocol=number)
    return IPv6(src=via.source) if number is None else IPv6(src=via.source, next_header=number)


def split(
    space: Space, paths: Paths, index: NDArray[np.int64]
) -> list[tuple[Via, NDArray[np.int64] | slice, Probes, NDArray[np.uint64] | int]]:
    """Return each way with its rows of `index`, their probes and their next hops' addresses."""
    probes = space.probes(index)
    if paths.of_host is None and paths.mac_of_host is None:
        return [(paths.vias[0], slice(None), probes, paths.vias[0].next_mac)]
    host = space.host_of(index)
    return [
        (via, rows, probes.take(rows), paths.next_macs(via, host[rows]))
        for via, rows in paths.split(host)
    ]


def find(space: Space, probes: Probes) -> NDArray[np.int64]:
    """Return the index of each probe, -1 for those that are not in the space."""
    return space.index_of(probes.family, probes.hi, probes.lo, probes.port, probes.protocol)
