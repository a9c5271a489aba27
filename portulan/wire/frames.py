"""A batch of frames in one buffer: everything hot works on batches, never on packet objects.

`buffer` holds the bytes of all frames, `offset[i]` and `length[i]` say where frame `i` lies in it,
`wire_length[i]` how long it was before it was cut, `time_ns[i]` when it passed (Unix time).
Frames may overlap, repeat or leave holes in the buffer: a selection copies no bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray


class LinkType(IntEnum):
    """How a frame begins, by the numbers of the pcap and pcapng formats."""

    NULL = 0
    ETHERNET = 1
    RAW = 101
    IEEE802_11 = 105
    LOOP = 108
    LINUX_SLL = 113
    IEEE802_11_RADIOTAP = 127
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A batch of frames; columns have one value a frame."""

    buffer: NDArray[np.uint8]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    wire_length: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    link_type: int = LinkType.ETHERNET

    @classmethod
    def empty(cls, link_type: int = LinkType.ETHERNET) -> Self:
        """Return a batch of no frames."""
        none = np.empty(0, np.int64)
        return cls(np.empty(0, np.uint8), none, none, none, none, link_type)

    @classmethod
    def uniform(
        cls, rows: NDArray[np.uint8], time_ns: NDArray[np.int64] | int = 0,
        link_type: int = LinkType.ETHERNET,
    ) -> Self:
        """Return frames of equal length over `rows` (n, length), copying only if not contiguous."""
        count, size = rows.shape
        lengths = np.full(count, size, np.int64)
        times = np.broadcast_to(np.asarray(time_ns, np.int64), count)
        offset = np.arange(count, dtype=np.int64) * size
        buffer = np.ascontiguousarray(rows).reshape(-1)
        return cls(buffer, offset, lengths, lengths, times, link_type)

    @classmethod
    def of(
        cls, frames: Iterable[bytes], time_ns: Sequence[int] | int = 0,
        link_type: int = LinkType.ETHERNET,
    ) -> Self:
        """Return a batch that holds copies of the given frames, times in Unix nanoseconds."""
        parts = list(frames)
        length = np.array([len(part) for part in parts], np.int64)
        times = np.broadcast_to(np.asarray(time_ns, np.int64), len(parts))
        offset = np.cumsum(length) - length
        buffer = np.frombuffer(b"".join(parts), np.uint8)
        return cls(buffer, offset, length, length, times, link_type)

    @classmethod
    def concat(cls, batches: Sequence[Frames]) -> Frames:
        """Return one batch of all frames in order; all batches must have one link type."""
        full = [batch for batch in batches if len(batch)]
        if len(full) <= 1:
            return full[0] if full else (batches[0] if batches else cls.empty())
        if len({batch.link_type for batch in full}) > 1:
            raise ValueError("frames of different link types cannot be one batch")
        starts = np.cumsum([0] + [len(batch.buffer) for batch in full[:-1]])
        return cls(
            np.concatenate([batch.buffer for batch in full]),
            np.concatenate([b.offset + s for b, s in zip(full, starts, strict=True)]),
            np.concatenate([batch.length for batch in full]),
            np.concatenate([batch.wire_length for batch in full]),
            np.concatenate([batch.time_ns for batch in full]),
            full[0].link_type,
        )

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, index: int) -> bytes:
        start = int(self.offset[index])
        return self.buffer[start : start + int(self.length[index])].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        data = self.buffer.tobytes()
        for start, size in zip(self.offset.tolist(), self.length.tolist(), strict=True):
            yield data[start : start + size]

    def take(self, selection: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Frames:
        """Return the selected frames over the same buffer; no bytes are copied."""
        return Frames(
            self.buffer, self.offset[selection], self.length[selection],
            self.wire_length[selection], self.time_ns[selection], self.link_type,
        )

    def compact(self) -> Frames:
        """Return the same frames in a buffer of their own that holds nothing else."""
        start = np.cumsum(self.length) - self.length
        total = int(self.length.sum())
        source = np.arange(total, dtype=np.int64) + np.repeat(self.offset - start, self.length)
        return Frames(
            self.buffer[source], start, self.length, self.wire_length, self.time_ns, self.link_type,
        )
