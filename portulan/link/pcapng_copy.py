"""Copy blocks of pcapng as they are: every option, every kind of block, in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from portulan.wire.frames import Frames

from .capture_records import equal_lengths, gather, scatter
from .capture_sink import CaptureSink, SinkWriter, Target
from .pcapng_blocks import BlockType, RawBlock

HEADS = (BlockType.INTERFACE, BlockType.NAME_RESOLUTION, BlockType.DECRYPTION_SECRETS)
"""What later packets of a section may need: each file of a split begins with it."""
UNKNOWN_LENGTH = b"\xff" * 8
"""A section's length when packets may be missing from it (section 4.1 of the draft)."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Where the blocks of a batch's packets lie in its buffer, and what lay between packets."""

    at: NDArray[np.int64]
    size: NDArray[np.int64]
    position: int = 0
    """The byte of the file at which the buffer begins."""
    between: tuple[RawBlock, ...] = field(default=())
    """Blocks that are no packets, since the batch before."""

    def take(self, rows: NDArray[np.int64]) -> Blocks:
        """Return the blocks of some packets, and all those between."""
        return replace(self, at=self.at[rows], size=self.size[rows])


class PcapngCopier(SinkWriter):
    """A pcapng file made of the blocks of another one, in its order; packets may be left out."""

    def __init__(self, target: Target) -> None:
        self._sink = CaptureSink(target)
        self._last = -1
        self._heads: list[bytes] = []
        self.packets = 0
        """Packets written so far."""

    def follow(self, other: PcapngCopier) -> None:
        """Go on in this file where `other` has ended: write the heads that packets need first."""
        self._last, self._heads = other._last, list(other._heads)
        self._sink.append(b"".join(self._heads))

    def write(self, buffer: NDArray[np.uint8], blocks: Blocks) -> None:
        """Append the blocks of packets and those between; those written already are passed over."""
        done = 0
        for block in blocks.between:
            if block.position <= self._last:
                continue
            place = int(np.searchsorted(blocks.at, block.position - blocks.position))
            self._packets(buffer, blocks.at[done:place], blocks.size[done:place])
            done = max(done, place)
            self._between(block)
        self._packets(buffer, blocks.at[done:], blocks.size[done:])

    def _between(self, block: RawBlock) -> None:
        packed = pack_raw(block)
        if block.kind == BlockType.SECTION:
            self._heads.clear()
        if block.kind in (BlockType.SECTION, *HEADS):
            self._heads.append(packed)
        self._sink.append(packed)
        self._last = block.position

    def _packets(
        self, buffer: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64]
    ) -> None:
        if not len(at):
            return
        if (at[1:] == at[:-1] + size[:-1]).all():
            self._sink.append(np.ascontiguousarray(buffer[at[0] : at[-1] + size[-1]]).data)
        else:
            self._sink.append(gathered(buffer, at, size).data)
        self.packets += len(at)


def pack_raw(block: RawBlock) -> bytes:
    """Return a block as it was read, but for the length of a section, which no longer holds."""
    body = block.body
    if block.kind == BlockType.SECTION:
        body = body[:8] + UNKNOWN_LENGTH + body[16:]
    size = struct.pack(block.order + "I", len(body) + 12)
    return struct.pack(block.order + "I", block.kind) + size + body + size


def lost_in_pcap(blocks: Iterable[RawBlock]) -> Iterable[str]:
    """Yield what each block is called that pcap has no place for."""
    for block in blocks:
        if block.kind not in (BlockType.SECTION, BlockType.INTERFACE):
            known = block.kind in set(BlockType)
            yield BlockType(block.kind).name.lower().replace("_", " ") if known else "unknown"


def gathered(
    buffer: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return blocks copied end to end."""
    frames = Frames(buffer, at, size, size, at)
    start = np.cumsum(size) - size
    out = np.empty(int(size.sum()), np.uint8)
    for length, rows in equal_lengths(size):
        scatter(out, start[rows], gather(frames, rows, length))
    return out
