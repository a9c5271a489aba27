"""Keep what passes: a link that also writes its frames to a sink, such as a capture file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from portulan.link.contract import Closing, Counters, Link
from portulan.wire.frames import Frames


class Sink(Protocol):
    """Takes frames to keep."""

    def write(self, frames: Frames) -> object:
        """Keep the frames; their buffer may change after the call."""
        ...


class Tee(Closing):
    """A link around `link` that writes what is received and what was accepted for sending.

    Frames to send have no kernel time: with `now` they are stamped after the inner link took
    them, without it they keep the time they came with. The sink is not closed.
    """

    def __init__(self, link: Link, sink: Sink, *, now: Callable[[], int] | None = None) -> None:
        self._link, self._sink, self._now = link, sink, now

    @property
    def link_type(self) -> int:
        """Return how the frames begin."""
        return self._link.link_type

    def send(self, frames: Frames) -> int:
        """Send through the inner link, and write what it took."""
        taken = self._link.send(frames)
        if taken:
            passed = frames.take(slice(0, taken))
            if self._now is not None:
                passed = replace(passed, time_ns=np.full(taken, self._now(), np.int64))
            self._sink.write(passed)
        return taken

    def receive(self, wait_ns: int = 0) -> Frames:
        """Receive from the inner link, and write what came."""
        frames = self._link.receive(wait_ns)
        if len(frames):
            self._sink.write(frames)
        return frames

    def counters(self) -> Counters:
        """Return the inner link's counters."""
        return self._link.counters()

    def fileno(self) -> int:
        """Return the inner link's descriptor."""
        return self._link.fileno()

    def close(self) -> None:
        """Close the inner link."""
        self._link.close()
