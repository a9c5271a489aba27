"""One direction of a relayed connection: bytes from a source to a sink, then the end of stream.

Small talk is copied through one buffer that all connections share. A read that fills it speaks of
bulk: from then on the bytes go socket, pipe, socket by `os.splice` and never enter this process
(0.25 CPU-seconds per GiB here; copying 64 KiB at a time costs 0.6). Pipes cost two system calls
and two descriptors, so a connection that stays small never has one, and quiet ones give theirs
back.

Reading and writing fail apart on purpose. A sink that is gone says nothing of the bytes that still
come from it: a server may answer "too large" and reset while we send. So a lost sink only turns
this direction into a drain; a lost source ends the connection as TCP itself would, with a reset.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import Final, TypeAlias

Tap: TypeAlias = Callable[[memoryview], None]

#: The first reads of a connection [bytes]. Also what a client that never reads can make us hold.
NARROW: Final = 32 << 10
#: Reads of a stream that was seen to be bulk where it cannot be spliced [bytes].
WIDE: Final = 256 << 10
#: Asked of one splice [bytes]: a pipe has 16 slots, each of which may hold a 32 KiB fragment.
SPLICE_MAX: Final = 1 << 20
#: What a pipe holds at least when it is full [bytes]. Then more is likely at hand, and the kernel
#: is told so (SPLICE_F_MORE): it makes fewer, fuller segments, an eighth less CPU time a byte.
PIPE_BYTES: Final = 64 << 10
#: Fetches in one go before others get their turn.
ROUNDS_MAX: Final = 16
#: Empty pipes kept for the next bulk stream; more are closed.
SPARE_PIPES_MAX: Final = 32

#: What a pipe is widened to [bytes] where the caller can: a third less CPU time a byte than 64 KiB.
PIPE_WIDE: Final = 1 << 20
#: Pipes that are widened; peers that never read could fill each of them with kernel memory.
WIDE_PIPES_MAX: Final = 64

_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
#: The kernel's word that this kind of descriptor cannot be spliced: copy instead.
_NO_SPLICE: Final = frozenset({errno.EINVAL, errno.ENOSYS})


class Step(IntEnum):
    """Where a direction stands after a go."""

    WAIT = 0
    """Nothing to read, or no room to write: wait for the next edge."""
    MORE = 1
    """There is more to do, but others should have their turn."""
    ENDED = 2
    """The source's end was passed on."""
    SOURCE_LOST = 3
    """The source was reset; `error` says how."""


class Plumbing:
    """What the connections of one event loop share: the copy buffer and spare pipes.

    `widen(descriptor, bytes)` makes a pipe larger, which this room has no means for itself.
    """

    def __init__(self, widen: Callable[[int, int], bool] | None = None) -> None:
        self._widen = widen
        self._wide: set[tuple[int, int]] = set()
        self.scratch: Final = memoryview(bytearray(WIDE))
        self._spare: list[tuple[int, int]] = []

    def take(self) -> tuple[int, int] | None:
        """Return an empty pipe (read end, write end); None if this process has no descriptors."""
        if self._spare:
            return self._spare.pop()
        try:
            pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        if (self._widen is not None and len(self._wide) < WIDE_PIPES_MAX
                and self._widen(pipe[1], PIPE_WIDE)):
            self._wide.add(pipe)
        return pipe

    def give(self, pipe: tuple[int, int], *, empty: bool) -> None:
        """Take a pipe back; one that still holds bytes is closed."""
        if empty and len(self._spare) < SPARE_PIPES_MAX:
            self._spare.append(pipe)
        else:
            self._wide.discard(pipe)
            _close(pipe)

    def close(self) -> None:
        """Close the spare pipes."""
        for pipe in self._spare:
            _close(pipe)
        self._spare.clear()


