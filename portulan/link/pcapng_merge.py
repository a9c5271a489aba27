"""The blocks of several captures as those of one pcapng section, nothing of them left out.

Interfaces get new numbers, and what counts by interface follows; options, flags, names, secrets
and custom blocks stay as they are. Files of the other byte order and old kinds of packet blocks
are written anew.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan import __version__
from portulan.wire.frames import Frames

from .capture_records import records_at
from .pcapng_blocks import (
    COMMENT,
    BlockType,
    Interface,
    Order,
    PacketOption,
    RawBlock,
    Section,
    SectionOption,
    pack_interface,
    pack_options,
    pack_section,
    parse_interface,
    parse_section,
    text_option,
)
from .pcapng_copy import Blocks, gathered
from .pcapng_order import little, little_options
from .pcapng_writer import NANOSECONDS, packet_blocks

Index = NDArray[np.int64]

DATA_AT: Final = 28
"""Where the octets of an enhanced packet begin in its block."""
NOTES_MAX: Final = 256
"""Comments of the section: each file has one and those it had itself."""
_UNKNOWN_DROPS = 0xFFFF


class PcapngMerge:
    """One section to be written: who writes it, its interfaces, blocks that wait for packets."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Of interfaces, by their number in the section."""
        self.lost: Counter[str] = Counter()
        """What could not be kept, by its name."""
        self._notes: list[str] = []
        self._waiting: list[tuple[int, bytes]] = []
        self._position = 0
        self._begun = False

    def source(self, name: str) -> MergeSource:
        """Return the way in for one file."""
        return MergeSource(self, name)

    def placed(self, buffer: NDArray[np.uint8], at: Index, size: Index) -> Blocks:
        """Return packet blocks in a buffer as what comes next, behind all that waits."""
        if not self._begun:
            self._begun = True
            self._waiting.insert(0, (BlockType.SECTION, self._section()))
        between = []
        for kind, body in self._waiting:
            between.append(RawBlock(kind, self._position, body))
            self._position += 1
        self._waiting.clear()
        blocks = Blocks(at, size, self._position, tuple(between))
        self._position += len(buffer)
        return blocks

    def note(self, section: Section, name: str) -> None:
        """Keep what a file's section says; once ours has begun it can say no more."""
        made = [text for text in (section.hardware, section.os, section.application) if text]
        notes = [f"{name}: {', '.join(made)}", *section.comments] if made else section.comments
        if self._begun or len(self._notes) + len(notes) > NOTES_MAX:
            self.lost["sections' descriptions"] += bool(notes)
        else:
            self._notes += notes

    def wait(self, kind: int, body: bytes) -> None:
        """Let a block stand before the next packets."""
        self._waiting.append((kind, body))

    def _section(self) -> bytes:
        plain = pack_section({SectionOption.APPLICATION: f"Portulan {__version__}"})[8:-4]
        notes = pack_options([text_option(COMMENT, text) for text in self._notes])
        return plain[:16] + notes[:-4] + plain[16:]


