"""A line editor with history for a person at a terminal, beside a peer that speaks at any time."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portulan.sockets.converse import Sink

CLEAR_LINE: Final = b"\r\x1b[K"


class LineEditor:
    """Reads lines with `input()` and readline in a thread, for a loop that must not wait.

    The history lives as long as the command: what is typed to a peer may be a password.
    """

    def __init__(self) -> None:
        import readline

        self._buffer = readline.get_line_buffer
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._asked = threading.Event()
        self._ended = False
        threading.Thread(target=self._edit, name="line editor", daemon=True).start()

    async def read(self, max_bytes: int) -> bytes:
        """Return the next line, LF included; b"" after Ctrl-D. Lines have no bound but patience."""
        self._asked.set()
        if self._ended:
            return b""
        line = await self._lines.get()
        self._ended = not line
        return line

    def typed(self) -> bytes:
        """Return the line that is being written, so that it can be shown again."""
        return self._buffer().encode("utf-8", "surrogateescape")

    def _edit(self) -> None:
        self._asked.wait()
        while True:
            try:
                line = input().encode("utf-8", "surrogateescape") + b"\n"
            except (EOFError, OSError):
                line = b""
            try:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
            except RuntimeError:
                return  # the loop has ended
            if not line:
                return


class BesideEditor:
    """Output on the terminal where a line is being written: the line steps aside for it."""

    def __init__(self, sink: Sink, editor: LineEditor) -> None:
        self._sink, self._editor = sink, editor

    async def write(self, data: bytes) -> None:
        """Show the peer's bytes, then the unfinished line again."""
        typed = self._editor.typed()
        await self._sink.write(CLEAR_LINE + data + typed if typed else data)


@contextlib.contextmanager
def terminal(*, wanted: bool) -> Iterator[LineEditor | None]:
    """Lend a line editor if a person is at both ends, and put the terminal right afterwards.

    readline changes the terminal while it waits, and its thread may still wait when we leave.
    """
    if not (wanted and sys.stdin.isatty() and sys.stdout.isatty()):
        yield None
        return
    import termios

    before = termios.tcgetattr(0)
    try:
        yield LineEditor()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