class Pump:
    """One direction between two non-blocking stream sockets.

    `count` is the bytes that the sink's kernel took, `ended` whether the source's end was passed
    on; `lost_bytes` says that the sink was lost while there was something for it. Set `closing`
    once the source's end may be queued: a short read then does not mean that nothing is left.
    A `tap` sees every byte that was read, in order; its stream is copied, never spliced.
    """

    __slots__ = (
        "_corks", "_held", "_pipe", "_plumbing", "_rest", "_wide", "closing", "corked", "count",
        "ended", "error", "lost_bytes", "sink", "sink_lost", "source", "tap",
    )

    def __init__(
        self, source: socket.socket, sink: socket.socket, plumbing: Plumbing, *,
        tap: Tap | None = None, first: bytes = b"",
    ) -> None:
        self.source, self.sink, self.tap = source, sink, tap
        self.count = 0
        self.ended = self.closing = self.sink_lost = self.lost_bytes = False
        self.error: OSError | None = None
        self._plumbing = plumbing
        self._pipe: tuple[int, int] | None = None
        self._held = 0
        self._rest = first
        self._wide = self._corks = self.corked = False

    def run(self) -> Step:
        """Move what can be moved now."""
        for _ in range(ROUNDS_MAX):
            if (self._rest or self._held) and not self._deliver_rest():
                return Step.WAIT
            try:
                got, short = self._fetch()
            except BlockingIOError:
                self.closing = False  # nothing was queued after all: an edge will tell
                if self.corked:
                    self._push()
                return Step.WAIT
            except OSError as error:
                self.error = error
                self.release()
                return Step.SOURCE_LOST
            if got == 0:
                return self._end()
            if short and not self.closing:
                return Step.WAIT
        return Step.MORE

    @property
    def blocked(self) -> bool:
        """Whether bytes wait for room in the sink."""
        return bool(self._rest or self._held)

    def relax(self) -> None:
        """Give the pipe back if it is empty; bulk will ask for one again."""
        if self._pipe is not None and not self._held:
            self.release()

    def release(self) -> None:
        """Give the pipe back and drop what was not delivered."""
        if self._pipe is not None:
            self._plumbing.give(self._pipe, empty=not self._held)
            self._pipe = None
        self._held, self._rest, self._wide = 0, b"", False

    # -- reading -----------------------------------------------------------------------------

    def _fetch(self) -> tuple[int, bool]:
        """Read once and pass on what can be; return how much was read, and if that was all."""
        if self._pipe is not None:
            return self._splice(self._pipe)
        scratch = self._plumbing.scratch
        room = WIDE if self._wide else NARROW
        got = self.source.recv_into(scratch, room)
        if got:
            data = scratch[:got]
            if self.tap is not None:
                self.tap(data)
            self._deliver(data)
            if got == room:
                self._widen()
        return got, got < room and not self._rest

    def _widen(self) -> None:
        self._wide = True
        if self.tap is None and not self.sink_lost:
            self._pipe = self._plumbing.take()
            self._corks = self._pipe is not None and _sends_at_once(self.sink)

    def _splice(self, pipe: tuple[int, int]) -> tuple[int, bool]:
        try:
            got = os.splice(self.source.fileno(), pipe[1], SPLICE_MAX, flags=_FLAGS)
        except OSError as error:
            if error.errno not in _NO_SPLICE:
                raise
            self._stop_splicing(pipe)
            return self._fetch()
        self._held = got
        if got:
            self.corked = self._corks and got >= PIPE_BYTES
            self._deliver_held()
        # A splice ends early when the pipe's slots are used up: only EAGAIN says "that was all".
        return got, False

    def _stop_splicing(self, pipe: tuple[int, int]) -> None:
        self._plumbing.give(pipe, empty=True)
        self._pipe = None

    # -- writing -----------------------------------------------------------------------------

    def _deliver(self, data: memoryview) -> None:
        """Send, and keep a copy of what the sink does not take now."""
        if self.sink_lost:
            return
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose_sink(error)
            return
        self.count += sent
        if sent < len(data):
            self._rest = bytes(data[sent:])

    def _deliver_rest(self) -> bool:
        """Send what waits; return whether nothing waits any more."""
        if self._held:
            self._deliver_held()
        while self._rest:
            rest, self._rest = self._rest, b""
            before = self.count
            self._deliver(memoryview(rest))
            if self._rest and self.count == before:
                return False
        return not self._held

    def _deliver_held(self) -> None:
        """Splice out of the pipe until it is empty or the sink is full."""
        pipe = self._pipe
        flags = _FLAGS | os.SPLICE_F_MORE if self.corked else _FLAGS
        try:
            while self._held and pipe is not None:
                sent = os.splice(pipe[0], self.sink.fileno(), self._held, flags=flags)
                self._held -= sent
                self.count += sent
        except BlockingIOError:
            return
        except OSError as error:
            self._lose_sink(error)

    def _push(self) -> None:
        """Let the kernel send what waits for more to come (tcp(7): setting TCP_NODELAY does)."""
        self.corked = False
        try:
            self.sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self._lose_sink(error)

    def _lose_sink(self, error: OSError) -> None:
        self.error = error
        self.sink_lost = self.lost_bytes = True
        self.release()

    def _end(self) -> Step:
        self.release()
        self.ended = True
        if not self.sink_lost:
            try:
                self.sink.shutdown(socket.SHUT_WR)
            except OSError:
                self.sink_lost = True
        return Step.ENDED


def _sends_at_once(sink: socket.socket) -> bool:
    """Return whether it is TCP without Nagle's delay, so that `_push` changes nothing else."""
    if sink.family == socket.AF_UNIX:
        return False
    try:
        return bool(sink.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    except OSError:
        return False


def _close(pipe: tuple[int, int]) -> None:
    for number in pipe:
        os.close(number)
