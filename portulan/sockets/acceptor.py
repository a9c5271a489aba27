"""Listening: sockets bound, connections taken, each served by a handler of its own.

No connection can stop the listener: not its exception, not its silence, not the lack of
descriptors. At the limit of connections new ones wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from portulan.errors import PrivilegeError, UsageError, printable
from portulan.record import ClosedReason, Connection
from portulan.sockets.access import AccessList, Rate
from portulan.sockets.certificate import NAMES
from portulan.sockets.datagram import Address, Datagrams, bind_datagram_socket, bind_host
from portulan.sockets.dial import unix_address
from portulan.sockets.endpoint import EVERYWHERE, Endpoint
from portulan.sockets.faults import WORDS, words
from portulan.sockets.ledger import Carried, Line, end_text, tls_text
from portulan.sockets.lookup import Found, lookup
from portulan.sockets.stream import (
    SocketStream,
    Stream,
    address_name,
    bare_host,
    finish,
    socket_name,
)
from portulan.sockets.tls import server_context, start_server

BACKLOG: Final = 4_096
"""Connections the kernel may hold ready; net.core.somaxconn cuts it."""
ACCEPTS_AT_ONCE: Final = 64
"""Taken before the others get a turn."""
EXHAUSTED_PAUSE_S: Final = 0.1
"""Out of descriptors or memory: the queue stays readable, so asking again at once would spin."""
HANDSHAKE_S: Final = 10.0
"""For a client to finish its TLS handshake."""
FILES_RESERVED: Final = 24
"""Descriptors kept for the loop, the terminal, names and certificates."""
CONNS_MAX: Final = 65_536
"""Connections at once where no limit is given; the descriptors allow fewer, mostly."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class Note:
    """What befell a connection that the handler did not see, or that it failed on."""

    peer: str
    kind: str
    """denied, rate, tls, peer (it broke off), error (a fault of the handler), files."""
    text: str


class Closed(Exception):  # noqa: N818 - how a connection ended, told by its handler
    """What a handler raises to end a connection for a reason of which it has told people itself."""

    def __init__(self, why: ClosedReason) -> None:
        self.why: ClosedReason = why
        super().__init__(why)


Handler = Callable[[Stream], Awaitable[None]]
Before = Callable[[SocketStream], Awaitable[None]]


