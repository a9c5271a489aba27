"""Capture from interfaces: the same columns, batches and packets as from a file."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import numpy as np

from portulan.errors import PeerError, UsageError
from portulan.link.pcapng_blocks import Statistics
from portulan.link.pcapng_writer import SNAPLEN
from portulan.link.ring_rx import RETIRE_MS
from portulan.wire.frames import Frames

from .capture import Capture
from .capture_batch import Batch, Index
from .capture_writer import BatchWriter, Portion, Splitter, Target, Writer
from .clock import Clock
from .listening import ANY, Listener

LOOK_NS: Final = 100_000_000
"""How long a request to stop may go unseen: nothing a person notices."""
HOLD_NS: Final = 3 * RETIRE_MS * 1_000_000
"""How long a packet may wait in the kernel: as long others are held back, so that packets of
several interfaces come by time."""
LAST_LOOKS: Final = 64
"""Calls of `receive` after the end, 8 MiB each: a whole ring, but not an endless flood."""
DURATION_MAX_S: Final = 10 * 365 * 86_400
INTERFACES_MAX: Final = 64
"""Interfaces listened to at once: each has a ring of 64 MiB. `any` has one for all."""

Part = tuple[int, Frames]
"""Frames of the interface with a number."""


class LiveCapture(Capture):
    """Packets of interfaces as they pass, from the moment this is made; they can be read once.

    `any` stands for all interfaces, with Linux cooked headers. It ends after `count` packets or
    `duration_s` seconds, or when `stop` is called. Raises `UsageError` for an interface that is
    missing or down and for a wrong filter, `PrivilegeError` without CAP_NET_RAW.
    """

    def __init__(
        self, interface: str | Sequence[str], *, filter: str = "", count: int | None = None,
        duration_s: float | None = None, promiscuous: bool = True, snaplen: int = SNAPLEN,
    ) -> None:
        names = [interface] if isinstance(interface, str) else list(interface)
        _check_ends(count, duration_s)
        _check_names(names)
        if not 1 <= snaplen <= SNAPLEN:
            raise UsageError(f"packets are cut to 1 to {SNAPLEN:,} bytes", text=str(snaplen),
                             where="snaplen")
        self._listeners: list[Listener] = []
        with ExitStack() as stack:
            for name in names:
                listener = Listener(name, filter=filter, promiscuous=promiscuous, snaplen=snaplen)
                stack.callback(listener.close)
                self._listeners.append(listener)
            self._closing = stack.pop_all()
        self._left, self._duration_s = count, duration_s
        self._held: list[Part] = []
        self._stopped = self._begun = False
        self._out: Writer | None = None
        self._origin = ", ".join(names)
        self._steps = ()
        self._count = None
        self.lost = {}
        self.format = "live"
        self.link_type = self._listeners[0].link_type
        self.link_types = [each.link_type for each in self._listeners]
        """How frames begin, interface by interface."""
        self.named = len(names) > 1 or names == [ANY]
        self.damage: str | None = None
        self.packets = 0
        """Packets given so far."""

    def stop(self) -> None:
        """End the capture soon; for signal handlers and other threads."""
        self._stopped = True

    @property
    def seen(self) -> int:
        """How many packets the kernel had for us so far, dropped ones included."""
        return sum(each.seen for each in self._listeners)

    @property
    def drops(self) -> int:
        """How many packets the kernel threw away because we were too slow."""
        return sum(each.drops for each in self._listeners)

    def statistics(self) -> list[Statistics]:
        """Return what was counted so far on each interface, for the end of a file."""
        return [each.statistics(number) for number, each in enumerate(self._listeners)]

    def keep(
        self, target: Target, *, portion: Portion | None = None, files: int = 0
    ) -> None:
        """Write what is read from now on to a file as well, or to a ring of `files` files."""
        def make(path: Target) -> BatchWriter:
            return BatchWriter(path, self.link_type,
                               interfaces=[each.description for each in self._listeners])

        def end(writer: Writer) -> None:
            for counted in self.statistics():
                writer.statistics(counted)

        if portion is None:
            self._out = make(target)
        elif isinstance(target, str | os.PathLike):
            self._out = Splitter(target, portion, make, keep=files, ending=end)
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
        """Free the rings and close the file; may be called again."""
        if self._out is not None:
            self._out.close()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<capture on {self._origin}>"

    @property
    def rereadable(self) -> bool:
        """Never: packets pass once."""
        return False

    def _read(self) -> Iterator[Batch]:
        if self._begun:
            raise UsageError("a live capture can be read only once", where=str(self._origin),
                             hint="write it to a file first")
        self._begun = True
        try:
            for parts in self._received():
                yield from self._batches(parts)
                if self._left == 0:
                    break
        except PeerError as error:
            self.damage = str(error)
            yield from self._batches(self._rescued())
        finally:
            self._finish()

    def _finish(self) -> None:
        """Write the counts and let go of everything, whatever ended the capture."""
        try:
            for counted in self.statistics():
                if self._out is not None:
                    self._out.statistics(counted)
        finally:
            self.close()

    def _given(self, frames: Frames, numbers: Index) -> Batch:
        """Return frames and the interfaces they came from as a batch, written and counted."""
        first = self.packets + 1
        counted = np.arange(first, first + len(frames), dtype=np.int64)
        names = tuple(each.name for each in self._listeners)
        batch = Batch(frames, counted, numbers, names)
        if self._out is not None:
            self._out.write(batch)
        self.packets += len(frames)
        for number, count in enumerate(np.bincount(numbers).tolist()):
            self._listeners[number].packets += count
        if names != (ANY,):
            return batch
        # A file says `any`, as tcpdump's does; we know better.
        return Batch(frames, counted, *self._listeners[0].names_of(frames))

    def _batches(self, parts: Sequence[Part]) -> Iterator[Batch]:
        """Yield what came, as far as it is wanted."""
        if self._left is not None:
            parts = _first(parts, self._left)
            self._left -= sum(len(frames) for _, frames in parts)
        for frames, numbers in by_time(parts):
            yield self._given(frames, numbers)

    def _received(self) -> Iterator[list[Part]]:
        now, end = Clock.now(), None
        if self._duration_s is not None:
            end = now + int(self._duration_s * 1e9)
        while not self._stopped and (end is None or now < end):
            wait_ns = HOLD_NS if self._held else LOOK_NS
            yield self._round(wait_ns if end is None else min(wait_ns, end - now))
            now = Clock.now()
        yield from self._rest(Clock.unix())

    def _round(self, wait_ns: int) -> list[Part]:
        """Receive once; of several interfaces only what nothing earlier can follow."""
        if len(self._listeners) == 1:
            return [(0, self._listeners[0].receive(wait_ns))]
        self._poll(wait_ns)
        horizon = Clock.unix() - HOLD_NS
        for number, listener in enumerate(self._listeners):
            frames = listener.receive(0)
            if len(frames):
                horizon = min(horizon, int(frames.time_ns[-1]))
                self._held.append((number, frames))
        ripe = [(number, frames.take(frames.time_ns <= horizon)) for number, frames in self._held]
        self._held = [
            (number, frames.take(frames.time_ns > horizon)) for number, frames in self._held
            if (frames.time_ns > horizon).any()]
        return ripe

    def _poll(self, wait_ns: int) -> None:
        poll = select.poll()
        for listener in self._listeners:
            poll.register(listener.fileno(), select.POLLIN)
        poll.poll(wait_ns / 1e6)

    def _rest(self, end_ns: int) -> Iterator[list[Part]]:
        """Yield what came before the end and is still held or with the kernel."""
        parts, waited = self._held, False
        self._held = []
        for number, listener in enumerate(self._listeners):
            for _ in range(LAST_LOOKS):
                # A block that is not full is ours two ticks of the ring's timer later.
                frames = listener.receive(0 if waited else HOLD_NS)
                waited = True
                in_time = frames.time_ns <= end_ns
                parts.append((number, frames.take(in_time)))
                if not len(frames) or not in_time.all():
                    break
                if len(self._listeners) == 1:
                    yield parts
                    parts = []
        yield parts


    def _rescued(self) -> list[Part]:
        """Return what is held and what the kernel still has, when an interface has gone."""
        select.poll().poll(HOLD_NS / 1e6)  # until blocks that are not full are ours
        parts, self._held = self._held, []
        for number, listener in enumerate(self._listeners):
            for _ in range(LAST_LOOKS):
                try:
                    frames = listener.receive(0)
                except PeerError:
                    continue  # it says so before it gives what it has
                if not len(frames):
                    break
                parts.append((number, frames))
        return parts


def by_time(parts: Sequence[Part]) -> Iterator[tuple[Frames, Index]]:
    """Yield frames of all parts by time, each with its part's number; one link type at a time."""
    parts = [part for part in parts if len(part[1])]
    if len(parts) <= 1:
        for number, frames in parts:
            yield frames, np.full(len(frames), number, np.int64)
        return
    order = np.argsort(np.concatenate([frames.time_ns for _, frames in parts]), kind="stable")
    numbers = np.repeat([number for number, _ in parts], [len(frames) for _, frames in parts])
    links = np.repeat([frames.link_type for _, frames in parts],
                      [len(frames) for _, frames in parts])
    kinds = {kind: Frames.concat([frames for _, frames in parts if frames.link_type == kind])
             for kind in np.unique(links).tolist()}
    place = np.zeros(len(links), np.int64)
    for kind in kinds:
        place[links == kind] = np.arange(np.count_nonzero(links == kind))
    for rows in np.split(order, np.flatnonzero(np.diff(links[order])) + 1):
        yield kinds[int(links[rows[0]])].take(place[rows]), numbers[rows].astype(np.int64)


