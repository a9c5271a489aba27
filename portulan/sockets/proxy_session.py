"""One client of a proxy: what it asks for, whether it gets it, and how that ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from portulan.record import ClosedReason
from portulan.sockets.dial import connect_tcp
from portulan.sockets.endpoint import Endpoint, join_address
from portulan.sockets.faults import dial_error, words
from portulan.sockets.ledger import Line
from portulan.sockets.lookup import interleave, lookup
from portulan.sockets.proxy_http import CONTINUE, ESTABLISHED, HEAD_MAX, parse, refusal
from portulan.sockets.proxy_http import Asked as HttpAsked
from portulan.sockets.proxy_rules import Door, Rules
from portulan.sockets.proxy_socks import (
    Asked,
    Command,
    Reply,
    SocksError,
    negotiate,
    read_request,
    reply,
)
from portulan.sockets.proxy_udp import Association
from portulan.sockets.serve_http import END_OF_HEAD, Chunks, RefusedError, Request
from portulan.sockets.stream import SocketStream, bare_host

ADDRESSES_MAX: Final = 8
"""Addresses of one target that are tried."""
ATTEMPT_S: Final = 3.0
"""For each address but the last: one that is silent must not use up all the time."""
READ_SIZE: Final = 65_536

_KINDS: Final[dict[str, ClosedReason]] = {"refused": "refused", "timeout": "timeout"}
_REPLIES: Final[dict[str, Reply]] = {"denied": Reply.NOT_ALLOWED, "refused": Reply.REFUSED}
_STATUSES: Final = {"denied": 403, "timeout": 504}


class Way(Protocol):
    """What a session needs of its proxy."""

    rules: Rules

    async def join(self, client: SocketStream, target: SocketStream, line: Line) -> None:
        """Join two connected sockets until both directions have ended, and note that."""

    def over(self, line: Line, why: ClosedReason, error: str) -> None:
        """Note the end of a connection; its sockets are still open."""


class Ended(Exception):  # noqa: N818 - how a session ends, told to its own task
    """A session is over: why, and what went wrong."""

    def __init__(self, why: ClosedReason, error: str = "") -> None:
        self.why: ClosedReason = why
        self.error = error
        super().__init__(why)


class Session:
    """A client from its first byte to its end, or until it is joined with its target."""

    def __init__(self, way: Way, door: Door, client: SocketStream, line: Line) -> None:
        self._way, self._door, self._client, self._line = way, door, client, line
        self._loop = asyncio.get_running_loop()
        self._client_host = bare_host(client.peer.rpartition(":")[0].strip("[]"))
        self._joined = False
        line.client_sock = client.sock

    async def run(self) -> None:
        """Serve the client; whatever happens is noted once."""
        ended = Ended("end")
        try:
            await (self._socks() if self._door.protocol == "socks5" else self._http())
        except Ended as given:
            ended = given
        except asyncio.CancelledError:
            ended = Ended("stopped")
            raise
        except OSError as error:
            ended = Ended("client-reset", words(error) if not error.errno else "")
        except Exception as error:
            ended = Ended("error", f"{type(error).__name__}: {error}")
        finally:
            if not self._joined:
                self._way.over(self._line, ended.why, ended.error)

    # -- SOCKS5 ------------------------------------------------------------------------------

    async def _socks(self) -> None:
        asked = await self._asked_of_socks()
        if asked.command is Command.UDP_ASSOCIATE:
            await self._associate(asked)
            return
        try:
            target = await self._reach(asked.host, asked.port)
        except Ended as ended:
            await self._client.write(reply(_REPLIES.get(ended.why, Reply.HOST_UNREACHABLE)))
            raise
        name = target.sock.getsockname()
        await self._join(target, reply(Reply.SUCCEEDED, (name[0], name[1])))

    async def _asked_of_socks(self) -> Asked:
        try:
            async with asyncio.timeout(self._way.rules.handshake_s):
                await negotiate(self._client, self._door)
                return await read_request(self._client)
        except TimeoutError:
            raise Ended("timeout", "it did not say what it wants in time") from None
        except SocksError as error:
            if error.reply is not None:
                await self._client.write(reply(error.reply))
            raise Ended("denied" if error.login else "header", str(error)) from None

    async def _associate(self, asked: Asked) -> None:
        """Move datagrams until the client ends the connection that asked for it."""
        local = bare_host(self._client.sock.getsockname()[0])
        self._line.protocol = "udp"
        association = Association(
            local, (self._client_host, asked.port), self._line,
            lambda host: self._way.rules.reaches(self._client_host, host))
        try:
            await self._client.write(reply(Reply.SUCCEEDED, association.address))
            await self._until_it_leaves()
        finally:
            association.close()

    async def _until_it_leaves(self) -> None:
        idle_s = self._way.rules.idle_s
        while True:
            left = self._line.active_s + idle_s - self._loop.time() if idle_s else None
            if left is not None and left <= 0:
                raise Ended("idle")
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    if not await self._client.read(READ_SIZE):
                        return

    # -- HTTP --------------------------------------------------------------------------------

    async def _http(self) -> None:
        try:
            asked = parse(await self._read_head(), self._door)
        except RefusedError as error:
            await self._client.write(refusal(error.status, str(error)))
            raise Ended("denied" if error.status == 407 else "header", str(error)) from None
        try:
            target = await self._reach(asked.host, asked.port)
        except Ended as ended:
            await self._client.write(refusal(_STATUSES.get(ended.why, 502), ended.error))
            raise
        if asked.request is None:
            await self._join(target, ESTABLISHED)
            return
        try:
            await self._pass_on(asked, asked.request, target)
            await target.close()
        finally:
            target.abort()  # harmless where it was closed

    async def _read_head(self) -> bytes:
        data = b""
        try:
            async with asyncio.timeout(self._way.rules.handshake_s):
                while (end := data.find(END_OF_HEAD)) < 0:
                    if len(data) >= HEAD_MAX:
                        raise RefusedError(431)
                    if data and not 0x20 < data[0] < 0x7F:
                        raise RefusedError(400, "this is no HTTP")
                    more = await self._client.read(HEAD_MAX - len(data))
                    if not more:
                        raise Ended("header" if data else "end", "it ended within its request"
                                    if data else "")
                    data += more
        except TimeoutError:
            raise Ended("timeout", "it did not say what it wants in time") from None
        end += len(END_OF_HEAD)
        self._client.push(data[end:])
        return data[:end]

    async def _pass_on(self, asked: HttpAsked, request: Request, target: SocketStream) -> None:
        """Pass one request and its answer on; a next one may be for another target."""
        self._line.target_sock = target.sock
        await target.write(asked.head)
        self._line.up.count += len(asked.head)
        if asked.expects:
            await self._client.write(CONTINUE)
        body = asyncio.create_task(self._send_body(request, target))
        try:
            while data := await self._answer(target):
                await self._client.write(data)
                self._line.down.count += len(data)
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    async def _answer(self, target: SocketStream) -> bytes:
        try:
            async with asyncio.timeout(self._way.rules.idle_s or None):
                return await target.read(READ_SIZE)
        except TimeoutError:
            raise Ended("idle") from None
        except OSError:
            raise Ended("target-reset") from None

    async def _send_body(self, request: Request, target: SocketStream) -> None:
        """Send the request's body and nothing beyond it."""
        if request.length is None:
            await self._send_chunks(target)
            return
        left = request.length
        while left and (data := await self._client.read(min(READ_SIZE, left))):
            left -= len(data)
            self._line.up.count += len(data)
            await target.write(data)
        if left:
            target.abort()  # half a request must not look like a whole one

    async def _send_chunks(self, target: SocketStream) -> None:
        """Send a chunked body, decoded and made anew, so that its end is where we see it."""
        chunks, buffer = Chunks(), bytearray()
        try:
            while not chunks.done:
                while data := chunks.take(buffer):
                    self._line.up.count += len(data)
                    await target.write(b"%x\r\n%b\r\n" % (len(data), data))
                if not chunks.done:
                    more = await self._client.read(READ_SIZE)
                    if not more:
                        raise RefusedError(400)
                    buffer += more
            await target.write(b"0\r\n\r\n")
        except RefusedError:
            target.abort()

    # -- targets -----------------------------------------------------------------------------

    async def _reach(self, host: str, port: int) -> SocketStream:
        """Connect to a target's addresses that are allowed, one after the other."""
        place = join_address(host, port)
        self._line.target = place
        try:
            async with asyncio.timeout(self._way.rules.connect_s):
                found = await lookup(host, port)
                allowed = [str(address[0]) for _, address in interleave(found)
                           if self._way.rules.reaches(self._client_host, str(address[0]))]
                if not allowed or not port:
                    raise Ended("denied", f"{place} is no target that is allowed")
                return await self._first_of(allowed[:ADDRESSES_MAX], port)
        except OSError as error:
            fault = dial_error(place, error)
            raise Ended(_KINDS.get(fault.kind, "unreachable"), str(fault)) from None

    async def _first_of(self, hosts: list[str], port: int) -> SocketStream:
        for host in hosts[:-1]:
            with suppress(OSError):
                async with asyncio.timeout(ATTEMPT_S):
                    return await connect_tcp(Endpoint("tcp", host, port))
        return await connect_tcp(Endpoint("tcp", hosts[-1], port))

    async def _join(self, target: SocketStream, answer: bytes) -> None:
        self._line.target_sock = target.sock
        self._line.active_s = self._loop.time()
        try:
            await self._client.write(answer)
        except BaseException:
            target.abort()
            raise
        self._joined = True
        await self._way.join(self._client, target, self._line)
