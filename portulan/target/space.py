"""The index space: every probe of a scan has one index in 0..size-1, and every index one probe.

A `Segment` is a run of addresses that share a list of (protocol, port). Segments are sorted by
address; within one, index = host offset * number of ports + place in the list. Hosts are numbered
in the same order. No table of probes exists: both directions are arithmetic on columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from portulan.errors import LimitError
from portulan.target.ranges import Range, merge

if TYPE_CHECKING:
    from portulan.target.targets import Targets

SIZE_MAX = 2**62
"""Probes: so that an index and a sum of two fit int64, and `Permutation` can order them."""

IP, TCP, UDP, SCTP = 0, 6, 17, 132
"""IANA protocol numbers; of IP itself, as sockets have it, whose "ports" are protocol numbers."""

_LOW_64 = 2**64 - 1

Columns = tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64]]
"""family, hi, lo of addresses."""


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """A batch of probes; IPv4 has hi = 0, protocol is IANA's number."""

    family: NDArray[np.uint8]
    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    port: NDArray[np.uint16]
    protocol: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.port)

    def take(self, selection: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Probes:
        """Return the selected probes."""
        return Probes(
            self.family[selection], self.hi[selection], self.lo[selection],
            self.port[selection], self.protocol[selection],
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` addresses from the number `start` on, each asked on the same (protocol, port)s."""

    family: int
    start: int
    count: int
    keys: tuple[int, ...]
    """protocol << 16 | port, sorted, each once."""

    @property
    def size(self) -> int:
        """Probes in this segment."""
        return self.count * len(self.keys)


class Space:
    """Probes <-> indices 0..size-1 and hosts <-> numbers 0..host_count-1.

    Segments must be disjoint; an empty space is allowed.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        used = [part for segment in segments if segment.size for part in _within_64(segment)]
        self.segments = sorted(used, key=lambda item: (item.family, item.start))
        self.size = sum(item.size for item in used)
        self.host_count = sum(item.count for item in used)
        if self.size > SIZE_MAX:
            raise LimitError(f"{self.size} probes are too many: at most {SIZE_MAX}")
        self._lay_out_columns()
        self._lay_out_ports()
        self._lay_out_lookup()

    @classmethod
    def of(cls, targets: Targets) -> Space:
        """Return the space of every port of every target."""
        once = {id(block.ports): block.ports for block in targets.blocks}
        made = {identity: ports.packed() for identity, ports in once.items()}
        return cls(
            Segment(block.range.family, block.range.start, block.range.count, made[id(block.ports)])
            for block in targets.blocks
        )

    @classmethod
    def hosts(cls, ranges: Iterable[Range], probes: Sequence[tuple[int, int]]) -> Space:
        """Return the space of the same (protocol, port) probes to every address of `ranges`."""
        keys = tuple(sorted({protocol << 16 | port for protocol, port in probes}))
        return cls(Segment(r.family, r.start, r.count, keys) for r in merge(ranges))

    def probes(self, index: NDArray[np.int64]) -> Probes:
        """Return the probe at each index; one outside 0..size-1 raises `IndexError`."""
        self._check(index, self.size)
        if len(self.segments) == 1:
            return self._probes_of_one(index)
        segment = np.searchsorted(self._first, index, "right") - 1
        local = index - self._first[segment]
        width = self._width[segment]
        host = local // width
        key = self._keys[self._keys_at[segment] + local - host * width]
        return Probes(
            self._family[segment], self._hi[segment], self._lo[segment] + host.view(np.uint64),
            key.astype(np.uint16), (key >> 16).astype(np.uint8),
        )

    def _probes_of_one(self, index: NDArray[np.int64]) -> Probes:
        width, count = len(self._keys), len(index)
        host = index // width if width > 1 else index
        key = self._keys[index - host * width] if width > 1 else np.repeat(self._keys, count)
        return Probes(
            np.repeat(self._family, count), np.repeat(self._hi, count),
            host.astype(np.uint64) + self._lo[0],
            key.astype(np.uint16), (key >> 16).astype(np.uint8),
        )

    def index_of(
        self,
        family: NDArray[np.uint8],
        hi: NDArray[np.uint64],
        lo: NDArray[np.uint64],
        port: NDArray[np.uint16],
        protocol: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        """Return the index of each probe, -1 for those that are not in the space."""
        if not self.segments:
            return np.full(len(port), -1, np.int64)
        segment, host = self._segment_of(family, hi, lo)
        place = self._place_of(segment, port, protocol)
        index = self._first[segment] + host * self._width[segment] + place
        return np.where((host | place) < 0, -1, index)

    def host_of(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the host that each index asks."""
        self._check(index, self.size)
        if len(self.segments) == 1:
            return index // len(self._keys)
        segment = np.searchsorted(self._first, index, "right") - 1
        local: NDArray[np.int64] = (index - self._first[segment]) // self._width[segment]
        return self._host_first[segment] + local

    def host_span(self, host: int) -> tuple[int, int]:
        """Return (first index, count) of a host's probes; they are consecutive."""
        if not 0 <= host < self.host_count:
            raise IndexError(f"host {host} is outside of 0..{self.host_count - 1}")
        segment = int(np.searchsorted(self._host_first, host, "right")) - 1
        width = int(self._width[segment])
        offset = host - int(self._host_first[segment])
        return int(self._first[segment]) + offset * width, width

    def host_address(self, host: NDArray[np.int64]) -> Columns:
        """Return family, hi, lo of the hosts with these numbers."""
        self._check(host, self.host_count)
        segment = np.searchsorted(self._host_first, host, "right") - 1
        offset = (host - self._host_first[segment]).view(np.uint64)
        return self._family[segment], self._hi[segment], self._lo[segment] + offset

    def host_number(
        self, family: NDArray[np.uint8], hi: NDArray[np.uint64], lo: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        """Return the number of the host with each address, -1 for those not in the space."""
        if not self.segments:
            return np.full(len(lo), -1, np.int64)
        segment, offset = self._segment_of(family, hi, lo)
        return np.where(offset < 0, -1, self._host_first[segment] + offset)

    def _check(self, number: NDArray[np.int64], size: int) -> None:
        if len(number) and not 0 <= int(number.min()) <= int(number.max()) < size:
            raise IndexError(f"outside of 0..{size - 1}")

    def _lay_out_columns(self) -> None:
        parts = self.segments
        counts = np.array([item.count for item in parts], np.uint64)
        self._count = counts
        self._family = np.array([item.family for item in parts], np.uint8)
        self._hi = np.array([item.start >> 64 for item in parts], np.uint64)
        self._lo = np.array([item.start & _LOW_64 for item in parts], np.uint64)
        self._width = np.array([len(item.keys) for item in parts], np.int64)
        sizes = np.array([item.size for item in parts], np.int64)
        self._first = np.cumsum(sizes) - sizes
        self._host_first = np.cumsum(counts.view(np.int64)) - counts.view(np.int64)

    def _lay_out_ports(self) -> None:
        """Keep each distinct list of ports once, however many segments share it."""
        # By identity first: a million segments may share one list of 65,535 ports to hash.
        once = {id(item.keys): item.keys for item in self.segments}
        lists = list(dict.fromkeys(once.values()))
        place = {keys: at for at, keys in enumerate(lists)}
        number = {identity: place[keys] for identity, keys in once.items()}
        starts = np.cumsum([0, *map(len, lists)])
        self._keys = np.array([key for keys in lists for key in keys], np.uint32)
        self._list_of = np.array([number[id(item.keys)] for item in self.segments], np.int64)
        self._keys_at = starts[self._list_of].astype(np.int64)
        list_of_key = np.repeat(np.arange(len(lists), dtype=np.int64), [len(k) for k in lists])
        self._lookup = list_of_key << 24 | self._keys
        self._one_list = len(lists) == 1
        if self._one_list:
            self._lay_out_table(lists[0])

    def _lay_out_table(self, keys: tuple[int, ...]) -> None:
        """Make place = table[row of protocol, port]: four times as fast as a search."""
        protocols = sorted({key >> 16 for key in keys})
        self._row = np.zeros(256, np.int64)
        self._row[protocols] = np.arange(1, len(protocols) + 1)
        self._table = np.full((len(protocols) + 1, 1 << 16), -1, np.int32)
        key = np.array(keys)
        self._table[self._row[key >> 16], key & 0xFFFF] = np.arange(len(keys))

    def _place_of(
        self, segment: NDArray[np.int64] | int, port: NDArray[np.uint16],
        protocol: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        """Return the place of (protocol, port) in the segment's list, or -1."""
        if self._one_list:
            return self._table[self._row[protocol], port].astype(np.int64)
        wanted = self._list_of[segment] << 24 | protocol.astype(np.int64) << 16 | port
        place = np.searchsorted(self._lookup, wanted)
        found = self._lookup[np.minimum(place, len(self._lookup) - 1)] == wanted
        return np.where(found, place - self._keys_at[segment], -1)

    def _lay_out_lookup(self) -> None:
        """Prepare `_segment_of`: 128-bit starts become one sortable number.

        The distinct (family, hi) are counted, the distinct lo ranked; both together are below
        2**62 for any number of segments that fits memory, and keep the order of addresses.
        """
        if self.segments:
            self._groups = np.unique(self._hi[self._family == 6])
            self._ranks = np.unique(self._lo)
            self._order = self._sortable(self._family, self._hi, self._lo)

    def _sortable(
        self, family: NDArray[np.uint8], hi: NDArray[np.uint64], lo: NDArray[np.uint64]
    ) -> NDArray[np.int64] | NDArray[np.uint64]:
        if not len(self._groups):
            return lo  # IPv4 alone is in order by itself
        rank = np.searchsorted(self._ranks, lo, "right")
        group = np.searchsorted(self._groups, hi, "right")
        return np.where(family == 6, group, 0) * (len(self._ranks) + 1) + rank

    def _segment_of(
        self, family: NDArray[np.uint8], hi: NDArray[np.uint64], lo: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64] | int, NDArray[np.int64]]:
        """Return segment and host offset of each address; offset -1 where it is in none."""
        segment: NDArray[np.int64] | int = 0
        if len(self.segments) > 1:
            order = self._sortable(family, hi, lo)
            segment = np.maximum(np.searchsorted(self._order, order, "right") - 1, 0)
        offset = lo - self._lo[segment]
        inside = offset < self._count[segment]  # an address below the start wraps to a huge one
        inside &= hi == self._hi[segment]
        inside &= family == self._family[segment]
        return segment, np.where(inside, offset.view(np.int64), -1)


def _within_64(segment: Segment) -> Iterator[Segment]:
    """Split where the upper 64 bits change, so that they are one number in each segment."""
    start, stop = segment.start, segment.start + segment.count
    while start < stop:
        end = min(stop, (start | _LOW_64) + 1)
        yield Segment(segment.family, start, end - start, segment.keys)
        start = end
