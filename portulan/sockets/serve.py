"""An HTTP/1.1 server of files, on asyncio and nothing else.

Why our own, when a well-kept library beats our own: the demand is 20 times the requests of
`python -m http.server` and 1.5 times its throughput per CPU-second (bench/serve.py). Starlette on
uvicorn was measured first: 0.6 times the requests and 0.2 times the throughput per CPU-second of
`http.server` where no compiled parser is installed, for every request runs through a router, a
thread pool and pure-Python framing. Here a request whose answer is kept costs a look-up and a
`stat`, and a large file goes from the page cache to the socket by sendfile.

Everything that a client can make us hold has a limit: heads, bodies, what it sends ahead, what it
does not read, how long it takes, and how many connections there are. At that limit the connection
that has been waiting longest for a request goes, so that slow clients don't keep others out.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from portulan.errors import UsageError, printable
from portulan.sockets.acceptor import FILES_RESERVED, bind, file_limit
from portulan.sockets.access import AccessList, Rate
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.serve_connection import Connection, State
from portulan.sockets.serve_files import Handler
from portulan.sockets.serve_http import RefusedError, Request
from portulan.sockets.serve_kept import Answers
from portulan.sockets.serve_range import http_date
from portulan.sockets.stream import address_name, bare_host
from portulan.sockets.tls import server_context

MAX_CONNS: Final = 2_000
"""Connections at once. Each may hold 64 KiB sent ahead and an answer as large: 256 MB if all do."""

FILES_PER_CONN: Final = 2
"""Descriptors: the socket and the file."""

ACCEPTS_AT_ONCE: Final = 64
FULL_PAUSE_S: Final = 0.05
"""Until the next look when there is no room, or no descriptor."""
TICK_S: Final = 1.0
"""How often deadlines are looked at, and the date is renewed."""

HEADROOM: Final = 8
"""Connections fewer than descriptors allowed when they ran out."""
LEARNED_S: Final = 60.0
"""Until it is tried again with all."""

HANDSHAKE_S: Final = 10.0
HANDSHAKE_AT_LIMIT_S: Final = 1.0
"""The same where a new client waits for its place."""
SCRATCH_BYTES: Final = 64 * 1024

Log = Callable[[str, bytes, int, int], None]
"""Called with peer, request head, status and body bytes of every answer."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Hub:
    """What the connections of a server share."""

    def __init__(
        self, handler: Handler, *, hosts: frozenset[str] | None, log: Log | None,
        note: Callable[[str], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.handler, self.log, self.note = handler, log, note
        self.answers = Answers()
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.connections: dict[Connection, None] = {}
        self.date = b""
        self._hosts = hosts
        self._tick()

    def _tick(self) -> None:
        """Renew the date and act on what took too long."""
        self.date = http_date(datetime.now(UTC)).encode()
        now = self.now()
        for connection in [each for each in self.connections if each.deadline < now]:
            connection.expire()
        self._timer = self.loop.call_later(TICK_S, self._tick)

    def stop(self) -> None:
        """End every connection."""
        self._timer.cancel()
        for connection in list(self.connections):
            connection.cut()

    def forget(self, connection: Connection) -> None:
        """Count a connection no more."""
        self.connections.pop(connection, None)

    def make_room(self) -> bool:
        """Close the connection that waits longest for a request, or reads nothing of an answer.

        False if all are at work.
        """
        waiting = [each for each in self.connections if each.state is State.WAITING]
        if not waiting:
            waiting = [each for each in self.connections if each.stalled()]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda each: each.deadline)
        self.forget(oldest)
        oldest.cut()
        return True

    def check_host(self, request: Request) -> None:
        """Refuse names that are not ours, where that is known: on the loopback.

        A page anywhere may let its own name lead to 127.0.0.1 and read what we serve (DNS
        rebinding); it cannot make the browser send another name.
        """
        host = request.header("host")
        if self._hosts is None or not host or known_host(host, self._hosts):
            return
        raise RefusedError(421, f"{printable(host)!r} is no name of this server - "
                                "start it with --name for further names")

    def fault(self, peer: str, error: Exception) -> None:
        """Tell of a fault of ours."""
        self.note(f"{peer}: {type(error).__name__}: {printable(str(error))}")


def known_host(host: str, names: Iterable[str]) -> bool:
    """Tell whether a Host header is an address, the local host, or one of these names."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    with suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return False


class Server:
    """A server at work; `close` it, or use it in `async with`."""

    def __init__(
        self, hub: Hub, sockets: list[socket.socket], *, access: AccessList, rate: Rate | None,
        max_conns: int, context: ssl.SSLContext | None, fingerprint: str,
    ) -> None:
        self.fingerprint = fingerprint
        """SHA-256 of the certificate; empty without TLS."""
        self._hub, self._sockets = hub, sockets
        self._access, self._rate, self._max_conns = access, rate, max_conns
        self._limit, self._context = max_conns, context
        self._starting: dict[Connection, tuple[asyncio.Task[None], float]] = {}
        self._listen()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as `ADDR:PORT`."""
        return tuple(address_name(each.getsockname()) for each in self._sockets)

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def active(self) -> int:
        """Connections there are now."""
        return len(self._hub.connections)

    async def close(self) -> None:
        """Take no more and end what there is."""
        self._pause()
        for listener in self._sockets:
            listener.close()
        # One that was cancelled before its first step would never close its socket.
        await asyncio.sleep(0)
        starting = [task for task, _ in self._starting.values()]
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        self._hub.stop()
        while self._hub.connections:
            await asyncio.sleep(0)
        self._hub.handler.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _listen(self) -> None:
        for listener in self._sockets:
            if listener.fileno() >= 0:
                self._hub.loop.add_reader(listener, self._accept, listener)

    def _pause(self) -> None:
        for listener in self._sockets:
            if listener.fileno() >= 0:
                self._hub.loop.remove_reader(listener)

    def _accept(self, listener: socket.socket) -> None:
        for taken in range(ACCEPTS_AT_ONCE):
            if self._full():
                # Someone gives way only for a client that is surely there: the first of a wake.
                if taken:
                    return
                if not (self._hub.make_room() or self._end_slow_start()):
                    self._rest()
                    return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._learn_limit()
                    self._rest()
                    return
                continue  # an error of that connection, which is gone (accept(2))
            if not self._admits(address):
                sock.close()
                continue
            self._start(sock, address_name(address))

    def _start(self, sock: socket.socket, peer: str) -> None:
        connection = Connection(self._hub, peer, secure=self._context is not None)
        task = self._hub.loop.create_task(self._begin(sock, connection))
        self._starting[connection] = task, self._hub.now()
        task.add_done_callback(lambda _: self._starting.pop(connection, None))

    def _learn_limit(self) -> None:
        """There are fewer descriptors than we were told: keep some free for the files."""
        self._limit = max(1, len(self._hub.connections) - HEADROOM)
        for _ in range(HEADROOM):
            self._hub.make_room()
        self._hub.loop.call_later(LEARNED_S, self._forget_limit)

    def _forget_limit(self) -> None:
        self._limit = self._max_conns

    def _rest(self) -> None:
        """Leave new clients in the kernel's queue for a moment, instead of spinning."""
        self._pause()
        self._hub.loop.call_later(FULL_PAUSE_S, self._listen)

    def _full(self) -> bool:
        # Between its first bytes and its task's end a connection stands in both.
        starting = sum(each not in self._hub.connections for each in self._starting)
        return len(self._hub.connections) + starting >= self._limit

    def _end_slow_start(self) -> bool:
        """Give up the TLS handshake that takes longest."""
        for connection, (task, since) in self._starting.items():
            if self._hub.now() - since < HANDSHAKE_AT_LIMIT_S:
                return False
            if connection not in self._hub.connections:
                del self._starting[connection]
                task.cancel()
                return True
        return False

    def _admits(self, address: tuple[str, int]) -> bool:
        host = bare_host(address[0])
        if not self._access.permits(host):
            return False
        return self._rate is None or self._rate.admits(host, self._hub.now())

    async def _begin(self, sock: socket.socket, connection: Connection) -> None:
        sock.setblocking(False)
        try:
            await self._hub.loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S if self._context else None,
            )
        except OSError:
            sock.close()  # gone, or no TLS: nobody is left to tell


