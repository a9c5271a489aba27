"""Read pcapng: sections, interfaces, packets in batches, and everything else they carry."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .capture_records import records_at
from .capture_source import Origin, Window
from .pcap import not_a_capture
from .pcapng_blocks import (
    BYTE_ORDER_MAGIC,
    BlockType,
    Interface,
    Order,
    RawBlock,
    Secrets,
    Section,
    Statistics,
    parse_interface,
    parse_names,
    parse_secrets,
    parse_section,
    parse_statistics,
)
from .pcapng_copy import Blocks
from .pcapng_packets import (
    PACKET_TYPES,
    BlockColumns,
    Clock,
    PacketColumns,
    PcapngFrames,
    packet_columns,
    packet_notes,
)
from .record_walk import Mark, Shape, walk

BLOCK_MAX = 16 << 20
"""Bytes of one block: what Wireshark allows. More is damage: no packet or secret is so long."""
INTERFACES_MAX = 65_536
"""Interfaces of all sections; merged captures have one for each file merged."""
KEPT_MAX = 16 << 20
"""Bytes of comments, names, counts, secrets and unknown blocks that are kept in memory."""
_BODY_MIN: dict[int, int] = {BlockType.SECTION: 16, BlockType.INTERFACE: 8}
_MARKS = {"<": Mark({0: BlockType.ENHANCED_PACKET, 1: 0, 2: 0, 3: 0, 7: 0}, align=4),
          ">": Mark({3: BlockType.ENHANCED_PACKET, 0: 0, 1: 0, 2: 0, 4: 0}, align=4)}
"""A packet's type, and a length below 16 MiB."""
OBJECT_BYTES = 200
"""What Python needs around a kept value, so that many empty ones count as well."""


