"""Packet blocks of pcapng as columns: where the bytes lie, when they passed, on what interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames

from .capture_records import records_at
from .pcapng_blocks import (
    BlockType,
    Interface,
    Order,
    PacketOption,
    comments_of,
    number,
    parse_options,
)
from .pcapng_copy import Blocks

PACKET_TYPES = (BlockType.ENHANCED_PACKET, BlockType.SIMPLE_PACKET, BlockType.PACKET)
INT64_MAX = (1 << 63) - 1
TIME_MAX_NS = INT64_MAX
"""Times beyond (the year 2262) become this: a hostile clock must not turn into the past."""
SECOND_NS = 1_000_000_000


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PcapngFrames(Frames):
    """A batch of frames with what pcapng says beyond them; columns have one value a frame."""

    interface: NDArray[np.int64] = field(default_factory=_none)
    """Index into `PcapngReader.interfaces`, which counts through all sections."""
    flags: NDArray[np.int64] = field(default_factory=_none)
    """epb_flags; the lowest two bits are the direction (1 in, 2 out); 0 = not said."""
    dropped: NDArray[np.int64] = field(default_factory=_none)
    """Packets lost between the one before on this interface and this one, where said."""
    first: int = 1
    """The number of the first packet in its file, from 1."""
    comments: Mapping[int, str] = field(default_factory=dict)
    """Comments by packet number; several on one packet are joined by newlines."""
    blocks: Blocks = field(default_factory=lambda: Blocks(_none(), _none()))
    """The blocks that the frames lie in, and those between."""


class Clock:
    """How each interface of a section counts time, and how frames on it begin: columns that grow.

    The arrays double when full: a hostile file with 65,536 interfaces costs no more than its size.
    """

    def __init__(self) -> None:
        self._columns = np.zeros((3, 8), np.int64)
        self.count = 0
        self.snaplen = 0
        """Of interface 0, the only one that simple packets know."""

    def add(self, interface: Interface) -> None:
        """Take in the section's next interface."""
        if self.count == self._columns.shape[1]:
            self._columns = np.hstack([self._columns, np.zeros_like(self._columns)])
        if not self.count:
            self.snaplen = interface.snaplen or 0xFFFF_FFFF
        offset_ns = max(-INT64_MAX, min(interface.time_offset_s * SECOND_NS, INT64_MAX))
        self._columns[:, self.count] = interface.link_type, interface.time_resolution, offset_ns
        self.count += 1

    def link_type(self, interface: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the link types of the given interfaces."""
        link_type: NDArray[np.int64] = self._columns[0, interface]
        return link_type

    def time_ns(
        self, ticks: NDArray[np.uint64], interface: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return Unix times of the interfaces' ticks, at the ends of the range where beyond."""
        resolution: NDArray[np.int64] = self._columns[1, interface]
        offset: NDArray[np.int64] = self._columns[2, interface]
        time_ns = np.empty(len(ticks), np.int64)
        for unit in np.unique(resolution).tolist():  # nearly always one
            rows = resolution == unit
            time_ns[rows] = ticks_to_ns(ticks[rows], unit)
        # Ticks are never negative, so only a positive offset can leave the range.
        latest: NDArray[np.int64] = TIME_MAX_NS - np.maximum(offset, 0)
        np.minimum(time_ns, latest, out=time_ns)
        return time_ns + offset


def ticks_to_ns(ticks: NDArray[np.uint64], resolution: int) -> NDArray[np.int64]:
    """Return nanoseconds of `ticks` of 10^-n s, or of 2^-n s where the top bit is set."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return _binary_ticks_to_ns(ticks, exponent)
    if exponent > 9:
        divisor = 10 ** (exponent - 9)
        return _limited(ticks // np.uint64(divisor) if divisor < 1 << 64 else ticks * np.uint64(0))
    return _scaled(ticks, 10 ** (9 - exponent))


def _binary_ticks_to_ns(ticks: NDArray[np.uint64], exponent: int) -> NDArray[np.int64]:
    if exponent >= 64:  # less than a second in all; a shift by 64 is undefined
        seconds, fraction = ticks * np.uint64(0), ticks
    else:
        seconds = ticks >> np.uint64(exponent)
        fraction = ticks - (seconds << np.uint64(exponent))
    # 34 bits of a fraction times 10^9 just fit 64 bits, and are 58 ps: finer than we keep.
    spare = max(exponent - 34, 0)
    fraction = fraction >> np.uint64(spare) if spare < 64 else fraction * np.uint64(0)
    rest = fraction * np.uint64(SECOND_NS) >> np.uint64(exponent - spare)
    return _limited(_scaled(seconds, SECOND_NS).astype(np.uint64) + rest)


def _scaled(ticks: NDArray[np.uint64], factor: int) -> NDArray[np.int64]:
    beyond = ticks > np.uint64(TIME_MAX_NS // factor)
    return _limited(np.where(beyond, np.uint64(TIME_MAX_NS), ticks * np.uint64(factor)))


def _limited(time_ns: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.minimum(time_ns, np.uint64(TIME_MAX_NS)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PacketColumns:
    """Packet blocks as columns, all offsets into one buffer; `interface` counts by section."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    wire_length: NDArray[np.int64]
    ticks: NDArray[np.uint64]
    interface: NDArray[np.int64]
    dropped: NDArray[np.int64]
    options: NDArray[np.int64]
    end: NDArray[np.int64]
    """Where the options end."""
    sound: NDArray[np.bool_]
    """Whether the block holds what its lengths promise."""

    def take(self, rows: slice) -> PacketColumns:
        """Return some of the packets."""
        return PacketColumns(
            self.start[rows], self.length[rows], self.wire_length[rows], self.ticks[rows],
            self.interface[rows], self.dropped[rows], self.options[rows], self.end[rows],
            self.sound[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class BlockColumns:
    """Where whole blocks lie in a buffer."""

    at: NDArray[np.int64]
    kind: NDArray[np.int64]
    size: NDArray[np.int64]

    def take(self, rows: slice | NDArray[np.bool_]) -> BlockColumns:
        """Return some of the blocks."""
        return BlockColumns(self.at[rows], self.kind[rows], self.size[rows])


def packet_columns(
    data: NDArray[np.uint8], blocks: BlockColumns, *, order: Order, snaplen: int
) -> PacketColumns:
    """Return the fields of packet blocks; simple packets are cut at `snaplen`."""
    at, end = blocks.at, blocks.at + blocks.size - 4
    simple = blocks.kind == BlockType.SIMPLE_PACKET
    words = np.zeros((len(at), 7), np.int64)
    for chosen, size in ((~simple, 28), (simple, 12)):
        rows = chosen & (blocks.size >= size + 4)
        fields = records_at(data, at[rows], size).view(order + "u4")
        words[rows, : size // 4] = fields.reshape(-1, size // 4)
    start = at + np.where(simple, 12, 28)
    _mend_simple(words, simple, np.minimum(snaplen, end - start))
    dropped = _mend_obsolete(words, blocks.kind == BlockType.PACKET, order)
    length = words[:, 5]
    options = np.where(simple, end, start + (length + 3 & ~3))
    ticks = words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4].astype(np.uint64)
    return PacketColumns(
        start, length, np.maximum(words[:, 6], length), ticks, words[:, 2], dropped, options, end,
        (options <= end) & (start <= end),
    )


def _mend_simple(
    words: NDArray[np.int64], rows: NDArray[np.bool_], room: NDArray[np.int64]
) -> None:
    """Give simple packets what they lack: interface 0, no time, and a length from the other."""
    if rows.any():
        wire = words[rows, 2]
        words[rows, 2:5] = 0
        words[rows, 5] = np.clip(np.minimum(wire, room[rows]), 0, None)
        words[rows, 6] = wire


def _mend_obsolete(
    words: NDArray[np.int64], rows: NDArray[np.bool_], order: Order
) -> NDArray[np.int64]:
    """Split the obsolete block's 16-bit interface from its 16-bit drop count; return the drops."""
    dropped = np.zeros(len(words), np.int64)
    if rows.any():
        low, high = words[rows, 2] & 0xFFFF, words[rows, 2] >> 16
        words[rows, 2], count = (low, high) if order == "<" else (high, low)
        dropped[rows] = np.where(count == 0xFFFF, 0, count)  # 65535 = not known
    return dropped


def packet_notes(
    data: NDArray[np.uint8], columns: PacketColumns, order: Order
) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Return the packets' flags, and comments by row; drop counts go into `columns.dropped`."""
    flags = np.zeros(len(columns.start), np.int64)
    comments: dict[int, str] = {}
    rows = np.flatnonzero(columns.end - columns.options >= 8)
    if not len(rows):
        return flags, comments
    first = records_at(data, columns.options[rows], 8)
    code, size = first.view(order + "u2").reshape(-1, 4)[:, :2].T
    # Captures that know the direction carry this one option on every packet: no loop for them.
    alone = (code == PacketOption.FLAGS) & (size == 4)
    alone &= columns.end[rows] - columns.options[rows] <= 12
    flags[rows[alone]] = first.view(order + "u4").reshape(-1, 2)[alone, 1]
    for row in rows[~alone].tolist():
        options = parse_options(data[columns.options[row] : columns.end[row]].tobytes(), order)
        numbers = {c: number(value, order) for c, value in options if len(value) in (4, 8)}
        flags[row] = numbers.get(PacketOption.FLAGS, 0) & 0xFFFF_FFFF
        drops = numbers.get(PacketOption.DROP_COUNT, int(columns.dropped[row]))
        columns.dropped[row] = min(drops, INT64_MAX)
        if said := comments_of(options):
            comments[row] = "\n".join(said)
    return flags, comments
