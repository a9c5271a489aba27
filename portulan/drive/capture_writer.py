"""Write batches of a capture: one file, or one after the other as they fill."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias, TypeVar

import numpy as np

from portulan.errors import UsageError
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_blocks import Interface, Statistics
from portulan.link.pcapng_copy import PcapngCopier, lost_in_pcap
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.frames import LinkType

from .capture_batch import Batch, Index

Target: TypeAlias = str | os.PathLike[str] | BinaryIO
Made = TypeVar("Made")

COMPRESSED: Final = (".gz", ".xz", ".zst", ".bz2", ".lz4")
"""Suffixes that would promise what we don't do: a compressed file is not whole at every block."""
UNITS: Final = {
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}
SECONDS: Final = {"s": 1, "min": 60, "h": 3600}
FILES_MAX: Final = 100_000
"""Files of one split: names have five digits, and a folder with more helps nobody."""


@dataclass(frozen=True, slots=True)
class Portion:
    """How much goes into one file; 0 = no limit of that kind."""

    size_bytes: int = 0
    packets: int = 0
    span_ns: int = 0


def parse_portion(text: str, *, where: str) -> Portion:
    """Return the portion that `100MB`, `10000packets` or `60s` names."""
    found = re.fullmatch(r"(\d{1,15})\s*([A-Za-z]+)", text.strip())
    count, unit = (int(found[1]), found[2].lower()) if found else (0, "")
    if count and unit in UNITS:
        return Portion(size_bytes=count * UNITS[unit])
    if count and unit in ("packet", "packets"):
        return Portion(packets=count)
    if count and unit in SECONDS and count * SECONDS[unit] < 10**9:
        return Portion(span_ns=count * SECONDS[unit] * 10**9)
    raise UsageError("not a size, a number of packets or a time", text=text, where=where,
                     hint="write 100MB, 10000packets or 60s")


class Writer(Protocol):
    """Takes batches to keep."""

    def write(self, batch: Batch) -> None:
        """Append a batch."""

    def statistics(self, statistics: Statistics) -> None:
        """Note what was counted on an interface, where the format has a place for it."""

    def finish(self) -> int:
        """Return how many packets were written; a file without packets is a capture, too."""

    def close(self) -> None:
        """Close the file."""


class BatchWriter:
    """Writes batches to a capture file of the format its name asks for."""

    def __init__(
        self, target: Target, link_type: int | None, *, interfaces: Sequence[Interface] = (),
    ) -> None:
        self._target = target
        self._link_type = LinkType.ETHERNET if link_type is None else link_type
        self._described = interfaces
        name = os.fspath(target) if isinstance(target, str | os.PathLike) else ""
        if name.endswith(COMPRESSED):
            raise UsageError("captures are written as they are, not compressed", where=name,
                             hint="leave out the last suffix, compress the file afterwards")
        self._plain = name.endswith((".pcap", ".cap"))
        if self._plain and len({each.link_type for each in interfaces}) > 1:
            raise self._several_links()
        self._writer: PcapWriter | PcapngWriter | PcapngCopier | None = None
        self._interfaces: dict[tuple[int, int], int] = {}
        self._before: BatchWriter | None = None
        self.lost: Counter[str] = Counter()
        """What pcap had no place for, by its name."""

    def follow(self, other: BatchWriter) -> None:
        """Write the next file of the same packets: what `other` said of interfaces holds on."""
        self._before = other

    @property
    def packets(self) -> int:
        """Packets written so far."""
        return self._writer.packets if self._writer is not None else 0

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._writer.size_bytes if self._writer is not None else 0

    def write(self, batch: Batch) -> None:
        """Append a batch."""
        frames = batch.frames
        if self._plain:
            writer = self._open(frames.link_type)
            if frames.link_type != self._link_type:
                raise self._several_links()
            assert isinstance(writer, PcapWriter)  # noqa: S101 - tells the type checker
            writer.write(frames)
            self._note_lost(batch)
            return
        if batch.blocks is not None:
            if len(frames) or batch.blocks.between:  # of nothing `finish` makes an empty capture
                self._copier().write(frames.buffer, batch.blocks)
            return
        edges = np.flatnonzero(np.diff(batch.interface)) + 1
        for rows in np.split(np.arange(len(frames)), edges):
            self._run(batch.take(rows))

    def _several_links(self) -> UsageError:
        return UsageError("pcap holds one link type, the packets have several",
                          where=str(self._target), hint="name it .pcapng")

    def statistics(self, statistics: Statistics) -> None:
        """Note what was counted on an interface; pcap has no place for it."""
        writer = self._open(self._link_type)
        if isinstance(writer, PcapngWriter):
            writer.count(statistics)

    def _run(self, batch: Batch) -> None:
        """Append packets of one interface."""
        number, link_type = int(batch.interface[0]), batch.frames.link_type
        name = batch.names[number] if number < len(batch.names) else ""
        writer = self._open(link_type, name)
        assert isinstance(writer, PcapngWriter)  # noqa: S101 - tells the type checker
        key = number, link_type
        if key not in self._interfaces:
            new = bool(self._interfaces)
            self._interfaces[key] = writer.add_interface(name, link_type) if new else 0
        rows = enumerate(batch.numbers.tolist()) if batch.comments else ()
        comments = {row: batch.comments[n] for row, n in rows if n in batch.comments}
        writer.write(batch.frames, comments=comments, interface=self._interfaces[key])

    def _copier(self) -> PcapngCopier:
        if self._writer is None:
            self._writer = self._opened(lambda: PcapngCopier(self._target))
            before = self._before._writer if self._before is not None else None
            if isinstance(before, PcapngCopier):
                self._writer.follow(before)
        assert isinstance(self._writer, PcapngCopier)  # noqa: S101 - tells the type checker
        return self._writer

    def _note_lost(self, batch: Batch) -> None:
        if batch.blocks is not None:
            self.lost.update(f"{name} blocks" for name in lost_in_pcap(batch.blocks.between))
        self.lost["comments"] += sum(n in batch.comments for n in batch.numbers.tolist())
        if len(batch.names) > 1:
            self.lost["interfaces"] = len(batch.names) - 1

    def _opened(self, make: Callable[[], Made]) -> Made:
        try:
            return make()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"cannot be written: {reason}", where=str(self._target)) from None

    def _open(self, link_type: int, name: str = "") -> PcapWriter | PcapngWriter | PcapngCopier:
        if self._writer is None:
            self._link_type = link_type
            self._writer = self._opened(
                lambda: PcapWriter(self._target, link_type=link_type) if self._plain
                else self._described_writer(link_type, name))
        return self._writer

    def _described_writer(self, link_type: int, name: str) -> PcapngWriter:
        """Return a writer that knows the interfaces given at the start, or else one by its name."""
        if not self._described:
            return PcapngWriter(self._target, link_type=link_type, interface=name)
        first, *others = self._described
        writer = PcapngWriter(self._target, link_type=first.link_type, interface=first)
        self._interfaces[0, first.link_type] = 0
        for number, each in enumerate(others, 1):
            self._interfaces[number, each.link_type] = writer.add_interface(each, each.link_type)
        return writer

    def finish(self) -> int:
        """Return how many packets were written; a file without packets is a capture, too."""
        return self._open(self._link_type).packets

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


