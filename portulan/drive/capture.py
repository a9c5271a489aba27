"""A capture file as columns, as batches, or packet by packet; bounded memory at any size.

>>> import io
>>> from portulan.link.pcap import PcapWriter
>>> from portulan.wire import IPv4, TCP, Frames
>>> frames = Frames.of([(IPv4() / TCP(dport=80)).pack()], link_type=101)
>>> file = io.BytesIO()
>>> PcapWriter(file, link_type=101).write(frames)
1
>>> _ = file.seek(0)
>>> Capture(file).summary()
<TCP:1 UDP:0 ICMP:0 Other:0>
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, overload

import numpy as np

from portulan.errors import UsageError
from portulan.link.capture_source import Origin
from portulan.link.captures import open_capture
from portulan.link.pcap import PcapReader
from portulan.link.pcapng_copy import Blocks
from portulan.link.pcapng_packets import PcapngFrames
from portulan.link.pcapng_reader import PcapngReader
from portulan.target.ports import parse_ports
from portulan.wire.columns import FROM_CAPTURE, check_names, dtype_of
from portulan.wire.frames import Frames, LinkType
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import locate
from portulan.wire.shown import Table

from .capture_batch import Batch, CapturedPacket
from .capture_writer import BatchWriter, Portion, Splitter, Target

__all__ = ["Batch", "Capture", "CapturedPacket", "Summary", "service_port"]

SHOWN_MAX: Final = 10
"""Packets that a shell shows of a capture: the rest is asked for by `capture[10:20]`."""
Step = Callable[[Batch], Batch]
"""Makes another batch of one: some of its rows, or other bytes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How many packets carry what."""

    tcp: int
    udp: int
    icmp: int
    """Of both IP versions."""
    other: int

    def __repr__(self) -> str:
        return f"<TCP:{self.tcp} UDP:{self.udp} ICMP:{self.icmp} Other:{self.other}>"


class Capture:
    """The packets of a capture file; each use reads the file again, a pipe can be read once.

    `capture[10:20]` and `capture.filter(...)` are captures, too, read when used.
    """

    named = False
    """Whether a line about a packet says on which interface it passed."""

    def __init__(self, origin: Origin) -> None:
        reader = open_capture(origin)
        self._origin = origin
        self._steps: tuple[Callable[[], Step], ...] = ()
        self._unread: list[PcapReader | PcapngReader] = []
        """A stream not read yet, shared with the captures made of this one."""
        if self.rereadable:
            reader.close()
        else:
            self._unread.append(reader)
        self.format: str = reader.format
        """`pcap` or `pcapng`."""
        self.link_type: int | None = reader.link_type
        """How the first frames begin; None if the file does not say."""
        self.damage: str | None = None
        """What ended the packets before the file did, once they were read; None if nothing did."""
        self.lost: dict[str, int] = {}
        """What `write` left out because pcap has no place for it: how many of what."""
        self._count: int | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield the chosen packets in batches of one link type and of bounded size."""
        for batch in self._chosen():
            if len(batch.frames):
                yield batch

    def _chosen(self) -> Iterator[Batch]:
        """Yield the batches; those without packets may carry other blocks of a pcapng."""
        steps = [make() for make in self._steps]
        for whole in self._read():
            batch = whole
            for step in steps:
                batch = step(batch)
            yield batch
            if any(isinstance(step, _Slice) and step.done for step in steps):
                break  # what comes behind cannot be chosen

    def _read(self) -> Iterator[Batch]:
        """Yield all packets, and what lies behind the last one."""
        reader = self._unread.pop() if self._unread else self._reopen()
        first, names = 1, list[str]()
        with reader:
            for frames in reader.frames():
                if isinstance(reader, PcapngReader):
                    names += [each.name for each in reader.interfaces[len(names) :]]
                yield _batch(frames, first, names)
                first += len(frames)
            self.damage = reader.damage
            if isinstance(reader, PcapngReader):
                none = np.empty(0, np.int64)
                rest = Blocks(none, none, between=reader.between())
                yield Batch(Frames.empty(reader.link_type or LinkType.ETHERNET), none, none,
                            blocks=rest)

    @property
    def rereadable(self) -> bool:
        """Whether the packets can be read more than once."""
        # A path may lead to a pipe: /dev/stdin, or what a shell makes of <(zcat a.gz).
        origin = self._origin
        return isinstance(origin, str | os.PathLike) and origin != "-" and Path(origin).is_file()

    def _reopen(self) -> PcapReader | PcapngReader:
        if not self.rereadable:
            raise UsageError("a stream can be read only once", where="capture",
                             hint="save it to a file first")
        return open_capture(self._origin)

    def frames(self) -> Iterator[Frames]:
        """Yield the packets as batches of frames."""
        for batch in self.batches():
            yield batch.frames

    def columns(self, *names: str) -> Table:
        """Return one masked array a field, one value a packet (`ip.src`, `tcp.dport`, ...).

        Raises `UsageError` for a name that is no field.
        """
        check_names(names)
        parts = [batch.columns(names) for batch in self.batches()]
        if not parts:
            return Table(
                (name, np.ma.masked_array(np.empty(0, dtype_of(name)))) for name in names)
        return Table(
            (name, np.ma.concatenate([part[name] for part in parts]))  # type: ignore[no-untyped-call]
            for name in names)

    def __iter__(self) -> Iterator[CapturedPacket]:
        for batch in self.batches():
            yield from batch.packets()

    def __len__(self) -> int:
        if not self.rereadable:  # `list(capture)` asks, and would get what is left: nothing
            raise TypeError("a stream has no length: count its packets as they are read")
        if self._count is None:
            self._count = sum(map(len, self.frames()))
        return self._count

    @overload
    def __getitem__(self, which: int) -> CapturedPacket: ...
    @overload
    def __getitem__(self, which: slice) -> Capture: ...
    def __getitem__(self, which: int | slice) -> CapturedPacket | Capture:
        """Return a packet by its place from 0, or a capture of a range of them."""
        if isinstance(which, slice):
            if (which.step or 1) < 0:
                raise UsageError("a capture is read forwards", text=str(which.step), where="step")
            ends = (which.start or 0, which.stop or 0)
            places = which.indices(len(self) if min(ends) < 0 else sys.maxsize)
            return self._stepped(lambda: _Slice(*places))
        which += len(self) if which < 0 else 0
        for packet in self[which : which + 1] if which >= 0 else ():
            return packet
        raise IndexError(f"no packet {which}: the capture ends before")

    def filter(self, text: str) -> Capture:
        """Return a capture of the packets that a filter accepts, see `wire.filter`.

        Raises `UsageError` for a filter that cannot be read or that no packet can match.
        """
        from portulan.wire.filter import compile_filter

        for name in FROM_CAPTURE:
            if name in text:
                raise UsageError("is no field that filters know", text=name, where="filter",
                                 hint="show it with --fields")
        link_type = LinkType.ETHERNET if self.link_type is None else self.link_type
        filters = {link_type: compile_filter(text, link_type, services=service_port, saved=True)}

        def chosen(batch: Batch) -> Batch:
            if not len(batch.frames):
                return batch
            kind = batch.frames.link_type
            if kind not in filters:
                try:
                    filters[kind] = compile_filter(text, kind, services=service_port, saved=True)
                except UsageError:
                    return batch.take(np.empty(0, np.int64))  # none can match on this other link
            return batch.take(np.flatnonzero(filters[kind].mask(batch.frames)))

        return self._stepped(lambda: chosen)

    def sanitise(self, key: str | bytes | None = None) -> Capture:
        """Return a capture with other addresses, see `wire.sanitise`; the same key, the same ones.

        Without a key nobody, not even you, gets the same ones again. Comments, names, secrets and
        interface addresses of a pcapng are left out.
        """
        from portulan.wire.sanitise import Sanitiser

        raw = key.encode() if isinstance(key, str) else key
        sanitiser = Sanitiser(secrets.token_bytes(32) if raw is None else raw)
        return self._stepped(lambda: lambda batch: Batch(
            sanitiser.frames(batch.frames).frames, batch.numbers, batch.interface, batch.names))

    def fix_checksums(self) -> Capture:
        """Return a capture whose checksums are right where they can be computed."""
        from portulan.wire.repair import repair

        return self._stepped(lambda: lambda batch: replace(
            batch, frames=repair(batch.frames).frames))

    def _stepped(self, step: Callable[[], Step]) -> Capture:
        stepped = copy(self)
        stepped._steps = (*self._steps, step)
        stepped._count = None
        return stepped

    def summary(self) -> Summary:
        """Return how many packets carry TCP, UDP, ICMP and anything else."""
        counts = np.zeros(256, np.int64)
        total = 0
        for frames in self.frames():
            at = locate(frames)
            counts += np.bincount(at.protocol[at.family != 0], minlength=256)
            total += len(frames)
        tcp, udp = int(counts[IpProtocol.TCP]), int(counts[IpProtocol.UDP])
        icmp = int(counts[IpProtocol.ICMP] + counts[IpProtocol.ICMPV6])
        return Summary(tcp, udp, icmp, total - tcp - udp - icmp)

    def write(self, target: Target, *, split: Portion | None = None) -> int:
        """Write the packets to a pcapng file, or to pcap if its name says so; return how many.

        Times, interfaces and comments go along; `split` makes several files of it. Raises
        `UsageError` for the file that is read.
        """
        if isinstance(target, str | os.PathLike):
            self._check_target(Path(target))
        writer = self._writer(target, split)
        try:
            for batch in self._chosen():
                if len(batch.frames) or batch.blocks is not None:
                    writer.write(batch)
            return writer.finish()
        finally:
            writer.close()
            self.lost = dict(writer.lost)

    def _writer(self, target: Target, split: Portion | None) -> BatchWriter | Splitter:
        if split is None:
            return BatchWriter(target, self.link_type)
        if not isinstance(target, str | os.PathLike):
            raise UsageError("several files need a name", where="split", hint="-w NAME.pcapng")
        return Splitter(target, split, lambda path: BatchWriter(path, self.link_type))

    def _check_target(self, target: Path) -> None:
        origin = self._origin
        if not isinstance(origin, str | os.PathLike) or not self.rereadable or not target.exists():
            return
        if target.samefile(origin):
            raise UsageError("would overwrite the capture that is read", where=str(target))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401 - IPython's own
        printer.text(repr(self))
        if self.rereadable:
            for packet in self[:SHOWN_MAX]:
                printer.text(f"\n{packet.number:>5} {packet}")
            printer.text("\n      …" * any(True for _ in self[SHOWN_MAX : SHOWN_MAX + 1]))

    def __repr__(self) -> str:
        return f"<capture {os.fspath(self._origin)!r}, {self.format}>" if isinstance(
            self._origin, str | os.PathLike) else f"<capture, {self.format}>"


def service_port(name: str, protocol: str) -> int | None:
    """Return the port of a service by its name, None if it has none."""
    try:
        found = parse_ports(f"{protocol[0].upper()}:{name}", protocols=(protocol,))
    except UsageError:
        return None
    return next(iter(getattr(found, protocol)), None)


class _Slice:
    """Chooses places start, start + step, ... before stop, across batches."""

    def __init__(self, start: int, stop: int, step: int) -> None:
        self._start, self._stop, self._step = start, stop, step
        self._seen = 0
        self.done = stop <= start

    def __call__(self, batch: Batch) -> Batch:
        place = self._seen + np.arange(len(batch.frames), dtype=np.int64)
        self._seen += len(batch.frames)
        self.done = self._seen >= self._stop
        wanted = (place >= self._start) & (place < self._stop)
        return batch.take(np.flatnonzero(wanted & ((place - self._start) % self._step == 0)))


def _batch(frames: Frames, first: int, names: Sequence[str]) -> Batch:
    numbers = np.arange(first, first + len(frames), dtype=np.int64)
    if isinstance(frames, PcapngFrames):
        return Batch(frames, numbers, frames.interface, names, frames.comments, frames.blocks)
    return Batch(frames, numbers, np.zeros(len(frames), np.int64))