class Acceptor:
    """A listener at work; close it, or use it in `async with`."""

    def __init__(self, end: Endpoint, handler: Handler, *, access: AccessList, max_conns: int,
                 rate: Rate | None, context: ssl.SSLContext | None, fingerprint: str,
                 before_tls: Before | None, handshake_timeout: float,
                 note: Callable[[Note], None],
                 record: Callable[[Connection], None] | None, clock: Callable[[], int]) -> None:
        self.endpoint, self.fingerprint = end, fingerprint
        """SHA-256 of the certificate, for clients to pin; empty without TLS."""
        self.accepted = self.refused = 0
        self._handler, self._access, self._rate = handler, access, rate
        self._context, self._before_tls = context, before_tls
        self._handshake_s, self._note = handshake_timeout, note
        self._max_conns, self._record, self._clock = max_conns, record, clock
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._listening, self._inode = False, (0, 0)
        self._ended = asyncio.Event()

    @property
    def active(self) -> int:
        """Connections there are now."""
        return len(self._tasks)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as `ADDR:PORT` or a path."""
        return tuple(socket_name(sock) for sock in self._sockets)

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for; 0 of a Unix socket."""
        name = self._sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    def add(self, sock: socket.socket) -> None:
        """Take a listening socket."""
        self._sockets.append(sock)
        if sock.family == socket.AF_UNIX and not self.endpoint.path.startswith("@"):
            about = Path(self.endpoint.path).stat()
            self._inode = about.st_dev, about.st_ino

    def resume(self) -> None:
        """Take connections, if there is room."""
        if not self._listening and self._sockets and len(self._tasks) < self._max_conns:
            self._listening = True
            for sock in self._sockets:
                self._loop.add_reader(sock.fileno(), self._accept, sock)

    def pause(self) -> None:
        """Leave new connections in the kernel's queue."""
        if self._listening:
            self._listening = False
            for sock in self._sockets:
                self._loop.remove_reader(sock.fileno())

    def stop_listening(self) -> None:
        """Take no more, and let new clients be refused; those who are here stay."""
        self.pause()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self._unlink()

    async def wait_closed(self) -> None:
        """Wait until someone closes it."""
        await self._ended.wait()

    async def close(self, grace: float = 0.0) -> None:
        """Take no more; give connections `grace` seconds to end, then cut them."""
        self.stop_listening()
        if self._tasks and grace > 0:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._ended.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    def _unlink(self) -> None:
        """Remove a Unix socket's file, unless someone has put another there."""
        if self._inode != (0, 0):
            with contextlib.suppress(OSError):
                about = Path(self.endpoint.path).stat()
                if (about.st_dev, about.st_ino) == self._inode:
                    Path(self.endpoint.path).unlink()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._exhausted(error)
                    return
                continue  # this one is gone already (accept(2): errors of the connection itself)
            self._take(sock, address)
            if len(self._tasks) >= self._max_conns:
                self.pause()
                return

    def _exhausted(self, error: OSError) -> None:
        self._note(Note("", "files", words(error)))
        self.pause()
        self._loop.call_later(EXHAUSTED_PAUSE_S, self.resume)

    def _take(self, sock: socket.socket, address: Address) -> None:
        if isinstance(address, tuple):
            host = bare_host(address[0])
            if not self._access.permits(host):
                self._refuse(sock, address, "denied", "not on the access list")
                return
            if self._rate and not self._rate.admits(host, self._loop.time()):
                self._refuse(sock, address, "rate", "more connections a second than it may make")
                return
        self.accepted += 1
        task = self._loop.create_task(self._serve(sock, address))
        self._tasks.add(task)
        task.add_done_callback(partial(self._left, sock))

    def _refuse(self, sock: socket.socket, address: Address, kind: str, text: str) -> None:
        self.refused += 1
        if self._record:
            line = self._line(sock, address)
            line.error = text
            self._over(line, "denied")
        SocketStream(sock).abort()
        self._note(Note(address_name(address), kind, text))

    def _left(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        sock.close()  # a task that is cancelled before its first step never gets to do it
        self.resume()

    async def _serve(self, sock: socket.socket, address: Address) -> None:
        stream: Stream | None = None
        served, error = False, ""
        why: ClosedReason = "stopped"
        peer, line = address_name(address), self._line(sock, address) if self._record else None
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY,
                                self.endpoint.options.nodelay)
            plain = SocketStream(sock, peer=peer or "unix")
            stream = plain
            stream = await self._begin(plain)
            served = True
            await self._handler(stream)
            if line:  # while its socket is open: the kernel knows the round trip
                self._close_line(line, stream, "end", "")
                line = None
            await finish(stream)
        except asyncio.CancelledError:
            pass  # the listener closes
        except Closed as closed:
            why = closed.why
        except Exception as fault:
            why, error = self._fault(peer, fault, served=served)
        finally:
            if line:
                self._close_line(line, stream, why, error)
            if stream is None:
                sock.close()
            else:
                stream.abort()

    def _fault(self, peer: str, fault: Exception, *, served: bool) -> tuple[ClosedReason, str]:
        """Tell of what ended a connection; return why it ended, and in words what `why` omits."""
        if isinstance(fault, ssl.SSLError):
            self._note(Note(peer, "tls", words(fault)))
            return "tls", words(fault)
        if isinstance(fault, OSError):
            self._note(Note(peer, "peer", words(fault)))
            if isinstance(fault, TimeoutError) and not fault.errno:
                return ("idle", "") if served else ("timeout", "")
            return "client-reset", ""
        text = f"{type(fault).__name__}: {printable(str(fault))}"
        self._note(Note(peer, "error", text))
        return "error", text

    def _line(self, sock: socket.socket, address: Address) -> Line:
        carried: Carried = "unix" if sock.family == socket.AF_UNIX else "tcp"
        line = Line(client=end_text(address), local=end_text(sock.getsockname()), protocol=carried,
                    started_ns=self._clock(), now_s=self._loop.time())
        line.client_sock = sock
        return line

    def _close_line(self, line: Line, stream: Stream | None, why: ClosedReason,
                    error: str) -> None:
        """Record a connection; its socket is still open."""
        if stream is not None:
            line.up.count, line.down.count = stream.received, stream.sent
            line.tls = tls_text(stream.facts)
        line.error = error
        self._over(line, why)

    def _over(self, line: Line, why: ClosedReason) -> None:
        if self._record is None:
            return
        try:
            self._record(line.event(why, self._loop.time()))
        except Exception as error:  # a disk that is full must not stop who listens
            self._note(Note(line.client, "error", f"not recorded: {printable(str(error))}"))

    async def _begin(self, stream: SocketStream) -> Stream:
        if not self._context and not self._before_tls:
            return stream
        async with asyncio.timeout(self._handshake_s):
            if self._before_tls:
                await self._before_tls(stream)
            return await start_server(stream, self._context) if self._context else stream


def _say_nothing(note: Note) -> None:
    pass


