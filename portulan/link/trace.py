"""Say what passes: a link that prints one line a frame."""

from __future__ import annotations

from collections.abc import Callable

from portulan.link.contract import Closing, Counters, Link
from portulan.wire.frames import Frames
from portulan.wire.text import lines


class Trace(Closing):
    """A link around `link` that hands a line a frame to `print_line`: `>` sent, `<` received.

    Only what the inner link accepted is said to be sent.
    """

    def __init__(self, link: Link, print_line: Callable[[str], None]) -> None:
        self._link, self._print = link, print_line

    @property
    def link_type(self) -> int:
        """Return how the frames begin."""
        return self._link.link_type

    def send(self, frames: Frames) -> int:
        """Send through the inner link, and print what it took."""
        taken = self._link.send(frames)
        self._say(">", frames.take(slice(0, taken)))
        return taken

    def receive(self, wait_ns: int = 0) -> Frames:
        """Receive from the inner link, and print what came."""
        frames = self._link.receive(wait_ns)
        self._say("<", frames)
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

    def _say(self, mark: str, frames: Frames) -> None:
        for line in lines(frames):
            self._print(f"{mark} {line}")
