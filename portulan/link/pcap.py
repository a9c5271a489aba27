"""The pcap format: one link type, micro- or nanoseconds, 16 bytes before each packet.

Source: draft-ietf-opsawg-pcap.

>>> import io
>>> from portulan.wire.frames import Frames
>>> file = io.BytesIO()
>>> PcapWriter(file, link_type=1).write(Frames.of([b"one", b"two"], [5, 7]))
1
>>> _ = file.seek(0)
>>> [list(batch) for batch in PcapReader(file)]
[[b'one', b'two']]
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.frames import Frames

from .capture_records import equal_lengths, gather, records_at, scatter
from .capture_sink import CaptureSink, SinkWriter, Target
from .capture_source import Origin, Window
from .record_walk import Mark, Shape, walk

MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
FOREIGN = {
    0xA1B2CD34: "Kuznetzov's pcap",
    0xA1B234CD: "Mesquita's pcap",
    0xA12B3C4D: "Navtel's pcap",
}
"""Formats that share pcap's name but not its record header: libpcap lists them as taken."""
HEADER_BYTES, RECORD_BYTES = 24, 16
PACKET_MAX = 262_144
"""Bytes kept of a packet: libpcap's MAXIMUM_SNAPLEN. A larger number is damage, not a packet."""
SNAPLEN = PACKET_MAX
BATCH_MAX = 65_536
"""Frames laid out at a time when writing."""
TIME_MAX_S = 0xFFFF_FFFF
"""pcap's seconds have 32 bits: they end in 2106."""


class PcapReader:
    """The packets of a pcap file, in batches of bounded size.

    Damage is data: all whole packets come out, then `damage` says what is wrong and at which byte.
    A file that is no pcap at all raises `UsageError` at once.
    """

    format = "pcap"

    def __init__(self, origin: Origin | Window) -> None:
        self._window = origin if isinstance(origin, Window) else Window(origin)
        self.damage: str | None = None
        self.packets = 0
        """Packets yielded so far."""
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        window = self._window
        window.reach(HEADER_BYTES)
        head = window.view[:HEADER_BYTES].tobytes()
        order, unit_ns = _byte_order(head, window.name)
        if len(head) < HEADER_BYTES:
            raise UsageError(
                f"the pcap header is cut: {len(head)} of {HEADER_BYTES} bytes", where=window.name
            )
        major, minor, _, _, snaplen, link = struct.unpack(order + "HHIIII", head[4:])
        if (major, minor) < (2, 4) or major > 2:
            raise UsageError(f"pcap version {major}.{minor} is not 2.4", where=window.name)
        self._order, self._unit_ns = order, unit_ns
        self.snaplen: int = snaplen
        """What the header claims; writers lie, so nothing depends on it."""
        self.link_type: int = link & 0xFFFF
        self.fcs_bytes: int | None = (link >> 28) * 2 if link & 0x0400_0000 else None
        """Bytes of frame check sequence at each frame's end; None = the file does not say."""
        window.skip(HEADER_BYTES)

    @property
    def nanoseconds(self) -> bool:
        """Whether times have nanoseconds."""
        return self._unit_ns == 1

    def __iter__(self) -> Iterator[Frames]:
        return self.frames()

    def frames(self) -> Iterator[Frames]:
        """Yield the packets in batches; a pipe's come as soon as they are there."""
        while True:
            batch = self._batch()
            if len(batch):
                yield batch
            if self.damage is not None or not self._window.more():
                break
        if self.damage is None:
            self._end()

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

    def _batch(self) -> Frames:
        """Return the whole packets that are in the window; none if it ends within the first."""
        data = self._window.view
        shape = Shape(self._order, RECORD_BYTES, length_at=8, extra=RECORD_BYTES)
        start = walk(data, shape, _mark(data, self._order))
        columns = records_at(data, start, RECORD_BYTES).view(self._order + "u4")
        seconds, fraction, length, wire = columns.reshape(-1, 4).T.astype(np.int64)
        end = start + RECORD_BYTES + length
        whole = int(np.argmin(np.append((length <= PACKET_MAX) & (end <= len(data)), False)))
        if whole < len(start) and length[whole] > PACKET_MAX:
            self._damaged(
                int(start[whole]), whole,
                f"claims {int(length[whole]):,} bytes, more than any ({PACKET_MAX:,})",
            )
        if not whole:
            return Frames.empty(self.link_type)
        used = int(end[whole - 1])
        self._window.skip(used)
        self.packets += whole
        return Frames(
            data[:used], start[:whole] + RECORD_BYTES, length[:whole],
            np.maximum(wire, length)[:whole],
            (seconds * 1_000_000_000 + fraction * self._unit_ns)[:whole], self.link_type,
        )

    def _end(self) -> None:
        left = len(self._window)
        if self._window.fault:
            self._damaged(left, 0, f"cannot be read on: {self._window.fault}")
        elif left:
            self._damaged(0, 0, f"is cut: only {left:,} bytes of it are there")

    def _damaged(self, at: int, ahead: int, reason: str) -> None:
        """Note what is wrong with the packet `ahead` of the next one, `at` bytes from here."""
        self.damage = (
            f"byte {self._window.position + at}: packet {self.packets + ahead + 1} {reason}"
        )


