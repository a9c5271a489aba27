"""Links without a network: two joined ends, or one end with a world that answers.

Time is whatever `now` says, so a simulation of hours runs in milliseconds and always the same way.
A receiver with nothing due asks `advance` to let the awaited time pass; without `advance` it
returns at once.

>>> echo = ResponderLink(lambda frames: frames, now=lambda: 0)
>>> echo.send(Frames.of([b"ping" * 16]))
1
>>> echo.receive()[0][:4]
b'ping'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from portulan.link.contract import Closing, Counters, check_frames
from portulan.wire.frames import Frames, LinkType

Now: TypeAlias = Callable[[], int]
Advance: TypeAlias = Callable[[int], None]

INBOX = 1 << 20
"""Frames that wait to be received; more are dropped and counted, as a kernel's ring would."""


class MemoryLink(Closing):
    """One end of a joined pair; see `memory_pair`."""

    def __init__(
        self, *, now: Now, advance: Advance | None = None, delay_ns: int = 0,
        link_type: int = LinkType.ETHERNET, inbox: int = INBOX,
    ) -> None:
        self._now, self._advance, self._delay_ns = now, advance, delay_ns
        self._link_type, self._room = link_type, inbox
        # Batches as they came: a batch is let go of when its last frame is received, so that
        # a long simulation holds no more than what is under way.
        self._waiting: list[Frames] = []
        self._sent = self._received = self._drops = 0
        self._closed = False
        self.peer: MemoryLink | None = None

    @property
    def link_type(self) -> int:
        """Return how the frames begin."""
        return self._link_type

    def send(self, frames: Frames) -> int:
        """Hand copies of the frames to the other end, to arrive `delay_ns` from now."""
        check_frames(frames, self._link_type)
        if len(frames):
            self._carry(replace(frames.compact(), time_ns=np.full(len(frames), self._now())))
        self._sent += len(frames)
        return len(frames)

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return what has arrived by now; if nothing has, let time pass and look again."""
        if self._advance is not None and wait_ns > 0:
            until = self.due_ns()
            ahead = wait_ns if until is None else min(wait_ns, until - self._now())
            if ahead > 0:
                self._advance(ahead)
        now = self._now()
        early = [batch.take(batch.time_ns <= now) for batch in self._waiting]
        late = [batch.take(batch.time_ns > now) for batch in self._waiting]
        self._waiting = [batch for batch in late if len(batch)]
        arrived = Frames.concat([batch.compact() for batch in early if len(batch)])
        self._received += len(arrived)
        if not len(arrived):
            return Frames.empty(self._link_type)
        return arrived.take(np.argsort(arrived.time_ns, kind="stable"))

    def due_ns(self) -> int | None:
        """Return when the next frame arrives, None if none is on its way."""
        return min((int(batch.time_ns.min()) for batch in self._waiting), default=None)

    def arrive(self, frames: Frames) -> None:
        """Take frames into the inbox, to be received at their `time_ns`."""
        if self._closed:
            return
        room = self._room - sum(map(len, self._waiting))
        taken = frames.take(slice(0, max(room, 0)))
        self._drops += len(frames) - len(taken)
        if len(taken):
            self._waiting.append(taken)

    def counters(self) -> Counters:
        """Return what passed so far; `drops` is for frames that found the inbox full."""
        return Counters(self._sent, self._received, self._drops)

    def fileno(self) -> int:
        """Return -1: nothing here can be polled."""
        return -1

    def close(self) -> None:
        """Forget what waits, and take no more."""
        self._closed = True
        self._waiting = []

    def _carry(self, frames: Frames) -> None:
        if self.peer is not None:
            self.peer.arrive(replace(frames, time_ns=frames.time_ns + self._delay_ns))


class ResponderLink(MemoryLink):
    """One end whose other end is a function: frames sent to it -> frames it answers.

    The frames given have the time of sending; an answer arrives `delay_ns` after that or after its
    own `time_ns`, whichever is later. So a responder can give each answer its own delay.
    """

    def __init__(
        self, respond: Callable[[Frames], Frames], *, now: Now, advance: Advance | None = None,
        delay_ns: int = 0, link_type: int = LinkType.ETHERNET, inbox: int = INBOX,
    ) -> None:
        super().__init__(
            now=now, advance=advance, delay_ns=delay_ns, link_type=link_type, inbox=inbox)
        self._respond = respond

    def _carry(self, frames: Frames) -> None:
        answer = self._respond(frames)
        check_frames(answer, self.link_type)
        times = np.maximum(answer.time_ns, self._now()) + self._delay_ns
        self.arrive(replace(answer, time_ns=times))


def memory_pair(
    *, now: Now, advance: Advance | None = None, delay_ns: int = 0,
    link_type: int = LinkType.ETHERNET,
) -> tuple[MemoryLink, MemoryLink]:
    """Return two ends: what one sends the other receives, `delay_ns` later."""
    near = MemoryLink(now=now, advance=advance, delay_ns=delay_ns, link_type=link_type)
    far = MemoryLink(now=now, advance=advance, delay_ns=delay_ns, link_type=link_type)
    near.peer, far.peer = far, near
    return near, far
