"""A relayed connection that needs more than two plain sockets.

A PROXY header, TLS, a name to look up, a way through proxies, a program: one task sees to it, and
hands two plain sockets on to a `Joint` if that is what it has in the end.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from portulan.errors import PeerError
from portulan.record import ClosedReason
from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError, dial_error, words
from portulan.sockets.ledger import Line, Meter, tls_text
from portulan.sockets.proxyproto import Proxied, parse
from portulan.sockets.stream import SocketStream, Stream
from portulan.sockets.tee import TeeStream
from portulan.sockets.tls import start_client, start_server

FULL_WAIT_S: Final = 0.1
"""Until the next try when this process has no descriptor left for the way to the target."""
LINGER_S: Final = 2.0
"""How long we discard what a peer still sends to one that is gone."""
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: What kind of failed dial is which end of a connection.
_KINDS: Final[dict[str, ClosedReason]] = {
    "refused": "refused", "timeout": "timeout", "certificate": "tls", "tls": "tls",
}


class Way(Protocol):
    """What a session needs of its relay."""

    target: Endpoint
    target_context: ssl.SSLContext | None
    listen_context: ssl.SSLContext | None
    handshake_s: float
    proxy_in: bool
    proxy_out: int

    def admits(self, host: str) -> bool:
        """Return whether the access list lets this address through."""

    def tee_of(self, line: Line, client: Stream, target: Stream) -> TeeStream | None:
        """Begin the connection's part of a capture, if one is kept."""

    def join(self, session: Session, client: SocketStream, target: SocketStream) -> None:
        """Take both sockets over."""

    def over(self, line: Line, why: ClosedReason, error: str) -> None:
        """Note the end; the sockets are still open."""


class Given(Exception):  # noqa: N818 - how a session ends, told to its own task
    """The session is over: why, and what went wrong."""

    def __init__(self, why: ClosedReason, error: str = "") -> None:
        self.why: ClosedReason = why
        self.error = error
        super().__init__(why)


