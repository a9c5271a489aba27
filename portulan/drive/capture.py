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

# ruff: noqa: ANN401 - columns hold what their fields are: numbers, texts, lists.

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.capture_source import Origin
from portulan.link.captures import open_capture
from portulan.link.pcap import PcapReader, PcapWriter
from portulan.link.pcapng_packets import PcapngFrames
from portulan.link.pcapng_reader import PcapngReader
from portulan.link.pcapng_writer import PcapngWriter
from portulan.target.ports import parse_ports
from portulan.wire.columns import Masked, check_names, dtype_of, numbered
from portulan.wire.dissect import Dissection, Layer, dissect
from portulan.wire.frames import Frames, LinkType
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import locate
from portulan.wire.text import line

Index = NDArray[np.int64]
Choice = Callable[["Batch"], Index]
"""Says which rows of a batch are wanted, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames of a capture, each with its number in the file."""

    frames: Frames
    numbers: Index
    interface: Index
    """Index into `names` of the interface each came from."""
    names: tuple[str, ...] = ("",)
    comments: Mapping[int, str] = field(default_factory=dict)
    """By packet number."""

    def take(self, rows: Index) -> Batch:
        """Return some of the rows; no bytes are copied."""
        return Batch(
            self.frames.take(rows), self.numbers[rows], self.interface[rows], self.names,
            self.comments)

    def packets(self) -> Iterator[CapturedPacket]:
        """Yield the packets one by one."""
        frames = self.frames
        times, lengths = frames.time_ns.tolist(), frames.wire_length.tolist()
        for octets, number, time_ns, length in zip(
            frames, self.numbers.tolist(), times, lengths, strict=True
        ):
            yield CapturedPacket(octets, number=number, time_ns=time_ns, length=length,
                                 link_type=frames.link_type)


class CapturedPacket:
    """One packet of a capture, dissected when first asked: `packet["ip.src"]`."""

    def __init__(
        self, octets: bytes, *, number: int, time_ns: int, length: int, link_type: int
    ) -> None:
        self.octets, self.number, self.time_ns = octets, number, time_ns
        self.length, self.link_type = length, link_type

    @cached_property
    def dissection(self) -> Dissection:
        """What it holds, how far that could be read, and why no further."""
        return dissect(self.octets, self.link_type)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its headers, outermost first."""
        return self.dissection.layers

    def get(self, name: str) -> Any:
        """Return the first value of a field; None if the packet has none."""
        own = {"frame.number": self.number, "frame.time_ns": self.time_ns,
               "frame.length": self.length, "frame.captured": len(self.octets)}
        return own[name] if name in own else self.dissection.get(name)

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            check_names([name])
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __bytes__(self) -> bytes:
        return self.octets

    def __len__(self) -> int:
        return len(self.octets)

    def __str__(self) -> str:
        return line(self.octets, self.link_type)

    def __repr__(self) -> str:
        return f"<packet {self.number}: {self}>"


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

    def __init__(self, origin: Origin) -> None:
        reader = open_capture(origin)
        self._origin = origin
        self._choices: tuple[Callable[[], Choice], ...] = ()
        self._unread: list[PcapReader | PcapngReader] = []
        """A stream not read yet, shared with the captures made of this one."""
        if self._again:
            reader.close()
        else:
            self._unread.append(reader)
        self.format: str = reader.format
        """`pcap` or `pcapng`."""
        self.link_type: int | None = reader.link_type
        """How the first frames begin; None if the file does not say."""
        self.damage: str | None = None
        """What ended the packets before the file did, once they were read; None if nothing did."""
        self._count: int | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield the chosen packets in batches of one link type and of bounded size."""
        choices = [make() for make in self._choices]
        reader = self._unread.pop() if self._unread else self._reopen()
        first = 1
        with reader:
            for frames in reader.frames():
                batch = _batch(reader, frames, first)
                first += len(frames)
                for choice in choices:
                    batch = batch.take(choice(batch))
                if len(batch.frames):
                    yield batch
                if any(isinstance(choice, _Slice) and choice.done for choice in choices):
                    break  # what comes behind cannot be chosen
            self.damage = reader.damage

    @property
    def _again(self) -> bool:
        """Whether the file can be opened again."""
        return isinstance(self._origin, str | os.PathLike) and self._origin != "-"

    def _reopen(self) -> PcapReader | PcapngReader:
        if not self._again:
            raise UsageError("a stream can be read only once", where="capture",
                             hint="save it to a file first")
        return open_capture(self._origin)

    def frames(self) -> Iterator[Frames]:
        """Yield the packets as batches of frames."""
        for batch in self.batches():
            yield batch.frames

    def columns(self, *names: str) -> dict[str, Masked]:
        """Return one masked array a field, one value a packet (`ip.src`, `tcp.dport`, ...).

        Raises `UsageError` for a name that is no field.
        """
        check_names(names)
        parts = [numbered(batch.frames, names, batch.numbers) for batch in self.batches()]
        if not parts:
            return {name: np.ma.masked_array(np.empty(0, dtype_of(name))) for name in names}
        return {
            name: np.ma.concatenate([part[name] for part in parts])  # type: ignore[no-untyped-call]
            for name in names
        }

    def __iter__(self) -> Iterator[CapturedPacket]:
        for batch in self.batches():
            yield from batch.packets()

    def __len__(self) -> int:
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
            return self._chosen(lambda: _Slice(*places))
        which += len(self) if which < 0 else 0
        for packet in self[which : which + 1] if which >= 0 else ():
            return packet
        raise IndexError(f"no packet {which}: the capture ends before")

    def filter(self, text: str) -> Capture:
        """Return a capture of the packets that a filter accepts, see `wire.filter`.

        Raises `UsageError` for a filter that cannot be read or that no packet can match.
        """
        from portulan.wire.filter import compile_filter

        link_type = LinkType.ETHERNET if self.link_type is None else self.link_type
        filters = {link_type: compile_filter(text, link_type, services=service_port)}

        def chosen(batch: Batch) -> Index:
            kind = batch.frames.link_type
            if kind not in filters:
                try:
                    filters[kind] = compile_filter(text, kind, services=service_port)
                except UsageError:
                    return np.empty(0, np.int64)  # none can match on this other link
            return np.flatnonzero(filters[kind].mask(batch.frames))

        return self._chosen(lambda: chosen)

    def _chosen(self, choice: Callable[[], Choice]) -> Capture:
        chosen = copy(self)
        chosen._choices = (*self._choices, choice)
        chosen._count = None
        return chosen

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

    def write(self, target: str | os.PathLike[str] | BinaryIO) -> int:
        """Write the packets to a pcapng file, or to pcap if its name says so; return how many.

        Times, interfaces and comments go along. Raises `UsageError` for the file that is read.
        """
        if isinstance(target, str | os.PathLike):
            self._check_target(Path(target))
        writer = _Writer(target, self.link_type)
        try:
            for batch in self.batches():
                writer.write(batch)
            return writer.finish()
        finally:
            writer.close()

    def _check_target(self, target: Path) -> None:
        origin = self._origin
        if not isinstance(origin, str | os.PathLike) or not self._again or not target.exists():
            return
        if target.samefile(origin):
            raise UsageError("would overwrite the capture that is read", where=str(target))

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

    def __call__(self, batch: Batch) -> Index:
        place = self._seen + np.arange(len(batch.frames), dtype=np.int64)
        self._seen += len(batch.frames)
        self.done = self._seen >= self._stop
        wanted = (place >= self._start) & (place < self._stop)
        return np.flatnonzero(wanted & ((place - self._start) % self._step == 0))