async def serve(
    handler: Handler, endpoint: Endpoint | str = "tcp://127.0.0.1:8000", *,
    access: AccessList | None = None, max_conns: int = MAX_CONNS, rate: float = 0.0,
    names: Iterable[str] = (), log: Log | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Server:
    """Serve HTTP at a `tcp:` or `tls:` endpoint; without `cert` TLS uses a throw-away certificate.

    On the loopback only addresses, `localhost` and `names` are taken as `Host`. `rate` is new
    connections a second by one address, 0: any. Raises UsageError and PrivilegeError.
    """
    end = Endpoint.parse(endpoint, listening=True)
    if end.scheme not in {"tcp", "tls"}:
        raise UsageError("HTTP is served at tcp: and tls: endpoints", text=str(end))
    context, fingerprint = (server_context(end.options) if end.scheme == "tls" else (None, ""))
    sockets = await bind(end)
    local = all(_is_loopback(each.getsockname()[0]) for each in sockets)
    hub = Hub(handler, hosts=frozenset(name.lower() for name in names) if local else None, log=log,
              note=note)
    room = max(1, (file_limit() - FILES_RESERVED) // FILES_PER_CONN)
    return Server(
        hub, sockets, access=access or AccessList(), rate=Rate(rate) if rate else None,
        max_conns=min(max_conns, room), context=context, fingerprint=fingerprint,
    )


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