class Session:
    """One connection from its accept to its end, or until it is handed on."""

    def __init__(self, way: Way, client: SocketStream, line: Line, *, now: Callable[[], float],
                 destination: tuple[str, int], source: tuple[str, int]) -> None:
        self.line = line
        self._way, self._now = way, now
        self._plain_client = client
        self._proxied = Proxied(source[0], source[1], *destination)
        self._streams: list[Stream] = [client]
        self._tee: TeeStream | None = None
        self._stopped: Given | None = None
        self._task = asyncio.create_task(self._run())

    def close(self, why: ClosedReason, error: str = "") -> None:
        """End it at once."""
        self._stopped = self._stopped or Given(why, error)
        self._task.cancel()

    def tick(self, now_s: float, idle_s: float) -> None:
        """End what has been silent for too long; the handshakes have limits of their own."""
        if idle_s and now_s - self.line.active_s > idle_s:
            self.close("idle")

    async def _run(self) -> None:
        try:
            if not await self._connect():
                return
            await self._carry_both()
            ended = Given("end")
        except asyncio.CancelledError:
            ended = self._stopped or Given("stopped")
        except Given as given:
            ended = given
        except Exception as error:
            ended = Given("error", f"{type(error).__name__}: {error}")
        await self._finish(ended)

    async def _finish(self, ended: Given) -> None:
        if self._tee is not None:
            self._tee.close(reset=ended.why != "end")
        self._way.over(self.line, ended.why, ended.error or self.line.error)
        for stream in self._streams:
            if ended.why == "end":
                with suppress(OSError):
                    await stream.close()
            stream.abort()

    # -- until both ends are there -----------------------------------------------------------

    async def _connect(self) -> bool:
        """Make both ends ready; False once two plain sockets were handed on."""
        client = await self._greet()
        target = await self._reach()
        self._streams.append(target)
        self.line.target = target.peer
        self.line.target_tls = tls_text(target.facts)
        if isinstance(target, SocketStream):
            self.line.target_sock = target.sock
        self.line.active_s = self._now()
        if isinstance(client, SocketStream) and isinstance(target, SocketStream):
            self._way.join(self, client, target)
            return False
        self._tee = self._way.tee_of(self.line, client, target)
        return True

    async def _greet(self) -> Stream:
        """Return the client's stream, its PROXY header read and its TLS begun."""
        try:
            async with asyncio.timeout(self._way.handshake_s):
                if self._way.proxy_in:
                    await self._read_header()
                if self._way.listen_context is None:
                    return self._plain_client
                client = await start_server(self._plain_client, self._way.listen_context)
        except TimeoutError as error:
            if error.errno:
                raise Given("client-reset") from None
            raise Given("timeout", "the client did not get ready in time") from None
        except ssl.SSLError as error:
            raise Given("tls", words(error)) from None
        except OSError:
            raise Given("client-reset") from None
        self.line.tls = tls_text(client.facts)
        self._streams[0] = client
        return client

    async def _read_header(self) -> None:
        data = b""
        while True:
            more = await self._plain_client.read(4096)
            if not more:
                raise Given("header", "the client ended before its PROXY header did")
            data += more
            try:
                parsed = parse(data)
            except PeerError as error:
                raise Given("header", str(error)) from None
            if parsed is not None:
                break
        self._plain_client.push(data[parsed.size :])
        if parsed.proxied.known:
            self.line.via = self.line.client
            self._proxied = parsed.proxied
            self.line.client = _inet_text(parsed.proxied.source, parsed.proxied.source_port)
        if not self._way.admits(self._proxied.source):
            raise Given("denied")

    async def _reach(self) -> Stream:
        """Return the target's stream, our PROXY header sent and its TLS begun."""
        end = self._way.target
        try:
            async with asyncio.timeout(end.options.timeout):
                return await self._dial(end)
        except DialError as error:
            raise Given(_KINDS.get(error.kind, "unreachable"), str(error)) from None
        except OSError as error:
            fault = dial_error(end.place, error)
            raise Given(_KINDS.get(fault.kind, "unreachable"), str(fault)) from None

    async def _dial(self, end: Endpoint) -> Stream:
        plain = replace(end, scheme="tcp") if end.scheme == "tls" else end
        stream = await self._dial_with_room(plain)
        try:
            if self._way.proxy_out:
                await stream.write(header_bytes(self._proxied, self._way.proxy_out))
            if self._way.target_context is None:
                return stream
            name = end.options.sni or end.host
            return await start_client(stream, self._way.target_context, name=name,
                                      pin=end.options.pin)
        except BaseException:
            stream.abort()
            raise

    async def _dial_with_room(self, end: Endpoint) -> Stream:
        while True:
            try:
                return await dial(end)
            except DialError as error:
                fault = error.__context__
                if not isinstance(fault, OSError) or fault.errno not in _FULL:
                    raise
            await asyncio.sleep(FULL_WAIT_S)

    # -- both directions ---------------------------------------------------------------------

    async def _carry_both(self) -> None:
        client, target = self._streams
        up = asyncio.create_task(self._carry(client, target, self.line.up))
        down = asyncio.create_task(self._carry(target, client, self.line.down))
        both = {up, down}
        try:
            while both:
                done, both = await asyncio.wait(
                    both, timeout=self._patience(up, down), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if not done:
                    break  # lingered long enough
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        if self._lost:
            raise self._lost

    _lost: Given | None = None
    """The sink that was lost while there was something for it."""

    def _patience(self, up: asyncio.Task[None], down: asyncio.Task[None]) -> float | None:
        """Return how long to wait for a direction that only discards what comes."""
        return LINGER_S if self._lost and (up.done() or down.done()) else None

    async def _carry(self, source: Stream, sink: Stream, meter: Meter) -> None:
        """Pass one direction on to its end; a lost sink leaves the other direction alone."""
        from_client = source is self._streams[0]
        lost = False
        while data := await self._take(source):
            self.line.active_s = self._now()
            self._tap(data, from_client=from_client)
            if lost:
                continue
            try:
                await sink.write(data)
                meter.count += len(data)
            except OSError:
                lost = True
                self._lost = self._lost or Given("target-reset" if from_client else "client-reset")
        if self._tee is not None:
            (self._tee.end_client if from_client else self._tee.end_server)()
        if getattr(source, "truncated", False):
            self.line.error = "TLS ended without close_notify"
        if not lost:
            with suppress(OSError):
                await sink.write_eof()

    async def _take(self, source: Stream) -> bytes:
        try:
            return await source.read()
        except OSError as error:
            from_client = source is self._streams[0]
            reason = words(error) if isinstance(error, ssl.SSLError) else ""
            raise Given("client-reset" if from_client else "target-reset", reason) from None

    def _tap(self, data: bytes, *, from_client: bool) -> None:
        if self._tee is not None:
            (self._tee.from_client if from_client else self._tee.from_server)(data)


def header_bytes(proxied: Proxied, version: int) -> bytes:
    """Return the PROXY header of a version."""
    return proxied.pack_v2() if version == 2 else proxied.pack_v1()


def _inet_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