def _batch(reader: PcapReader | PcapngReader, frames: Frames, first: int) -> Batch:
    numbers = np.arange(first, first + len(frames), dtype=np.int64)
    if isinstance(frames, PcapngFrames) and isinstance(reader, PcapngReader):
        names = tuple(interface.name for interface in reader.interfaces)
        return Batch(frames, numbers, frames.interface, names, frames.comments)
    return Batch(frames, numbers, np.zeros(len(frames), np.int64))


class _Writer:
    """Writes batches to a capture file of the format its name asks for."""

    def __init__(
        self, target: str | os.PathLike[str] | BinaryIO, link_type: int | None
    ) -> None:
        self._target = target
        self._link_type = LinkType.ETHERNET if link_type is None else link_type
        name = os.fspath(target) if isinstance(target, str | os.PathLike) else ""
        self._plain = name.endswith((".pcap", ".cap"))
        self._writer: PcapWriter | PcapngWriter | None = None
        self._interfaces: dict[tuple[int, int], int] = {}

    def write(self, batch: Batch) -> None:
        """Append a batch."""
        frames = batch.frames
        if self._plain:
            writer = self._open(frames.link_type)
            if frames.link_type != self._link_type:
                raise UsageError("pcap holds one link type, the packets have several",
                                 where=str(self._target), hint="name it .pcapng")
            assert isinstance(writer, PcapWriter)  # noqa: S101 - tells the type checker
            writer.write(frames)
            return
        edges = np.flatnonzero(np.diff(batch.interface)) + 1
        for rows in np.split(np.arange(len(frames)), edges):
            self._run(batch.take(rows))

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

    def _open(self, link_type: int, name: str = "") -> PcapWriter | PcapngWriter:
        if self._writer is None:
            self._link_type = link_type
            try:
                self._writer = (
                    PcapWriter(self._target, link_type=link_type) if self._plain
                    else PcapngWriter(self._target, link_type=link_type, interface=name))
            except OSError as error:
                reason = error.strerror or str(error)
                raise UsageError(f"cannot be written: {reason}", where=str(self._target)) from None
        return self._writer

    def finish(self) -> int:
        """Return how many packets were written; a file without packets is a capture, too."""
        return self._open(self._link_type).packets

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
