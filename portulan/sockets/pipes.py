"""Streams over pipes: a program, our standard input and output, a file.

Descriptors that others share (a terminal, an inherited pipe) are never made non-blocking: the flag
belongs to the open file, and the shell's next program would inherit it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shlex
import signal
import socket
import stat
import subprocess
from collections.abc import Mapping
from typing import Final

from portulan.errors import UsageError
from portulan.sockets.stream import READ_SIZE, Facts, Waits

EXIT_GRACE_S: Final = 2.0
"""A program whose pipes are closed gets so long to end by itself, and again after SIGTERM."""
_FILE_MODES: Final = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


class PipeReader:
    """Reads a pipe, terminal, socket or file by its descriptor."""

    def __init__(self, fd: int, *, own: bool = True) -> None:
        self.fd, self._own = fd, own
        self._waits = Waits(fd) if _can_wait(fd) else None

    async def read(self, max_bytes: int) -> bytes:
        """Return what is there; b"" at the end."""
        while True:
            if self._waits:
                await self._waits.readable()
            else:
                await asyncio.sleep(0)  # a file is always ready: let others have their turn
            with contextlib.suppress(BlockingIOError, InterruptedError):
                return os.read(self.fd, max_bytes)

    def close(self) -> None:
        """Close the descriptor if it is ours."""
        if self._waits:
            self._waits.stop()
        if self._own and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class PipeWriter:
    """Writes to a pipe, terminal, socket or file by its descriptor, never blocking the loop."""

    def __init__(self, fd: int, *, own: bool = True) -> None:
        self._given, self._own = fd, own
        self.fd, self._chunk = _ours(fd) if own else _writable_copy(fd)
        self._socket = socket.socket(fileno=self.fd) if _is_socket(self.fd) else None
        self._waits = Waits(self.fd) if _can_wait(self.fd) else None

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it."""
        view = memoryview(data)
        while view:
            try:
                if self._chunk and self._waits:
                    await self._waits.writable()
                view = view[self._write(view[: self._chunk or len(view)]) :]
            except (BlockingIOError, InterruptedError):
                if self._waits:
                    await self._waits.writable()

    def _write(self, data: memoryview) -> int:
        if self._socket:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self.fd, data)

    def close(self) -> None:
        """Let the reader see the end, on a descriptor that is not ours too."""
        if self.fd < 0:
            return
        if self._waits:
            self._waits.stop()
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            self._socket.close()
        else:
            os.close(self.fd)
        self.fd = -1
        if not self._own:
            # The number stays taken, so that nothing else gets to be standard output.
            with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a descriptor is wanted
                os.dup2(nothing.fileno(), self._given)


def _can_wait(fd: int) -> bool:
    """Tell whether epoll takes it: files are always ready, and it refuses them."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return True
    with select.epoll(1) as epoll:
        try:
            epoll.register(fd, select.EPOLLIN)
        except PermissionError:
            return False
        return True


def _is_socket(fd: int) -> bool:
    return stat.S_ISSOCK(os.fstat(fd).st_mode)


def _ours(fd: int) -> tuple[int, int]:
    os.set_blocking(fd, False)
    return fd, 0


def _writable_copy(fd: int) -> tuple[int, int]:
    """Return a descriptor of ours for the same thing, and how many bytes never block (0: any).

    A pipe or terminal opened anew by /proc has flags of its own, so it may be non-blocking.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/proc/self/fd/{fd}", flags), 0
        except OSError:
            return os.dup(fd), select.PIPE_BUF
    return os.dup(fd), 0


class PipeStream:
    """A stream of a reader and a writer, either of which may be absent; of a program, maybe."""

    def __init__(self, reader: PipeReader | None, writer: PipeWriter | None, *, peer: str,
                 process: subprocess.Popen[bytes] | None = None) -> None:
        self.peer, self.local, self.facts = peer, "", Facts()
        self.received = self.sent = 0
        self.process = process
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int = READ_SIZE) -> bytes:
        """Return what is there, at least a byte; b"" at the end."""
        data = await self._reader.read(max_bytes) if self._reader else b""
        self.received += len(data)
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it; raises `OSError` where nothing can be written."""
        if self._writer is None:
            raise BrokenPipeError(32, "nothing can be written there")
        await self._writer.write(data)
        self.sent += len(data)

    async def write_eof(self) -> None:
        """End our direction; harmless when done twice."""
        if self._writer:
            self._writer.close()
            self._writer = None

    async def close(self) -> None:
        """End both directions; of a program, wait for its end, then ask for it."""
        self._release()
        if self.process:
            await end_process(self.process)

    def abort(self) -> None:
        """Drop everything at once; a program is killed with what it has started."""
        self._release()
        if self.process and self.process.returncode is None:
            _signal(self.process, signal.SIGKILL)
            self.process.wait()

    def _release(self) -> None:
        for part in (self._writer, self._reader):
            if part:
                part.close()
        self._writer = self._reader = None


def open_stdio() -> PipeStream:
    """Return our standard input and output as a stream."""
    return PipeStream(PipeReader(0, own=False), PipeWriter(1, own=False), peer="stdio")


def open_file(path: str, mode: str) -> PipeStream:
    """Return a file as a stream: it is read (r), written anew (w), or appended to (a)."""
    fd = os.open(path, _FILE_MODES[mode] | os.O_CLOEXEC, 0o644)
    if mode == "r":
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(21, "is a directory")
        return PipeStream(PipeReader(fd), None, peer=path)
    return PipeStream(None, PipeWriter(fd), peer=path)


def command_words(command: str, *, where: str = "exec") -> list[str]:
    """Cut a command into words as a shell would, without a shell; raises `UsageError`."""
    try:
        found = shlex.split(command)
    except ValueError as error:
        reason = f"not a command: {str(error).lower()}"
        raise UsageError(reason, text=command, where=where) from None
    if not found:
        raise UsageError("no command", where=where)
    return found


async def spawn(command: str, env: Mapping[str, str] | None = None) -> PipeStream:
    """Start a program and return its standard input and output; raises `OSError`.

    `env` is added to ours. It leads a session of its own: what it starts ends with it.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        # Out of descriptors, any of these may fail: nothing of what was opened may stay.
        theirs_in, ours_out = os.pipe()
        theirs.callback(os.close, theirs_in)
        writer = PipeWriter(ours_out)
        ours.callback(writer.close)
        ours_in, theirs_out = os.pipe()
        theirs.callback(os.close, theirs_out)
        reader = PipeReader(ours_in)
        ours.callback(reader.close)
        process = subprocess.Popen(
            command_words(command), stdin=theirs_in, stdout=theirs_out, start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        ours.pop_all()
    return PipeStream(reader, writer, peer=command, process=process)


async def end_process(process: subprocess.Popen[bytes]) -> int:
    """Wait for a program whose pipes are closed; ask it to end after a while; its exit code."""
    for last_word in (signal.SIGTERM, signal.SIGKILL, None):
        if await _wait(process, EXIT_GRACE_S) or last_word is None:
            break
        _signal(process, last_word)
    return process.wait()


async def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a program's end without a thread: a pidfd is readable then (pidfd_open(2))."""
    if process.poll() is not None:
        return True
    fd = os.pidfd_open(process.pid)
    try:
        async with asyncio.timeout(seconds):
            await Waits(fd).readable()
    except TimeoutError:
        return False
    finally:
        os.close(fd)
    return process.poll() is not None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