class Splitter:
    """Writes files NAME-00001.pcapng, NAME-00002.pcapng, ... of a portion each.

    With `keep` only so many of the latest stay: a ring. `ending` is called before a file ends.
    """

    def __init__(
        self, target: str | os.PathLike[str], portion: Portion, make: Callable[[Path], BatchWriter],
        *, keep: int = 0, ending: Callable[[Writer], None] = lambda _: None,
    ) -> None:
        path = Path(target)
        self._stem, self._suffix = path.with_suffix(""), path.suffix or ".pcapng"
        self._portion, self._make, self._keep, self._ending = portion, make, keep, ending
        self._number = self._packets = self._start_ns = 0
        self._writer: BatchWriter | None = None
        self._last: BatchWriter | None = None
        self.lost: Counter[str] = Counter()
        self.files: list[Path] = []
        """Those that are there."""

    def write(self, batch: Batch) -> None:
        """Append a batch, to as many files as it takes."""
        if not len(batch.frames) and batch.blocks is not None and self._writer is not None:
            self._writer.write(batch)  # what comes behind the last packet
        while len(batch.frames):
            if self._writer is None:
                self._begin(int(batch.frames.time_ns[0]))
            rows = np.arange(len(batch.frames))
            fitting = self._fitting(batch)
            if not fitting:
                self._end()
            elif self._writer is not None:
                self._writer.write(batch.take(rows[:fitting]))
                batch = batch.take(rows[fitting:])

    def statistics(self, statistics: Statistics) -> None:
        """Note what was counted, in the present file."""
        if self._writer is None:
            self._begin(0)
        if self._writer is not None:
            self._writer.statistics(statistics)

    def finish(self) -> int:
        """Return how many packets were written to all files."""
        if self._writer is None:
            self._begin(0)
        return self._packets + (self._writer.finish() if self._writer is not None else 0)

    def close(self) -> None:
        """Close the present file."""
        if self._writer is not None:
            self._writer.close()

    def _begin(self, start_ns: int) -> None:
        self._number += 1
        if self._number > FILES_MAX:
            raise UsageError(f"would make more than {FILES_MAX:,} files",
                             where=str(self._stem), hint="choose larger portions")
        path = self._stem.with_name(f"{self._stem.name}-{self._number:05}{self._suffix}")
        last, self._writer, self._start_ns = self._last, self._make(path), start_ns
        if last is not None:
            self._writer.follow(last)
        self.files.append(path)
        while self._keep and len(self.files) > self._keep:
            self.files.pop(0).unlink(missing_ok=True)

    def _end(self) -> None:
        writer = self._writer
        if writer is not None:
            self._ending(writer)
            self.lost += writer.lost
            self._packets += writer.finish()
            writer.close()
            self._last, self._writer = writer, None

    def _fitting(self, batch: Batch) -> int:
        """Return how many packets from the first still go into the present file."""
        writer = self._writer
        if writer is None:
            return 0
        count, limit = len(batch.frames), self._portion
        if limit.packets:
            return min(count, limit.packets - writer.packets)
        if limit.span_ns:
            late = batch.frames.time_ns - self._start_ns >= limit.span_ns
            return int(np.argmax(late)) if late.any() else count
        if not writer.packets:
            return 1  # even if it is too long alone; then the size of the file's head is known
        ends: Index = writer.size_bytes + np.cumsum(batch.block_bytes())
        return int(np.searchsorted(ends, limit.size_bytes, side="right"))