def _first(parts: Sequence[Part], count: int) -> list[Part]:
    """Return the first `count` frames of all parts by time."""
    times = np.concatenate([np.empty(0, np.int64), *(frames.time_ns for _, frames in parts)])
    if len(times) <= count:
        return list(parts)
    chosen = np.zeros(len(times), np.bool_)
    chosen[np.argsort(times, kind="stable")[:count]] = True
    edges = np.cumsum([len(frames) for _, frames in parts])[:-1]
    return [(number, frames.take(mask))
            for (number, frames), mask in zip(parts, np.split(chosen, edges), strict=True)]


def _check_names(names: list[str]) -> None:
    if not 1 <= len(names) <= INTERFACES_MAX:
        raise UsageError(f"1 to {INTERFACES_MAX} interfaces can be captured from at once",
                         where="capture", hint=f"{ANY} is all of them")
    if len(set(names)) < len(names) or (ANY in names and len(names) > 1):
        raise UsageError("each packet would be captured twice", text=", ".join(names),
                         where="capture")


def _check_ends(count: int | None, duration_s: float | None) -> None:
    if count is not None and count < 1:
        raise UsageError("a capture has at least 1 packet", text=str(count), where="count")
    if duration_s is not None and not 0 < duration_s <= DURATION_MAX_S:
        raise UsageError("not a time to capture", text=str(duration_s), where="duration",
                         hint="give seconds, more than 0")
