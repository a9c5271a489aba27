"""One HTTP connection: requests in, answers out in their order, a deadline on every wait.

    WAITING    for the end of a head, or for the next request of a connection kept alive
    BODY       the handler waits for more of the request's body
    BUSY       the handler works; nothing is expected of the client
    SENDING    the client should take the answer
    LINGERING  all is said; what the client still sends is dropped, so that it reads the answer

A client that stays silent, drips or does not read is cut off by `expire`; what it sends ahead is
bounded: reading pauses while an answer is under way and 64 KiB of further requests are here.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, cast

from portulan.sockets.serve_body import Body
from portulan.sockets.serve_http import (
    END_OF_HEAD,
    HEAD_MAX_BYTES,
    RefusedError,
    Request,
    Response,
    Slice,
    head_bytes,
    parse_head,
    plain,
)
from portulan.sockets.serve_kept import BODY_MAX_BYTES, Kept
from portulan.sockets.serve_sendfile import send_slice

if TYPE_CHECKING:
    from portulan.sockets.serve import Hub

AHEAD_MAX_BYTES: Final = 64 * 1024
"""What a client may send ahead of the answers: pipelined requests, or the next piece of a body."""

TURN_MAX: Final = 16
"""Answers to one client's pipelined requests before others get theirs; without it a few hundred
clients that send requests without reading kept a new one waiting for half a minute."""

HEAD_S: Final = 10.0
"""For a whole head, however it drips; nginx gives 60, slowloris needs long waits."""

IDLE_S: Final = 60.0
"""For the next request; at the limit of connections the one idle longest goes before that."""

STALLED_S: Final = 30.0
"""Without one byte taken by a client that we send to."""

STALLED_AT_LIMIT_S: Final = 5.0
"""The same where a new client waits for its place."""

BODY_GRACE_S: Final = 30.0
BODY_MIN_BYTES_PER_S: Final = 1000
"""A body may take the grace, and a second more for every so many bytes: a drip is cut off."""

LINGER_S: Final = 2.0

ROOM_TRIES: Final = 10
ROOM_S: Final = 0.01
"""Tries to open a file, and the pause between them, when all descriptors are in use."""

TLS_PIECE_BYTES: Final = 64 * 1024
NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""The kernel's word that this file cannot be sent so: copy it."""

ACKED_OFFSET: Final = 120
"""Of tcpi_bytes_acked in struct tcp_info (linux/tcp.h), since Linux 4.1."""


class State(IntEnum):
    """What the connection waits for."""

    WAITING = 0
    BODY = 1
    BUSY = 2
    SENDING = 3
    LINGERING = 4
    CLOSED = 5


