"""Capture from an interface: the same columns, batches and packets as from a file.

The kernel filters where classic BPF can say it. It takes VLAN tags out of frames before a filter
sees them, so frames with a tag pass there and are judged here, tag restored: a filter accepts live
what it accepts of the file written at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import LimitError, PeerError, UsageError
from portulan.link.device import ARPHRD_LOOPBACK, device_up
from portulan.link.interfaces import interface as interface_named
from portulan.link.packet import PacketLink
from portulan.link.packet_socket import BPF_MAXINSNS, Program
from portulan.link.pcapng_blocks import Interface, Statistics
from portulan.link.pcapng_writer import SNAPLEN
from portulan.link.ring_rx import BLOCKS, RETIRE_MS
from portulan.wire.filter import Filter, compile_filter
from portulan.wire.frames import Frames, LinkType

from .capture import Capture, service_port
from .capture_batch import Batch
from .capture_writer import BatchWriter, Portion, Splitter, Target, Writer
from .clock import Clock

LOOK_NS: Final = 100_000_000
"""How long a request to stop may go unseen: nothing a person notices."""
RING_BLOCKS: Final = 2 * BLOCKS
"""64 MiB of kernel memory: two thirds of a second of small frames at line rate, while we print or
the disk makes us wait."""
LAST_LOOKS: Final = 64
"""Calls of `receive` after the end, 8 MiB each: a whole ring, but not an endless flood."""
DURATION_MAX_S: Final = 10 * 365 * 86_400

# linux/filter.h: SKF_AD_OFF (-0x1000) + SKF_AD_VLAN_TAG_PRESENT, loaded as a word
LOAD_TAG_PRESENT: Final = (0x20, 0, 0, 0xFFFFF000 + 48)
SKIP_ONE_IF_ZERO: Final = (0x15, 1, 0, 0)
ACCEPT: Final = (0x06, 0, 0, SNAPLEN)
TAG_TYPES: Final = (0x8100, 0x88A8, 0x9100)


class LiveCapture(Capture):
    """Packets of an interface as they pass, from the moment this is made; they can be read once.

    It ends after `count` packets or `duration_s` seconds, or when `stop` is called. Raises
    `UsageError` for an interface that is missing or down and for a wrong filter, `PrivilegeError`
    without CAP_NET_RAW.
    """

    def __init__(
        self, interface: str, *, filter: str = "", count: int | None = None,
        duration_s: float | None = None, promiscuous: bool = True,
    ) -> None:
        _check_ends(count, duration_s)
        found = device_up(interface)
        loopback = found.hardware == ARPHRD_LOOPBACK
        self._filter = (
            compile_filter(filter, found.link_type, services=service_port) if filter else None)
        program = kernel_program(self._filter)
        self._in_kernel = program is not None
        self._link = PacketLink(
            interface, filter=program, tx=False, promiscuous=promiscuous,
            # What is sent on lo comes in there as well: it would be seen twice.
            outgoing=not loopback, rx_blocks=RING_BLOCKS)
        self._interface = interface
        self._count_max, self._duration_s = count, duration_s
        self._stopped = self._begun = False
        self._out: Writer | None = None
        self._origin = interface
        self._steps = ()
        self._count = None
        self.lost = {}
        self.format = "live"
        self.link_type = found.link_type
        self.damage: str | None = None
        self.packets = 0
        """Packets given so far."""
        mac = interface_named(interface).mac if not loopback else None
        system = os.uname()
        self.description = Interface(
            found.link_type, SNAPLEN, interface, filter=filter, mac=mac or b"",
            os=f"{system.sysname} {system.release}")
        """What a pcapng says of the interface."""

    def stop(self) -> None:
        """End the capture soon; for signal handlers and other threads."""
        self._stopped = True

    @property
    def seen(self) -> int:
        """How many packets the kernel had for us so far, dropped ones included."""
        return self._link.seen()

    @property
    def drops(self) -> int:
        """How many packets the kernel threw away because we were too slow."""
        return self._link.counters().drops

    def statistics(self) -> Statistics:
        """Return what was counted so far, for the end of a file."""
        return Statistics(
            0, Clock.unix(), self.seen, self.drops, filter_accepted=self.packets,
            delivered=self.packets)

    def keep(
        self, target: Target, *, portion: Portion | None = None, files: int = 0
    ) -> None:
        """Write what is read from now on to a file as well, or to a ring of `files` files."""
        def make(path: Target) -> BatchWriter:
            return BatchWriter(path, self.link_type, interface=self.description)

        if portion is None:
            self._out = make(target)
        elif isinstance(target, str | os.PathLike):
            self._out = Splitter(target, portion, make, keep=files,
                                 ending=lambda writer: writer.statistics(self.statistics()))
        else:
            raise UsageError("a ring of files needs a name", where="ring", hint="-w NAME.pcapng")
        self._out.finish()  # a file that cannot be written is known before the first packet

    def write(self, target: Target, *, split: Portion | None = None) -> int:
        """Write the packets to a file until the end comes; return how many."""
        if self._steps:
            return super().write(target, split=split)
        self.keep(target, portion=split)
        return sum(map(len, self.frames()))

    def close(self) -> None:
        """Free the ring and close the file; may be called again."""
        if self._out is not None:
            self._out.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<capture on {self._interface}>"

    @property
    def rereadable(self) -> bool:
        """Never: packets pass once."""
        return False

    def _read(self) -> Iterator[Batch]:
        if self._begun:
            raise UsageError("a live capture can be read only once", where=self._interface,
                             hint="write it to a file first")
        self._begun = True
        try:
            for frames in self._arrivals():
                batch = self._numbered(frames)
                if self._out is not None:
                    self._out.write(batch)
                self.packets += len(frames)
                yield batch
        except PeerError as error:
            self.damage = str(error)
        finally:
            self._finish()

    def _finish(self) -> None:
        """Write the counts and let go of everything, whatever ended the capture."""
        try:
            counted = self.statistics()
            if self._out is not None:
                self._out.statistics(counted)
        finally:
            self.close()

    def _numbered(self, frames: Frames) -> Batch:
        first = self.packets + 1
        numbers = np.arange(first, first + len(frames), dtype=np.int64)
        return Batch(frames, numbers, np.zeros(len(frames), np.int64), (self._interface,))

    def _arrivals(self) -> Iterator[Frames]:
        """Yield accepted frames, at most `count`, until something says stop."""
        left = self._count_max
        for received in self._received():
            frames = received
            if self._filter is not None:
                frames = accepted(frames, self._filter, exact=self._in_kernel)
            if left is not None:
                frames = frames.take(slice(left))
                left -= len(frames)
            if len(frames):
                yield frames
            if left == 0:
                return

    def _received(self) -> Iterator[Frames]:
        now, end = Clock.now(), None
        if self._duration_s is not None:
            end = now + int(self._duration_s * 1e9)
        while not self._stopped and (end is None or now < end):
            yield self._link.receive(LOOK_NS if end is None else min(LOOK_NS, end - now))
            now = Clock.now()
        yield from self._rest(Clock.unix())

    def _rest(self, end_ns: int) -> Iterator[Frames]:
        """Yield what came before the end and is still with the kernel."""
        for look in range(LAST_LOOKS):
            # A block that is not full is ours two ticks of the ring's timer later.
            frames = self._link.receive(0 if look else 3 * RETIRE_MS * 1_000_000)
            in_time = frames.time_ns <= end_ns
            yield frames.take(in_time)
            if not len(frames) or not in_time.all():
                return


def kernel_program(compiled: Filter | None) -> Program | None:
    """Return the program that lets tagged frames pass and judges the others; None if BPF cannot."""
    if compiled is None:
        return None
    try:
        program = compiled.program(SNAPLEN)
    except (UsageError, LimitError):
        return None
    if compiled.link_type != LinkType.ETHERNET:
        return program
    whole = [LOAD_TAG_PRESENT, SKIP_ONE_IF_ZERO, ACCEPT, *program]
    return whole if len(whole) <= BPF_MAXINSNS else None


def accepted(frames: Frames, compiled: Filter, *, exact: bool) -> Frames:
    """Return the frames that a filter accepts; with `exact` only tagged ones are in question."""
    if not exact:
        return frames.take(compiled.mask(frames))
    if frames.link_type != LinkType.ETHERNET or not len(frames):
        return frames
    tagged = np.flatnonzero(_tagged(frames))
    if not len(tagged):
        return frames
    wanted = np.ones(len(frames), np.bool_)
    wanted[tagged] = compiled.mask(frames.take(tagged))
    return frames.take(wanted)


def _tagged(frames: Frames) -> NDArray[np.bool_]:
    """Return which frames have a VLAN tag behind their addresses; all are 14 bytes or longer."""
    at = frames.offset + 12
    kind = frames.buffer[at].astype(np.int64) << 8 | frames.buffer[at + 1]
    return np.isin(kind, TAG_TYPES) & (frames.length >= 14)


def _check_ends(count: int | None, duration_s: float | None) -> None:
    if count is not None and count < 1:
        raise UsageError("a capture has at least 1 packet", text=str(count), where="count")
    if duration_s is not None and not 0 < duration_s <= DURATION_MAX_S:
        raise UsageError("not a time to capture", text=str(duration_s), where="duration",
                         hint="give seconds, more than 0")