class MergeSource:
    """One of the files: what its numbers of interfaces have become."""

    def __init__(self, merge: PcapngMerge, name: str) -> None:
        self._merge, self._name = merge, Path(os.fspath(name)).name
        self._numbers: list[int] = []
        self._plain: dict[int, int] = {}
        self._start = 0
        self.order: Order = "<"
        """Byte order of the present section."""

    def between(self, blocks: Iterable[RawBlock]) -> None:
        """Take in the blocks that are no packets, in the order of the file."""
        for block in blocks:
            body = little(block.kind, block.body, block.order)
            if block.kind == BlockType.SECTION:
                self.order, self._start = block.order, len(self._numbers)
                self._merge.note(parse_section(block.body, block.order), self._name)
            elif body is None:
                self._merge.lost["blocks of unknown kind in the other byte order"] += 1
            elif block.kind == BlockType.INTERFACE and len(body) >= 8:
                self._numbers.append(self._add(body))
            elif block.kind == BlockType.INTERFACE_STATISTICS and len(body) >= 12:
                self._statistics(body)
            else:
                self._merge.wait(block.kind, body)

    def _add(self, body: bytes) -> int:
        self._merge.names.append(parse_interface(body, "<").name)
        self._merge.wait(BlockType.INTERFACE, body)
        return len(self._merge.names) - 1

    def _statistics(self, body: bytes) -> None:
        number = self._start + int.from_bytes(body[:4], "little")
        if number < len(self._numbers):
            named = struct.pack("<I", self._numbers[number])
            self._merge.wait(BlockType.INTERFACE_STATISTICS, named + body[4:])
        else:
            self._merge.lost["counts of interfaces that are not described"] += 1

    def packets(
        self, frames: Frames, blocks: Blocks, interface: Index
    ) -> tuple[NDArray[np.uint8], Index, Index]:
        """Return packets of a pcapng as enhanced packet blocks of the section; their numbers, too.

        The first is all blocks end to end, the others where each begins and its interface.
        """
        while len(self._numbers) <= int(interface.max()):
            # A file that describes itself in many megabytes: its reader kept no more of them.
            self._merge.lost["descriptions of interfaces"] += 1
            self._numbers.append(self._add(pack_interface(Interface(frames.link_type))[8:-4]))
        places, which = np.unique(interface, return_inverse=True)
        chosen = np.array([self._numbers[place] for place in places.tolist()], np.int64)
        numbers: Index = chosen[which]
        if self.order == "<" and (_kinds(frames, blocks, "<") == BlockType.ENHANCED_PACKET).all():
            out = gathered(frames.buffer, blocks.at, blocks.size)
            at = np.cumsum(blocks.size) - blocks.size
        else:
            made = [self._block(frames.buffer[start : start + size].tobytes(), row, frames)
                    for row, (start, size) in enumerate(
                        zip(blocks.at.tolist(), blocks.size.tolist(), strict=True))]
            sizes = np.array([len(each) for each in made], np.int64)
            out, at = np.frombuffer(bytearray().join(made), np.uint8), np.cumsum(sizes) - sizes
        words = numbers.astype("<u4").view(np.uint8).reshape(-1, 4)
        out[(at + 8)[:, None] + np.arange(4)] = words
        return out, at, numbers

    def _block(self, block: bytes, row: int, frames: Frames) -> bytes:
        """Return a packet block of any kind and order as an enhanced one, interface left open."""
        length = int(frames.length[row])
        padded = length + 3 & ~3
        kind, _, interface, high, low = struct.unpack_from(self.order + "5I", block)
        simple = kind == BlockType.SIMPLE_PACKET
        data = block[12 if simple else DATA_AT :]
        options = b"" if simple else little_options(kind, data[padded:-4], self.order)
        if simple:
            high = low = 0
        elif kind == BlockType.PACKET:
            drops = interface >> 16 if self.order == "<" else interface & 0xFFFF
            if drops not in (0, _UNKNOWN_DROPS):
                options = pack_options([
                    (PacketOption.DROP_COUNT, struct.pack("<Q", drops))])[:-4] + (
                        options or bytes(4))
        size = DATA_AT + padded + len(options) + 4
        head = struct.pack("<7I", BlockType.ENHANCED_PACKET, size, 0, high, low, length,
                           int(frames.wire_length[row]))
        body = data[:length] + bytes(padded - length)
        return head + body + options + struct.pack("<I", size)

    def describe(self, link_type: int) -> int:
        """Return the number of a pcap's interface, which is one for each kind of link."""
        if link_type not in self._plain:
            described = Interface(link_type, time_resolution=NANOSECONDS)
            self._plain[link_type] = self._add(pack_interface(described)[8:-4])
        return self._plain[link_type]

    def plain_packets(self, frames: Frames) -> tuple[NDArray[np.uint8], Index, Index]:
        """Return packets of a pcap as `packets` does."""
        number = self.describe(frames.link_type)
        size = 32 + (frames.length + 3 & ~3)
        out = packet_blocks(frames, {}, number)
        return out, np.cumsum(size) - size, np.full(len(frames), number, np.int64)


def _kinds(frames: Frames, blocks: Blocks, order: Order) -> Index:
    return records_at(frames.buffer, blocks.at, 4).view(order + "u4").astype(np.int64)
