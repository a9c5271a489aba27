"""The stream contract, and its plain case: a connected TCP or Unix socket.

A stream is two directions that end apart. `read` gives b"" at the end of the peer's; `write_eof`
ends ours, and late answers still arrive. Errors are the kernel's `OSError`s (`ssl.SSLError` is
one); `faults.words` puts them into words. One task may read while another writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

READ_SIZE: Final = 262_144
"""Bytes asked for at once: above 256 KiB the copy out of the kernel gains nothing more."""
LINGER_S: Final = 2.0
"""A peer has so long to end its direction after we have ended ours and our interest."""
LINGER_SIZE: Final = 4_194_304
"""Bytes thrown away meanwhile, at most."""
_LINGER_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was negotiated. Empty where there is no TLS."""

    tls: str = ""
    """TLSv1.2 or TLSv1.3."""
    cipher: str = ""
    alpn: str = ""
    sni: str = ""
    """The name that was asked for."""
    fingerprint: str = ""
    """SHA-256 of the peer's certificate, hex; empty if it sent none."""
    subject: str = ""
    """Whom the peer's certificate names."""
    verified: bool = False
    """Whether an authority or a pin vouches for the peer."""
    via: tuple[str, ...] = ()
    """Proxies on the way."""


class Stream(Protocol):
    """Bytes in both directions, each with its own end."""

    peer: str
    """`ADDR:PORT`, a path, or a command."""
    local: str

    @property
    def facts(self) -> Facts:
        """What was negotiated."""

    @property
    def received(self) -> int:
        """Bytes that `read` gave."""

    @property
    def sent(self) -> int:
        """Bytes that `write` took."""

    async def read(self, max_bytes: int = READ_SIZE) -> bytes:
        """Return what is there, at least a byte; b"" once the peer has ended its direction."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it; a cancelled write leaves it torn: `abort`."""

    async def write_eof(self) -> None:
        """End our direction; harmless when done twice."""

    async def close(self) -> None:
        """End both directions in order; what was written still arrives."""

    def abort(self) -> None:
        """Drop everything at once; TCP sends RST. Never raises."""


class Waits:
    """Waiting for a descriptor without reading: a cancelled wait loses nothing.

    `loop.sock_recv` may have taken bytes off the socket when its waiter is cancelled.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    async def readable(self) -> None:
        """Wait until a read would not block."""
        self._reading = waiter = self._loop.create_future()
        self._loop.add_reader(self.fd, _done, waiter)
        try:
            await waiter
        finally:
            if self._reading is waiter:
                self._reading = None
                self._loop.remove_reader(self.fd)

    async def writable(self) -> None:
        """Wait until a write would not block."""
        self._writing = waiter = self._loop.create_future()
        self._loop.add_writer(self.fd, _done, waiter)
        try:
            await waiter
        finally:
            if self._writing is waiter:
                self._writing = None
                self._loop.remove_writer(self.fd)

    def stop(self) -> None:
        """Wake who waits with `ConnectionAbortedError`; before the descriptor is closed."""
        for waiter, remove in ((self._reading, self._loop.remove_reader),
                               (self._writing, self._loop.remove_writer)):
            if waiter is not None:
                remove(self.fd)
                if not waiter.done():
                    waiter.set_exception(ConnectionAbortedError(103, "closed on our side"))
        self._reading = self._writing = None


def _done(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SocketStream:
    """A stream over a connected, non-blocking stream socket.

    `sock` is open to those who move bytes in the kernel (splice): take `unread()` first.
    """

    def __init__(self, sock: socket.socket, *, peer: str = "", local: str = "") -> None:
        sock.setblocking(False)
        self.sock = sock
        self.peer = peer or socket_name(sock, remote=True)
        self.local = local or socket_name(sock)
        self.facts = Facts()
        self.received = self.sent = 0
        self.waits = Waits(sock.fileno())
        self._pushed: deque[bytes] = deque()
        self._eof_sent = self._closed = False

    def push(self, data: bytes) -> None:
        """Give back bytes that belong to the next reader; they come first."""
        if data:
            self.received -= len(data)
            self._pushed.appendleft(data)

    def unread(self) -> bytes:
        """Take the bytes that were given back."""
        data = b"".join(self._pushed)
        self._pushed.clear()
        self.received += len(data)
        return data

    async def read(self, max_bytes: int = READ_SIZE) -> bytes:
        """Return what is there, at least a byte; b"" once the peer has ended its direction."""
        if self._pushed:
            data = self._pushed.popleft()
            if len(data) > max_bytes:
                self._pushed.appendleft(data[max_bytes:])
                data = data[:max_bytes]
            self.received += len(data)
            return data
        while True:
            try:
                data = self.sock.recv(max_bytes)
            except (BlockingIOError, InterruptedError):
                await self.waits.readable()
            else:
                self.received += len(data)
                return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it; a cancelled write leaves it torn: `abort`."""
        view = memoryview(data)
        while view:
            try:
                count = self.sock.send(view)
            except (BlockingIOError, InterruptedError):
                await self.waits.writable()
            else:
                self.sent += count
                view = view[count:]

    async def write_eof(self) -> None:
        """End our direction; harmless when done twice."""
        if not self._eof_sent and not self._closed:
            self._eof_sent = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                # ENOTCONN: the peer reset it. The read side tells, where it is of use.
                return

    async def close(self) -> None:
        """End both directions in order; what was written still arrives."""
        await self.write_eof()
        self._release()

    def abort(self) -> None:
        """Drop everything at once; TCP sends RST. Never raises."""
        if not self._closed:
            with contextlib.suppress(OSError):  # ended already: closing is all there is
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self._release()

    def _release(self) -> None:
        if not self._closed:
            self._closed = True
            self.waits.stop()
            self.sock.close()


def socket_name(sock: socket.socket, *, remote: bool = False) -> str:
    """Return an end of a socket as text; empty if it is gone or has no name."""
    try:
        name = sock.getpeername() if remote else sock.getsockname()
    except OSError:
        return ""
    return address_name(name)


def address_name(name: object) -> str:
    """Return a socket address as text: `ADDR:PORT`, `[ADDR%zone]:PORT`, a path, `@abstract`.

    A mapped address of a dual-stack socket is shown as the IPv4 address that it is.

    >>> address_name(("::ffff:10.0.0.1", 80, 0, 0))
    '10.0.0.1:80'
    """
    if isinstance(name, bytes):
        return "@" + name[1:].decode("utf-8", "backslashreplace") if name else ""
    if not isinstance(name, tuple):
        return str(name or "")
    host, port = bare_host(str(name[0])), name[1]
    if len(name) == 4 and name[3] and "%" not in host:
        host = f"{host}%{_zone(name[3])}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _zone(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)  # gone meanwhile


def bare_host(host: str) -> str:
    """Return an address without the IPv4-mapped prefix."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


async def finish(stream: Stream) -> None:
    """End a served connection so that the peer gets all of it.

    A close with bytes unread makes the kernel send RST, which may overtake our last words.
    """
    with contextlib.suppress(OSError):  # it reads no more; let it finish what it reads of ours
        await stream.write_eof()
    left = LINGER_SIZE
    with contextlib.suppress(OSError):
        async with asyncio.timeout(LINGER_S):
            while left > 0 and (data := await stream.read()):
                left -= len(data)
    await stream.close()