async def listen(
    endpoint: Endpoint | str,
    handler: Handler,
    *,
    access: AccessList | None = None,
    max_conns: int = 0,
    rate: float = 0.0,
    context: ssl.SSLContext | None = None,
    before_tls: Before | None = None,
    handshake_timeout: float = HANDSHAKE_S,
    note: Callable[[Note], None] = _say_nothing,
    record: Callable[[Connection], None] | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Acceptor:
    """Listen and serve each connection with `handler`, which need not close the stream.

    `max_conns` 0: as many as there may be descriptors. `rate`: new connections a second by one
    address, 0: any. `before_tls` may read what precedes TLS; `note` hears of who was not served,
    `record` takes every connection that ended.
    Raises `UsageError` and `PrivilegeError`.
    """
    end = Endpoint.parse(endpoint, listening=True)
    fingerprint = ""
    if end.scheme == "tls" and context is None:
        context, fingerprint = server_context(end.options, _certificate_names(end.host))
    room = max(file_limit() - FILES_RESERVED, 1)
    acceptor = Acceptor(
        end, handler, access=access or AccessList(), rate=Rate(rate) if rate else None,
        max_conns=min(max_conns or CONNS_MAX, room), context=context, fingerprint=fingerprint,
        before_tls=before_tls, handshake_timeout=handshake_timeout, note=note,
        record=record, clock=clock,
    )
    for sock in await bind(end):
        acceptor.add(sock)
    acceptor.resume()
    return acceptor


def file_limit() -> int:
    """Return how many descriptors this process may have now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNS_MAX + FILES_RESERVED if soft == resource.RLIM_INFINITY else soft


def raise_file_limit() -> int:
    """Take as many descriptors as are ours to take without a right; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return file_limit()


def _certificate_names(host: str) -> tuple[str, ...]:
    known = host in NAMES or host == EVERYWHERE
    return NAMES if known else (*NAMES, host.partition("%")[0])


async def bind(end: Endpoint) -> list[socket.socket]:
    """Return listening sockets for an endpoint, one for each of its addresses."""
    if end.scheme == "unix":
        return [_bind_unix(end)]
    if end.scheme not in {"tcp", "tls"}:
        raise UsageError("one cannot listen there", text=str(end),
                         hint="listen on tcp: tls: unix: udp: unixgram:")
    sockets: list[socket.socket] = []
    try:
        port = end.port
        for family, address in await _bindable(end, end.host, socket.SOCK_STREAM):
            sockets.append(_bind_tcp(end, family, (address[0], port, *address[2:])))
            port = sockets[0].getsockname()[1]  # port 0: the others take what the first was given
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise bind_error(end, error) from None
    return sockets


async def bind_datagrams(endpoint: Endpoint | str) -> Datagrams:
    """Return a socket that receives datagrams; raises `UsageError` and `PrivilegeError`."""
    end = Endpoint.parse(endpoint, scheme="udp", listening=True)
    if not end.is_datagram:
        raise UsageError("a stream is no datagrams", text=str(end), hint="use listen")
    try:
        if end.is_local:
            _clear_stale(end, socket.SOCK_DGRAM)
            return bind_datagram_socket(end, socket.AF_UNIX, unix_address(end.path))
        found = await _bindable(end, bind_host(end), socket.SOCK_DGRAM)
        return bind_datagram_socket(end, *found[0])
    except OSError as error:
        raise bind_error(end, error) from None


async def _bindable(end: Endpoint, host: str, kind: int) -> list[Found]:
    """Return the addresses to bind: of `*` one dual-stack socket, or IPv4 where IPv6 is absent."""
    if host != EVERYWHERE:
        return await lookup(host, end.port, kind=kind, passive=True)
    if socket.has_dualstack_ipv6():
        return [(socket.AF_INET6, ("::", end.port, 0, 0))]
    return [(socket.AF_INET, ("0.0.0.0", end.port))]


def _bind_tcp(end: Endpoint, family: int, address: Address) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, end.host != EVERYWHERE)
        if end.options.interface:
            device = end.options.interface.encode() + b"\0"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(end: Endpoint) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _clear_stale(end, socket.SOCK_STREAM)
        sock.bind(unix_address(end.path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise bind_error(end, error) from None
    return sock


def _clear_stale(end: Endpoint, kind: int) -> None:
    """Remove a socket's file that no one listens on any more: its owner was killed."""
    path = Path(end.path)
    if end.path.startswith("@") or not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        if probe.connect_ex(end.path) == errno.ECONNREFUSED:
            path.unlink()


def bind_error(end: Endpoint, error: OSError) -> Exception:
    """Return why an endpoint cannot be listened on, and what helps."""
    if error.errno == errno.EACCES and not end.is_local and end.port < 1024:
        first = f"net.ipv4.ip_unprivileged_port_start={end.port}"
        return PrivilegeError(
            f"{end.place}: port {end.port} is privileged", right="CAP_NET_BIND_SERVICE",
            grant=f"sudo sysctl {first}, or sudo setcap cap_net_bind_service=+ep "
                  f"{os.path.realpath(sys.executable)}, or take a port from 1024 on")
    reason = WORDS.get(error.errno or 0) or words(error)
    hint = {
        errno.EADDRINUSE: "another program listens there; port 0 takes a free one",
        errno.EADDRNOTAVAIL: "portulan info lists this machine's addresses",
    }.get(error.errno or 0, "")
    if error.errno == errno.EADDRNOTAVAIL:
        reason = "not an address of this machine"
    return UsageError(reason, text=end.place, where="listen", hint=hint)
