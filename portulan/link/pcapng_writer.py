"""Write pcapng: whole batches, numbered packets, comments; and take a torn file up again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan import __version__
from portulan.errors import DamageError, UsageError
from portulan.wire.frames import Frames

from .capture_records import equal_lengths, gather, scatter
from .capture_sink import CaptureSink, SinkWriter, Target
from .pcap import not_a_capture
from .pcapng_blocks import (
    COMMENT,
    BlockType,
    Interface,
    SectionOption,
    Statistics,
    pack_interface,
    pack_names,
    pack_options,
    pack_section,
    pack_statistics,
    text_option,
)
from .pcapng_reader import PcapngReader

SNAPLEN = 262_144
"""Bytes a packet: libpcap's own maximum, above any frame Linux hands out whole."""
NANOSECONDS = 9
"""if_tsresol: 10^-9 s, what the kernel's timestamps have."""
SECTION_MAGIC = BlockType.SECTION.to_bytes(4, "big")
BATCH_MAX = 65_536
"""Frames laid out at a time: bounds the copy to a few MiB however large the batch is."""


class PcapngWriter(SinkWriter):
    """A pcapng file that grows by batches; every packet has a number, from 1, as tools count.

    What `write` took is with the operating system when it returns; a write that fails (disk full)
    raises `OSError`, counts nothing and leaves the file as it was before the call.
    """

    def __init__(
        self,
        target: Target,
        *,
        link_type: int,
        interface: str | Interface = "",
        snaplen: int = SNAPLEN,
        application: str = f"Portulan {__version__}",
        comment: str = "",
    ) -> None:
        self._sink = CaptureSink(target)
        self._interfaces: list[Interface] = []
        self._packets = 0
        try:
            self._sink.append(_section(application, comment))
            self.add_interface(interface, link_type, snaplen=snaplen)
        except BaseException:
            self.close()
            raise

    @classmethod
    def reopen(
        cls,
        path: str | os.PathLike[str],
        *,
        link_type: int,
        interface: str = "",
        snaplen: int = SNAPLEN,
        application: str = f"Portulan {__version__}",
        comment: str = "",
    ) -> Self:
        """Take up a file of ours again after a crash: cut its torn end, go on with its numbers.

        The keywords are used where so little is left that they must be written again. Raises
        `UsageError` for a file that is not ours, `DamageError` for damage before the end: nothing
        is cut then.
        """
        found = _survey(path)
        if found is None:
            return cls(
                path, link_type=link_type, interface=interface, snaplen=snaplen,
                application=application, comment=comment,
            )
        writer = cls.__new__(cls)
        writer._sink = CaptureSink(path, append_at=found.sound_bytes)
        writer._interfaces = found.interfaces[found.section_start :]
        writer._packets = found.packets
        if not writer._interfaces:
            writer.add_interface(interface, link_type, snaplen=snaplen)
        return writer

    @property
    def packets(self) -> int:
        """The packets written so far: the number of the last one."""
        return self._packets

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces described so far; their index is what `write` takes."""
        return tuple(self._interfaces)

    def add_interface(
        self, interface: str | Interface, link_type: int, *, snaplen: int = SNAPLEN
    ) -> int:
        """Describe one more interface, by name or in full, and return its id for `write`."""
        if isinstance(interface, str):
            interface = Interface(link_type, snaplen, interface)
        interface = replace(interface, time_resolution=NANOSECONDS, time_offset_s=0)
        self._sink.append(pack_interface(interface))
        self._interfaces.append(interface)
        return len(self._interfaces) - 1

    def write(
        self, frames: Frames, *, comments: Mapping[int, str] | None = None, interface: int = 0
    ) -> int:
        """Append `frames` and return the number of the first: row `i` is packet `first + i`.

        `comments` maps rows to texts. Times before 1970 become 0.
        """
        self._check(frames, comments or {}, interface)
        parts = []
        for start in range(0, len(frames), BATCH_MAX):
            part = frames.take(slice(start, start + BATCH_MAX))
            here = {
                row - start: text for row, text in (comments or {}).items()
                if start <= row < start + BATCH_MAX
            }
            parts.append(packet_blocks(part, here, interface))
        if parts:
            self._sink.append((parts[0] if len(parts) == 1 else np.concatenate(parts)).data)
        first = self._packets + 1
        self._packets += len(frames)
        return first

    def statistics(self, interface: int, received: int, dropped: int, *, time_ns: int = 0) -> None:
        """Note how many packets an interface received, and lost in the kernel, until `time_ns`."""
        self._sink.append(pack_statistics(Statistics(interface, time_ns, received, dropped)))

    def count(self, statistics: Statistics) -> None:
        """Note all that was counted on an interface."""
        self._sink.append(pack_statistics(statistics))

    def names(self, names: Mapping[str, Sequence[str]]) -> None:
        """Note the names of addresses, so that readers show them without asking a resolver."""
        if names:
            self._sink.append(pack_names(names))

    def _check(self, frames: Frames, comments: Mapping[int, str], interface: int) -> None:
        if not 0 <= interface < len(self._interfaces):
            raise ValueError(f"no interface {interface}: {len(self._interfaces)} are described")
        expected = self._interfaces[interface].link_type
        if len(frames) and frames.link_type != expected:
            raise ValueError(
                f"frames of link type {frames.link_type} on an interface of link type {expected}"
            )
        if any(not 0 <= row < len(frames) for row in comments):
            raise ValueError(f"a comment for a row outside the batch of {len(frames)} frames")


def _section(application: str, comment: str) -> bytes:
    system = os.uname()
    return pack_section({
        COMMENT: comment,
        SectionOption.HARDWARE: system.machine,
        SectionOption.OS: f"{system.sysname} {system.release}",
        SectionOption.APPLICATION: application,
    })


def packet_blocks(
    frames: Frames, comments: Mapping[int, str], interface: int
) -> NDArray[np.uint8]:
    """Return the enhanced packet blocks of a batch, end to end."""
    options = {row: pack_options([text_option(COMMENT, text)]) for row, text in comments.items()}
    size = 32 + (frames.length + 3 & ~3)
    for row, packed in options.items():
        size[row] += len(packed)
    plain = np.ones(len(frames), np.bool_)
    plain[list(options)] = False
    groups = list(equal_lengths(np.where(plain, frames.length, -1)))
    if len(groups) == 1 and not options:
        return _uniform_blocks(frames, groups[0][1], interface).reshape(-1)
    start = np.cumsum(size) - size
    out = np.empty(int(size.sum()), np.uint8)
    for length, rows in groups:
        if length >= 0:
            scatter(out, start[rows], _uniform_blocks(frames, rows, interface))
    for row, packed in options.items():
        alone = np.array([row])
        scatter(out, start[alone], _uniform_blocks(frames, alone, interface, packed))
    return out


def _uniform_blocks(
    frames: Frames, rows: NDArray[np.int64], interface: int, options: bytes = b""
) -> NDArray[np.uint8]:
    """Return one block a row (rows, size) for frames of equal length and equal options."""
    length = int(frames.length[rows[0]])
    padded = length + 3 & ~3
    size = 32 + padded + len(options)
    blocks = np.zeros((len(rows), size), np.uint8)
    words = blocks.view("<u4")
    ticks = np.maximum(frames.time_ns[rows], 0)
    words[:, 0] = BlockType.ENHANCED_PACKET
    words[:, 1] = words[:, -1] = size
    words[:, 2] = interface
    words[:, 3] = ticks >> 32
    words[:, 4] = ticks & 0xFFFFFFFF
    words[:, 5] = length
    words[:, 6] = frames.wire_length[rows]
    blocks[:, 28 : 28 + length] = gather(frames, rows, length)
    if options:
        blocks[:, 28 + padded : -4] = np.frombuffer(options, np.uint8)
    return blocks


def _survey(path: str | os.PathLike[str]) -> PcapngReader | None:
    """Return a reader that has read a file of ours to its end; None if there is nothing to keep."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        return None
    if not SECTION_MAGIC.startswith(head[:4]):
        raise not_a_capture(head, os.fspath(path))  # a compressed one, too, cannot be continued
    if len(head) < 12:
        return None
    with PcapngReader(path) as reader:
        for _ in reader:
            pass
    if reader.damage and not reader.torn and not _only_zeros(path, reader.sound_bytes):
        raise DamageError(f"{os.fspath(path)}: {reader.damage}; what follows was left alone")
    _check_ours(reader, os.fspath(path))
    return reader if reader.sections else None


def _only_zeros(path: str | os.PathLike[str], at: int) -> bool:
    """Return whether zeros follow: what some file systems leave where a machine lost power."""
    with Path(path).open("rb") as file:
        file.seek(at)
        return all(not any(piece) for piece in iter(lambda: file.read(1 << 20), b""))


def _check_ours(reader: PcapngReader, name: str) -> None:
    present = reader.interfaces[reader.section_start :]
    if any(section.order != "<" for section in reader.sections[-1:]):
        raise UsageError("cannot be continued: its byte order is not ours", where=name)
    if any(i.time_resolution != NANOSECONDS or i.time_offset_s for i in present):
        raise UsageError("cannot be continued: its times are not in nanoseconds", where=name)