class PcapngReader:
    """The packets of a pcapng file, in batches of one link type and of bounded size.

    Damage is data: all whole packets come out, then `damage` says what is wrong and at which byte.
    The other attributes grow while packets are read; a file that is no pcapng raises `UsageError`.
    """

    format = "pcapng"

    def __init__(self, origin: Origin | Window) -> None:
        self._window = origin if isinstance(origin, Window) else Window(origin)
        self.damage: str | None = None
        self.torn = False
        """Whether the damage is only that the file ends within a block."""
        self.packets = 0
        """Packets yielded so far."""
        self.sections: list[Section] = []
        self.interfaces: list[Interface] = []
        """Of all sections, in order: what `PcapngFrames.interface` counts."""
        self.section_start = 0
        """Where the present section's interfaces begin in `interfaces`."""
        self.statistics: list[Statistics] = []
        """`interface` counts through all sections here."""
        self.names: dict[str, list[str]] = {}
        self.secrets: list[Secrets] = []
        self.others: list[RawBlock] = []
        self.comments: dict[int, str] = {}
        """By packet number, from 1."""
        self.left_out = 0
        """Comments, names, counts and blocks that were not kept because of `KEPT_MAX`."""
        self.sound_bytes = 0
        """Bytes up to the end of the last whole block."""
        self._between: list[RawBlock] = []
        self._between_bytes = 0
        self._order: Order = "<"
        self._numbered = 0
        self._kept = 0
        self._clock = Clock()
        try:
            self._window.reach(12)
            head = self._window.view[:12].tobytes()
            if not head.startswith(BlockType.SECTION.to_bytes(4, "big")):
                raise not_a_capture(head, self._window.name)
            if len(head) >= 12 and _order_of(head) is None:
                raise not_a_capture(head, self._window.name)
            self._stream = self._read()
            self._ahead = next(self._stream, None)
        except BaseException:
            self.close()
            raise

    @property
    def link_type(self) -> int | None:
        """The link type of the first interface; None if the file describes none."""
        return self.interfaces[0].link_type if self.interfaces else None

    def __iter__(self) -> Iterator[PcapngFrames]:
        return self.frames()

    def frames(self) -> Iterator[PcapngFrames]:
        """Yield the packets in batches; a pipe's come as soon as they are there."""
        while self._ahead is not None:
            batch, self._ahead = self._ahead, None
            self.packets += len(batch)
            yield batch
            self._ahead = next(self._stream, None)

    def close(self) -> None:
        """Close the file if it was opened here; may be called again."""
        self._window.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> Iterator[PcapngFrames]:
        while True:
            data = self._window.view
            walked = walk_blocks(data, self._order)
            yield from self._blocks(data, walked.blocks)
            if self.damage is not None:
                return
            self._window.skip(walked.used)
            self.sound_bytes = self._window.position
            if walked.turns:
                self._order = ">" if self._order == "<" else "<"
            elif walked.fault:
                self._damaged(0, walked.fault)
                return
            elif not self._window.more():
                self._end()
                return

    def _end(self) -> None:
        left = len(self._window)
        if self._window.fault:
            self._damaged(left, f"cannot be read on: {self._window.fault}")
        elif left:
            self.torn = True
            self._damaged(0, f"the block is cut: only {left:,} bytes of it are there")

    def _blocks(self, data: NDArray[np.uint8], blocks: BlockColumns) -> Iterator[PcapngFrames]:
        """Yield the packets of the window's blocks and take in the other blocks between."""
        begin = 0
        for index in np.flatnonzero(~np.isin(blocks.kind, PACKET_TYPES)).tolist():
            if blocks.kind[index] in (BlockType.SECTION, BlockType.INTERFACE):
                yield from self._packets(data, blocks.take(slice(begin, index)))
                begin = index + 1
            if self.damage is None:
                self._take_in(data, blocks, index)
            if self.damage is not None:
                return
        yield from self._packets(data, blocks.take(slice(begin, None)))

    def _take_in(self, data: NDArray[np.uint8], blocks: BlockColumns, index: int) -> None:
        kind, at, size = (int(c[index]) for c in (blocks.kind, blocks.at, blocks.size))
        body = data[at + 8 : at + size - 4].tobytes()
        self._note_between(RawBlock(kind, self._window.position + at, body, self._order))
        if len(body) < _BODY_MIN.get(kind, 0):
            self._damaged(at, f"the block of {size} bytes is too short for its type")
        elif kind == BlockType.SECTION:
            self._section(at, parse_section(body, self._order))
        elif kind == BlockType.INTERFACE:
            self._interface(at, size, parse_interface(body, self._order))
        elif self._room(len(body)):
            self._keep(kind, at, body)

    def _note_between(self, block: RawBlock) -> None:
        """Keep a block as it is until the next batch takes it along, if there is room."""
        size = len(block.body) + OBJECT_BYTES
        if self._between_bytes + size > KEPT_MAX:
            self.left_out += 1
            return
        self._between.append(block)
        self._between_bytes += size

    def between(self, before: int | None = None) -> tuple[RawBlock, ...]:
        """Return the blocks that are no packets since the last batch, and let go of them.

        With `before` only those that begin before that byte of the file.
        """
        count = len(self._between)
        if before is not None:
            count = bisect_left(self._between, before, key=lambda block: block.position)
        taken, self._between = tuple(self._between[:count]), self._between[count:]
        self._between_bytes -= sum(len(block.body) + OBJECT_BYTES for block in taken)
        return taken

    def _section(self, at: int, section: Section) -> None:
        if section.major != 1:
            self._damaged(at, f"pcapng version {section.major}.{section.minor} is not 1.0")
            return
        if self._room(len(section.application) + len(section.os) + len(section.hardware)):
            self.sections.append(section)
        self.section_start = len(self.interfaces)
        self._clock = Clock()

    def _interface(self, at: int, size: int, interface: Interface) -> None:
        if len(self.interfaces) >= INTERFACES_MAX or not self._room(size):
            self._damaged(at, f"more interfaces than can be kept ({INTERFACES_MAX:,})")
            return
        self.interfaces.append(interface)
        self._clock.add(interface)

    def _keep(self, kind: int, at: int, body: bytes) -> None:
        """Take in what a block says beside packets; one too short for its type is kept raw."""
        if kind == BlockType.INTERFACE_STATISTICS and len(body) >= 12:
            self.statistics.append(
                parse_statistics(body, self._order).counted_from(self.section_start)
            )
        elif kind == BlockType.NAME_RESOLUTION:
            for address, names in parse_names(body, self._order).items():
                self.names.setdefault(address, []).extend(names)
        elif kind == BlockType.DECRYPTION_SECRETS and len(body) >= 8:
            self.secrets.append(parse_secrets(body, self._order))
        else:
            self.others.append(RawBlock(kind, self._window.position + at, body, self._order))

    def _packets(self, data: NDArray[np.uint8], blocks: BlockColumns) -> Iterator[PcapngFrames]:
        blocks = blocks.take(np.isin(blocks.kind, PACKET_TYPES))
        if not len(blocks.at):
            return
        columns = packet_columns(data, blocks, order=self._order, snaplen=self._clock.snaplen)
        sound = columns.sound & (columns.interface < self._clock.count)
        whole = _prefix(sound)
        if whole < len(sound):
            self._contradiction(int(blocks.at[whole]), whole, bool(columns.sound[whole]))
            columns = columns.take(slice(whole))
        if whole:
            ends = (blocks.at + blocks.size)[:whole]
            yield from self._batches(data, columns, blocks.at[:whole], ends)

    def _contradiction(self, at: int, ahead: int, framed: bool) -> None:
        number = self._numbered + ahead + 1
        if framed:
            self._damaged(at, f"packet {number} is on an interface that is not described")
        else:
            self._damaged(at, f"packet {number} is longer than its block")

    def _batches(
        self, data: NDArray[np.uint8], columns: PacketColumns, at: NDArray[np.int64],
        end: NDArray[np.int64],
    ) -> Iterator[PcapngFrames]:
        """Yield packets, one batch for each run of one link type."""
        time_ns = self._clock.time_ns(columns.ticks, columns.interface)
        flags, comments = packet_notes(data, columns, self._order)
        link_type = self._clock.link_type(columns.interface)
        edges = np.flatnonzero(link_type[1:] != link_type[:-1]) + 1
        notes = self._noted(comments)
        for run in _runs(edges.tolist(), len(at)):
            low, high = int(at[run.start]), int(end[run.stop - 1])
            numbers = range(self._numbered + 1, self._numbered + 1 + run.stop - run.start)
            yield PcapngFrames(
                data[low:high], columns.start[run] - low, columns.length[run],
                columns.wire_length[run], time_ns[run], int(link_type[run.start]),
                interface=columns.interface[run] + self.section_start, flags=flags[run],
                dropped=columns.dropped[run], first=numbers.start,
                comments={n: notes[n] for n in numbers if n in notes} if notes else {},
                blocks=Blocks(at[run] - low, (end - at)[run], self._window.position + low,
                              self.between(self._window.position + high)),
            )
            self._numbered = numbers.stop - 1

    def _noted(self, comments: dict[int, str]) -> dict[int, str]:
        """Return comments by packet number, and keep those there is room for."""
        notes = {self._numbered + 1 + row: text for row, text in comments.items()}
        self.comments.update((n, text) for n, text in notes.items() if self._room(len(text)))
        return notes

    def _room(self, size: int) -> bool:
        """Return whether `size` more bytes may be kept, and count them or what is left out."""
        fits = self._kept + size + OBJECT_BYTES <= KEPT_MAX
        self._kept += (size + OBJECT_BYTES) * fits
        self.left_out += not fits
        return fits

    def _damaged(self, at: int, reason: str) -> None:
        self.sound_bytes = self._window.position + at
        self.damage = f"byte {self.sound_bytes}: {reason}"


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The whole blocks at the start of a window, and what stopped the walk."""

    blocks: BlockColumns
    used: int
    """Bytes that the whole blocks take."""
    fault: str = ""
    """What is wrong with the block after them; nothing if only more bytes are needed."""
    turns: bool = False
    """Whether a section of the other byte order follows."""


def walk_blocks(data: NDArray[np.uint8], order: Order) -> Walk:
    """Find the whole blocks in `data`, up to a change of byte order or the first damage."""
    # By their lengths alone: they are judged as columns. One of length 0 must not hold us for ever.
    at = walk(data, Shape(order, header=8, length_at=4, least=12), _MARKS[order])
    kind, size = records_at(data, at, 8).view(order + "u4").reshape(-1, 2).T.astype(np.int64)
    sane = (size >= 12) & (size % 4 == 0) & (size <= BLOCK_MAX)
    count = _prefix(sane & (at + size <= len(data)))
    tails = records_at(data, (at + size)[:count] - 4, 4).view(order + "u4")
    count = _prefix(tails == size[:count])
    sections = np.flatnonzero(kind[: count + 1] == BlockType.SECTION).tolist()
    other: Order = ">" if order == "<" else "<"
    fault = "" if count == len(at) else _fault(int(size[count]), len(data) - int(at[count]))
    turns = False
    for index in sections:
        found = _order_of(data[at[index] : at[index] + 12].tobytes())
        if found != order:
            count, turns = index, found == other
            short = int(at[index]) + 12 > len(data)
            fault = "" if turns or short else "the section has no byte-order magic"
            break
    blocks = BlockColumns(at[:count], kind[:count], size[:count])
    return Walk(blocks, int(blocks.size.sum()), fault, turns)


def _fault(size: int, there: int) -> str:
    if size < 12 or size % 4 or size > BLOCK_MAX:
        return f"a block cannot have {size:,} bytes"
    return "" if size > there else "the block's two lengths differ"


def _order_of(head: bytes) -> Order | None:
    """Return the byte order that a section header of at least 12 bytes declares."""
    magic = head[8:12]
    if magic == BYTE_ORDER_MAGIC.to_bytes(4, "little"):
        return "<"
    return ">" if magic == BYTE_ORDER_MAGIC.to_bytes(4, "big") else None


def _prefix(good: NDArray[np.bool_]) -> int:
    """Return how many values are true before the first that is not."""
    return int(np.argmin(np.append(good, False)))


def _runs(edges: list[int], count: int) -> Iterator[slice]:
    yield from map(slice, [0, *edges], [*edges, count])