class PcapWriter(SinkWriter):
    """A pcap file that grows by batches; packets are numbered from 1, as tools count.

    What `write` took is with the operating system when it returns; a write that fails (disk full)
    raises `OSError`, counts nothing and leaves the file as it was before the call.
    """

    def __init__(
        self, target: Target, *, link_type: int, nanoseconds: bool = True, snaplen: int = SNAPLEN
    ) -> None:
        self._sink = CaptureSink(target)
        self._link_type = link_type
        self._unit_ns = 1 if nanoseconds else 1000
        self._packets = 0
        magic = NANOSECONDS if nanoseconds else MICROSECONDS
        try:
            self._sink.append(struct.pack("<IHHIIII", magic, 2, 4, 0, 0, snaplen, link_type))
        except BaseException:
            self.close()
            raise

    @property
    def packets(self) -> int:
        """The packets written so far: the number of the last one."""
        return self._packets

    def write(self, frames: Frames) -> int:
        """Append `frames` and return the number of the first.

        Times outside 1970..2106 become the nearest pcap can hold.
        """
        if len(frames) and frames.link_type != self._link_type:
            raise ValueError(
                f"frames of link type {frames.link_type} in a pcap of link type {self._link_type}"
            )
        parts = [
            _records(frames.take(slice(start, start + BATCH_MAX)), self._unit_ns)
            for start in range(0, len(frames), BATCH_MAX)
        ]
        if parts:
            self._sink.append((parts[0] if len(parts) == 1 else np.concatenate(parts)).data)
        first = self._packets + 1
        self._packets += len(frames)
        return first


def _byte_order(head: bytes, name: str) -> tuple[str, int]:
    """Return the byte order and the nanoseconds in a unit of time, by the magic number."""
    for order in ("<", ">"):
        magic = struct.unpack(order + "I", head[:4])[0] if len(head) >= 4 else 0
        if magic in (MICROSECONDS, NANOSECONDS):
            return order, 1 if magic == NANOSECONDS else 1000
        if magic in FOREIGN:
            raise UsageError(
                f"{FOREIGN[magic]} is not supported", where=name,
                hint="convert it: editcap -F pcapng FILE NEW",
            )
    raise not_a_capture(head, name)


def not_a_capture(head: bytes, name: str) -> UsageError:
    """Return the error that says what a file begins with instead of a capture."""
    if not head:
        return UsageError("not a capture: the file is empty", where=name)
    return UsageError(
        f"not a capture (pcap or pcapng, plain, gzip or xz): begins with {head[:8].hex(' ')}",
        text=head[:8].decode("latin-1"), where=name,
    )


def _mark(data: NDArray[np.uint8], order: str) -> Mark | None:
    """Return what the first record and those of the same day have in common."""
    high, low, size = (3, 2, 11) if order == "<" else (0, 1, 8)
    if len(data) < RECORD_BYTES or not (data[high] or data[low]):  # like the zeros of any packet
        return None
    return Mark({high: int(data[high]), low: int(data[low]), size: 0})


def _records(frames: Frames, unit_ns: int) -> NDArray[np.uint8]:
    """Return a batch's records, end to end."""
    groups = list(equal_lengths(frames.length))
    if len(groups) == 1:
        return _uniform_records(frames, groups[0][1], unit_ns).reshape(-1)
    size = frames.length + RECORD_BYTES
    start = np.cumsum(size) - size
    out = np.empty(int(size.sum()), np.uint8)
    for _, rows in groups:
        scatter(out, start[rows], _uniform_records(frames, rows, unit_ns))
    return out


def _uniform_records(frames: Frames, rows: NDArray[np.int64], unit_ns: int) -> NDArray[np.uint8]:
    """Return one record a row (rows, size) for frames of equal length."""
    length = int(frames.length[rows[0]])
    header = np.empty((len(rows), 4), "<u4")
    seconds, rest_ns = np.divmod(frames.time_ns[rows], 1_000_000_000)
    header[:, 0] = np.clip(seconds, 0, TIME_MAX_S)
    header[:, 1] = rest_ns // unit_ns
    header[:, 2] = length
    header[:, 3] = frames.wire_length[rows]
    return np.hstack([header.view(np.uint8), gather(frames, rows, length)])
