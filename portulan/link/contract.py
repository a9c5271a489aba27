"""What every link promises: frames in, frames out, counters that only grow, a clean end."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from portulan.errors import UsageError
from portulan.wire.frames import Frames


@dataclass(frozen=True, slots=True)
class Counters:
    """What passed a link since it was opened, in frames; no value ever shrinks."""

    sent: int = 0
    received: int = 0
    drops: int = 0
    """Frames the kernel had for us and threw away because we read too slowly."""
    refused: int = 0
    """Frames taken by `send` that the kernel refused one by one: no route, a local firewall."""


@runtime_checkable
class Link(Protocol):
    """Moves batches of frames and knows nothing of what they say."""

    @property
    def link_type(self) -> int:
        """Return how the frames begin; a link's filter program is written for the same type."""
        ...

    def send(self, frames: Frames) -> int:
        """Return how many frames were taken, in order from the first; send the rest again.

        The frames' buffer may be used again when the call returns. Raises `UsageError` for frames
        this link cannot carry, `PeerError` when the interface went down or away.
        """
        ...

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the frames there are now, waiting at most `wait_ns` for the first.

        A call is bounded in size: a full answer means that more may be there. Times are Unix
        nanoseconds of the kernel. Raises `PeerError` when the interface went down or away.
        """
        ...

    def counters(self) -> Counters:
        """Return what passed so far."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that polls readable when frames are there, -1 for none."""
        ...

    def close(self) -> None:
        """Let go of everything; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Closing:
    """Makes a class with `close()` a context manager."""

    def close(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_frames(frames: Frames, link_type: int) -> None:
    """Raise `UsageError` unless frames begin as the link's do and lie inside their buffer.

    The second matters because frames go to the kernel by address.
    """
    if not len(frames):
        return
    if frames.link_type != link_type:
        raise UsageError(
            f"frames of link type {frames.link_type} do not fit a link of type {link_type}",
            hint="build the frames for the link's own link_type",
        )
    ends = frames.offset + frames.length
    if frames.offset.min() < 0 or frames.length.min() < 0 or ends.max() > len(frames.buffer):
        raise UsageError("frames reach outside their buffer")