class Connection(asyncio.BufferedProtocol):
    """The server's end of one connection."""

    __slots__ = (
        "_acked", "_body_bytes", "_body_since", "_buffer", "_eof", "_hub", "_more", "_paused",
        "_queued", "_task", "_transport", "_writable", "deadline", "peer", "secure", "state",
    )

    def __init__(self, hub: Hub, peer: str, *, secure: bool) -> None:
        self._hub = hub
        self.peer, self.secure = peer, secure
        self.state = State.WAITING
        self.deadline = hub.now() + HEAD_S
        self._buffer = bytearray()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._task: asyncio.Task[None] | None = None
        self._more: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = self._eof = self._queued = False
        self._acked = self._body_bytes = 0
        self._body_since = 0.0

    # -- asyncio's calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._hub.connections[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End, with whatever is under way."""
        self.state = State.CLOSED
        self._hub.forget(self)
        self._wake()
        if self._task is not None:
            self._task.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer that all connections share: it is emptied before another one reads."""
        return self._hub.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came in; the fast path is one whole request whose answer is kept."""
        if self.state is State.LINGERING:
            return
        data = self._hub.scratch[:nbytes].tobytes()
        if self.state is State.WAITING and not self._buffer and self._writable is None:
            kept = self._hub.answers.get(data)
            if kept is not None:
                self._repeat(kept, data)
                return
            self.deadline = self._hub.now() + HEAD_S
        self._buffer += data
        if self.state is State.WAITING and not self._queued:
            self._advance()
        elif self.state is State.BODY:
            self._wake()
        if len(self._buffer) >= AHEAD_MAX_BYTES and self.state is not State.CLOSED:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what was asked before the client ended its direction."""
        self._eof = True
        self._wake()
        busy = self.state in {State.BODY, State.BUSY, State.SENDING} or self._writable is not None
        return busy and not self.secure

    def pause_writing(self) -> None:
        """Stop: the client does not read."""
        if self._writable is None:
            self._writable = self._hub.loop.create_future()
            self._watch()

    def resume_writing(self) -> None:
        """Go on."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        if self.state is State.WAITING:
            self.deadline = self._hub.now() + IDLE_S
            self._take_turn()

    # -- requests ----------------------------------------------------------------------------

    def _advance(self) -> None:
        """Answer the requests that are here, one after the other, and let others have turns."""
        for _ in range(TURN_MAX):
            if self.state is not State.WAITING or self._writable is not None or (
                    self._transport.is_closing()):
                break
            while self._buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2
                del self._buffer[:2]
            end = self._buffer.find(END_OF_HEAD, 0, HEAD_MAX_BYTES)
            if end < 0:
                self._unfinished()
                break
            head = bytes(self._buffer[: end + len(END_OF_HEAD)])
            del self._buffer[: len(head)]
            kept = self._hub.answers.get(head)
            if kept is not None:
                self._repeat(kept, head)
            else:
                self.state = State.BUSY
                self._task = self._hub.loop.create_task(self._exchange(head))
        else:
            self._take_turn()
        self._unpause()

    def _take_turn(self) -> None:
        if not self._queued:
            self._queued = True
            self._hub.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._queued = False
        self._advance()

    def _unfinished(self) -> None:
        """See whether a head that is not complete still may become one."""
        if len(self._buffer) >= HEAD_MAX_BYTES:
            status = 431 if b"\r\n" in self._buffer else 414
            self._refuse(RefusedError(status))
        elif bytes(self._buffer[:2]) not in (b"", b"\r") and not 0x20 < self._buffer[0] < 0x7F:
            # TLS on a plain port, or no HTTP at all: it would never become a head.
            self._refuse(RefusedError(400, "this port speaks plain HTTP" if not self.secure
                                      else "this is no HTTP"))
        elif self._eof:
            self._transport.close()

    def _repeat(self, kept: Kept, head: bytes) -> None:
        hub = self._hub
        self._transport.write(b"".join((kept.before, hub.date, kept.after)))
        if hub.log is not None:
            hub.log(self.peer, head, kept.status, kept.length)
        if kept.keep_alive:
            if self._writable is None:
                self.deadline = hub.now() + IDLE_S
        else:
            self._linger()

    def _refuse(self, refusal: RefusedError) -> None:
        response = plain(refusal.status, str(refusal), refusal.headers)
        self._write_head(response, keep_alive=False, version=(1, 1), body=True)
        if self._hub.log is not None:
            self._hub.log(self.peer, bytes(self._buffer[:HEAD_MAX_BYTES]), refusal.status, 0)
        self._linger()

    async def _exchange(self, head: bytes) -> None:
        """Read one request, answer it, and go on with the next."""
        try:
            keep_alive = await self._answer(head)
        except (ConnectionError, ssl.SSLError):
            self._transport.abort()
            return
        finally:
            self._task = None
        if self.state is State.CLOSED:
            return
        if not keep_alive:
            self._linger()
            return
        self.state = State.WAITING
        self.deadline = self._hub.now() + (HEAD_S if self._buffer else IDLE_S)
        if self._eof and not self._buffer:
            self._transport.close()
        self._advance()

    async def _answer(self, head: bytes) -> bool:
        """Answer a request; return whether the connection goes on."""
        request, body = None, None
        try:
            request = parse_head(head)
            self._hub.check_host(request)
            body = Body(self, request)
            response = await self._handle(request, body)
        except RefusedError as refusal:
            response = plain(refusal.status, str(refusal), refusal.headers)
        except (ConnectionError, ssl.SSLError):
            raise
        except Exception as error:
            # A fault of ours costs one answer, not the server.
            self._hub.fault(self.peer, error)
            response = plain(500)
        try:
            keep_alive = request is not None and request.keep_alive and (
                body is not None and await body.skip())
            self.state = State.SENDING
            await self._send(request, response, head, keep_alive=keep_alive)
        finally:
            if response.file >= 0:
                os.close(response.file)
        if self._hub.log is not None:
            self._hub.log(self.peer, head, response.status, response.length)
        return keep_alive

    async def _handle(self, request: Request, body: Body) -> Response:
        """Ask the handler; out of descriptors, let a waiting client go and ask again."""
        for _ in range(ROOM_TRIES):
            try:
                return await self._hub.handler.answer(request, body)
            except RefusedError as refusal:
                if refusal.status != 503 or request.length != 0 or not self._hub.make_room():
                    raise
            await asyncio.sleep(ROOM_S)
        return await self._hub.handler.answer(request, body)

    # -- a body comes in ---------------------------------------------------------------------

    async def more(self) -> bool:
        """Wait for further bytes in the buffer; False if the client has ended."""
        if self._eof or self.state is State.CLOSED:
            return False
        self._body_since = self._body_since or self._hub.now()
        allowed_s = BODY_GRACE_S + self._body_bytes / BODY_MIN_BYTES_PER_S
        self.state, self.deadline = State.BODY, self._body_since + allowed_s
        self._more = self._hub.loop.create_future()
        self._unpause()
        await self._more
        if self.state is not State.BODY:
            raise ConnectionAbortedError
        self.state = State.BUSY
        return True

    def begin_body(self) -> None:
        """Start the clock of a body."""
        self._body_since, self._body_bytes = 0.0, 0

    def taken(self, count: int) -> None:
        """Count bytes of a body."""
        self._body_bytes += count

    @property
    def buffer(self) -> bytearray:
        """What came in and was not looked at yet."""
        return self._buffer

    def say_continue(self) -> None:
        """Let a client that asked first send its body (RFC 9110 section 10.1.1)."""
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _unpause(self) -> None:
        if self._paused and len(self._buffer) < AHEAD_MAX_BYTES:
            self._paused = False
            self._transport.resume_reading()

    # -- an answer goes out ------------------------------------------------------------------

    async def _send(
        self, request: Request | None, response: Response, head: bytes, *, keep_alive: bool
    ) -> None:
        version = request.version if request else (1, 1)
        body = request is None or request.method != "HEAD"
        if response.length <= BODY_MAX_BYTES:
            content = _content(response) if body else b""
            data = head_bytes(response, date=self._hub.date, keep_alive=keep_alive,
                              version=version)
            if response.source and request and request.length == 0:
                before, _, after = data.partition(self._hub.date)
                self._hub.answers.put(head, Kept(
                    before, after + content, response.source, keep_alive, response.status,
                    response.length))
            self._transport.write(data + content)
        else:
            self._watch()
            self._write_head(response, keep_alive=keep_alive, version=version, body=False)
            for part in response.parts if body else []:
                await self._send_part(part, response.file)
        await self._drain()

    def _write_head(
        self, response: Response, *, keep_alive: bool, version: tuple[int, int], body: bool
    ) -> None:
        data = head_bytes(response, date=self._hub.date, keep_alive=keep_alive, version=version)
        if body:
            data += b"".join(part for part in response.parts if isinstance(part, bytes))
        self._transport.write(data)

    async def _send_part(self, part: bytes | Slice, file: int) -> None:
        if isinstance(part, bytes):
            self._transport.write(part)
            await self._drain()
        elif self.secure:
            await self._copy(part, file)
        else:
            await self._splice(part, file)

    async def _splice(self, part: Slice, file: int) -> None:
        """Let the kernel send it, where the file system can."""
        await self._empty()
        number = self._transport.get_extra_info("socket").fileno()
        try:
            sent = await send_slice(number, file, part)
        except OSError as error:
            if error.errno not in NO_SENDFILE:
                raise ConnectionAbortedError from None
            await self._copy(part, file)
            return
        if sent < part.length:
            raise ConnectionAbortedError  # the file shrank: the length we promised was wrong

    async def _empty(self) -> None:
        """Wait until nothing waits in the transport, which knows nothing of sendfile."""
        self._transport.set_write_buffer_limits(0)
        try:
            # It looks at the limit only when something is written.
            if self._transport.get_write_buffer_size() and self._writable is None:
                self.pause_writing()
            await self._drain()
        finally:
            self._transport.set_write_buffer_limits()

    async def _copy(self, part: Slice, file: int) -> None:
        offset, end = part.offset, part.offset + part.length
        while offset < end:
            data = os.pread(file, min(TLS_PIECE_BYTES, end - offset), offset)
            if not data:
                raise ConnectionAbortedError
            self._transport.write(data)
            offset += len(data)
            await self._drain()

    async def _drain(self) -> None:
        while self._writable is not None:
            await asyncio.shield(self._writable)
        if self._transport.is_closing():
            raise ConnectionAbortedError

    # -- the end -----------------------------------------------------------------------------

    def _linger(self) -> None:
        """Say that nothing follows, and drop what still comes.

        A socket closed with unread bytes sends RST, which takes the answer from the client.
        """
        self._buffer.clear()
        self.deadline = self._hub.now() + LINGER_S
        self.state = State.LINGERING
        if self._eof or self.secure:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._unpause()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        if self._writable is not None or self.state is State.SENDING:
            if self._progressed():
                self.deadline = self._hub.now() + STALLED_S
            else:
                self.cut()
        elif self.state is State.BUSY:
            self.deadline = self._hub.now() + STALLED_S
        elif (self.state is State.WAITING and self._buffer) or self.state is State.BODY:
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
            self._refuse(RefusedError(408))
        else:
            self._transport.close() if self.state is State.WAITING else self.cut()

    def cut(self) -> None:
        """End at once, what is under way first."""
        if self._task is None:
            self._transport.abort()
        else:
            self._task.add_done_callback(lambda _: self._transport.abort())
            self._task.cancel()

    def stalled(self) -> bool:
        """Tell whether the client has taken nothing for a while of what we send."""
        sending = self.state is State.SENDING or self._writable is not None
        waited_s = self._hub.now() - self.deadline + STALLED_S
        return sending and waited_s > STALLED_AT_LIMIT_S and not self._progressed()

    def _watch(self) -> None:
        """Begin to watch what the client takes."""
        self.deadline = self._hub.now() + STALLED_S
        self._acked = self._bytes_acked()

    def _progressed(self) -> bool:
        """Tell whether the client took a byte since the last look."""
        before, self._acked = self._acked, self._bytes_acked()
        return self._acked != before

    def _bytes_acked(self) -> int:
        """Return what the peer's kernel took in all; only ours knows how far sendfile is."""
        sock: Any = self._transport.get_extra_info("socket")
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED_OFFSET + 8)
            return int(struct.unpack_from("=Q", info, ACKED_OFFSET)[0])
        except (OSError, struct.error):
            return 0  # closed already, or an old kernel: counts as no progress


def _content(response: Response) -> bytes:
    """Return a small body; raises ConnectionAbortedError if the file shrank between two looks."""
    content = b"".join(
        part if isinstance(part, bytes) else os.pread(response.file, part.length, part.offset)
        for part in response.parts
    )
    if len(content) != response.length:
        raise ConnectionAbortedError
    return content
