"""A file's bytes from the page cache to a socket, inside the kernel.

asyncio's own `loop.sendfile` registers and unregisters the socket around every block, four system
calls and two handles each, and stops reading meanwhile. Here a duplicate of the descriptor, which
asyncio's transport does not own, is registered once for the whole file.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from portulan.sockets.serve_http import Slice

BLOCK_BYTES: Final = 4 << 20
"""Asked of one call; it ends where the socket's buffer is full, tcp_wmem's 4 MiB at the most."""


class Sending:
    """One slice of a file on its way; `done` gives how many bytes went."""

    def __init__(self, socket_fd: int, file: int, part: Slice) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[int] = self._loop.create_future()
        self._file, self._part, self._sent = file, part, 0
        self._fd = os.dup(socket_fd)
        self._loop.add_writer(self._fd, self.go)

    def go(self) -> None:
        """Send what the socket takes now: one block, so that others have their turn."""
        left = self._part.length - self._sent
        try:
            count = os.sendfile(self._fd, self._file, self._part.offset + self._sent,
                                min(left, BLOCK_BYTES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        self._sent += count
        if not count or count == left:
            self._end(None)

    def close(self) -> None:
        """Let go of the socket."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _end(self, error: OSError | None) -> None:
        self.close()
        if self.done.done():
            return
        if error is None:
            self.done.set_result(self._sent)
        else:
            self.done.set_exception(error)


async def send_slice(socket_fd: int, file: int, part: Slice) -> int:
    """Send a slice of a file; return how much of it there was. Raises OSError."""
    sending = Sending(socket_fd, file, part)
    try:
        return await sending.done
    finally:
        sending.close()
