"""A relay: whoever connects to one endpoint is connected to another, both directions kept apart.

Two plain sockets cost no task: they are accepted, connected and joined by callbacks (`Joint`). What
needs more (TLS, a PROXY header, names, proxies) begins as a `Session`. At its limit of connections
or descriptors a relay leaves new ones in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol, Self

from portulan.errors import UsageError
from portulan.record import ClosedReason, Connection
from portulan.sockets.acceptor import (
    ACCEPTS_AT_ONCE,
    CONNS_MAX,
    EXHAUSTED_PAUSE_S,
    FILES_RESERVED,
    bind,
    raise_file_limit,
)
from portulan.sockets.certificate import NAMES
from portulan.sockets.connecting import Connecting, drop
from portulan.sockets.datagram import Address
from portulan.sockets.dial import prepare, unix_address
from portulan.sockets.edges import Edges
from portulan.sockets.endpoint import EVERYWHERE, Endpoint
from portulan.sockets.faults import words
from portulan.sockets.joint import Joint
from portulan.sockets.ledger import Line, end_text
from portulan.sockets.lookup import lookup
from portulan.sockets.proxyproto import Proxied
from portulan.sockets.relay_rules import Rules
from portulan.sockets.relay_udp import DatagramRelay
from portulan.sockets.session import Session, header_bytes
from portulan.sockets.splice import Plumbing
from portulan.sockets.stream import SocketStream, Stream, bare_host, socket_name
from portulan.sockets.tee import Leg, Tee, TeeStream, shown_leg
from portulan.sockets.tls import client_context, server_context

IDLE_S: Final = 7_440.0
"""Silence after which a connection is closed: 2 h 4 min, the least that RFC 5382 (REQ-5) asks of
those who stand between two TCP peers. A half-closed one has as long: late answers must arrive."""
TICK_S: Final = 1.0
"""How often limits of time are looked at, at most; a quarter of the idle limit if that is less."""
FILES_EACH: Final = 2
"""Descriptors of a connection. Bulk takes two or four more for its pipes, or is copied without."""
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REFUSALS: Final = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
_STREAMS: Final = ("tcp", "tls", "unix")


class Running(Protocol):
    """A connection in any of its phases."""

    def close(self, why: ClosedReason, error: str = "") -> None:
        """End it at once."""

    def tick(self, now_s: float, idle_s: float) -> None:
        """Look at its limits of time."""


class Relay:
    """A relay at work for streams; use it in `async with`, or call `start` and `stop`.

    `record` is called with every connection that ended, `clock` gives Unix time (ns), `tee` makes
    packets of what passes, `widen(descriptor, bytes)` makes a splice's pipe larger.
    """

    def __init__(
        self, listen: Endpoint, target: Endpoint, rules: Rules, *, clock: Callable[[], int],
        record: Callable[[Connection], None] | None = None, tee: Tee | None = None,
        widen: Callable[[int, int], bool] | None = None,
    ) -> None:
        _check(listen, target)
        self.endpoint, self.target, self.rules = listen, target, rules
        self.handshake_s, self.proxy_in = rules.handshake_s, rules.proxy_in
        self.proxy_out: int = rules.proxy_out
        self.fingerprint = ""
        self.listen_context: ssl.SSLContext | None = None
        self.target_context = client_context(target.options) if target.scheme == "tls" else None
        if listen.scheme == "tls":
            own = () if listen.host == EVERYWHERE else (listen.host,)
            self.listen_context, self.fingerprint = server_context(
                listen.options, tuple(dict.fromkeys((*NAMES, *own))))
        self.lines: dict[Line, Running] = {}
        self.total = 0
        """Connections accepted so far."""
        self._clock, self._record, self._tee, self._widen = clock, record, tee, widen
        self._idle_s = IDLE_S if rules.idle_s is None else rules.idle_s
        self._direct: tuple[int, Address] | None = None
        self._sockets: list[socket.socket] = []
        self._inode = (0, 0)
        self._listening = False
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return tuple(socket_name(sock) for sock in self._sockets)

    async def start(self) -> None:
        """Listen; raises `UsageError` and `PrivilegeError`."""
        self._loop = asyncio.get_running_loop()
        limit = max(1, (raise_file_limit() - FILES_RESERVED) // FILES_EACH)
        self._max_conns = min(self.rules.max_conns or CONNS_MAX, limit)
        self._sockets = await bind(self.endpoint)
        self._own = {socket_name(sock) for sock in self._sockets}
        if self.target.place in self._own:
            self._close_doors()
            raise UsageError("a relay to itself", text=self.target.place, where="TARGET")
        self._direct = await self._direct_address()
        name = self._sockets[0].getsockname()
        one = len(self._sockets) == 1 and not _stands_for_many(name)
        self._local_text = end_text(name) if one else None
        self.edges, self._plumbing = Edges(self._loop), Plumbing(self._widen)
        for sock in self._sockets:
            _shape_door(sock, nodelay=self.endpoint.options.nodelay)
        if self.endpoint.scheme == "unix" and not self.endpoint.path.startswith("@"):
            about = Path(self.endpoint.path).stat()
            self._inode = about.st_dev, about.st_ino
        self._tick_s = min(TICK_S, self._idle_s / 4 or TICK_S)
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        self._resume()

    async def wait(self) -> None:
        """Wait until someone stops it."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Close what is under way, and listen no more."""
        if self._ended.is_set():
            return
        self._timer.cancel()
        self._close_doors()
        for running in list(self.lines.values()):
            running.close("stopped")
        while self.lines:  # sessions end in their own tasks
            await asyncio.sleep(0)
        self.edges.close()
        self._plumbing.close()
        self._ended.set()

    # -- taking connections --------------------------------------------------------------------

    def _resume(self) -> None:
        if not self._listening and self._sockets and len(self.lines) < self._max_conns:
            self._listening = True
            for sock in self._sockets:
                self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _pause(self) -> None:
        if self._listening:
            self._listening = False
            for sock in self._sockets:
                self._loop.remove_reader(sock.fileno())

    def _accept(self, door: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            if len(self.lines) >= self._max_conns:
                self._pause()
                return
            try:
                sock, address = door.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._wait_for_room()
                    return
                continue  # this one is gone already (accept(2): errors of the connection itself)
            try:
                self._take(sock, address)
            except Exception as error:
                for line in [line for line in self.lines if line.client_sock is sock]:
                    del self.lines[line]
                sock.close()
                self._loop.call_exception_handler(
                    {"message": "a connection could not be taken", "exception": error})

    def _wait_for_room(self) -> None:
        """Out of descriptors: the queue stays readable, so asking again at once would spin."""
        self._pause()
        self._loop.call_later(EXHAUSTED_PAUSE_S, self._resume)

    def _take(self, sock: socket.socket, address: Address) -> None:
        sock.setblocking(False)
        self.total += 1
        inet = isinstance(address, tuple)
        source = (bare_host(address[0]), address[1]) if inet else ("", 0)
        line = Line(
            client=end_text(address), local=self._local(sock),
            protocol="tcp" if inet else "unix", started_ns=self._clock(), now_s=self._loop.time(),
        )
        line.client_sock = sock
        gate = self.rules.trusted if self.proxy_in else self.rules.access
        if not gate.permits(source[0]):
            self.over(line, "denied", "")
            drop(sock)
        elif not self._connect_direct(sock, line, source):
            client = SocketStream(sock, peer=line.client, local=line.local)
            self.lines[line] = Session(
                self, client, line, now=self._loop.time, source=source,
                destination=_inet(sock.getsockname()) or ("", 0))

    def _local(self, sock: socket.socket) -> str:
        """Return the address that a client called: of one that stands for many, ask the socket."""
        if self._local_text is None:
            return end_text(sock.getsockname())
        return self._local_text

    # -- the short way: two plain sockets --------------------------------------------------------

    async def _direct_address(self) -> tuple[int, Address] | None:
        """Return where to connect without a task: a Unix socket, or one address given as such."""
        target = self.target
        if self.proxy_in or self.listen_context or self.target_context or target.options.via:
            return None
        if target.scheme == "unix":
            return socket.AF_UNIX, unix_address(target.path)
        try:
            ip_address(target.host.partition("%")[0])
        except ValueError:
            return None
        found = await lookup(*target.address)
        return found[0] if len(found) == 1 else None

    def _connect_direct(self, client: socket.socket, line: Line, source: tuple[str, int]) -> bool:
        """Connect to the target; False if that must be tried again, or waited for otherwise."""
        if self._direct is None:
            return False
        family, address = self._direct
        try:
            target = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            return False
        try:
            target.setblocking(False)
            if family != socket.AF_UNIX:
                prepare(target, self.target)
                target.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            code = target.connect_ex(address)
        except OSError:
            target.close()
            return False
        if code not in (0, errno.EINPROGRESS):
            target.close()
            if code != errno.ECONNREFUSED:
                return False
            self.refuse(client, line, code)
            return True
        first = b""
        if self.proxy_out:
            local = _inet(client.getsockname()) or ("", 0)
            first = header_bytes(Proxied(*source, *local), self.proxy_out)
        way = Connecting(self, client, target, line, first=first)
        self.lines[line] = way
        if code == 0:
            way.connected()
        else:
            self.edges.watch(target.fileno(), way.wake)
        return True

    def refuse(self, client: socket.socket, line: Line, code: int) -> None:
        """Turn a client away whose target gave this errno."""
        why: Any = _REFUSALS.get(code, "unreachable")
        self.over(line, why, f"{self.target.place}: {words(OSError(code, os.strerror(code)))}")
        drop(client)

    def joined(self, client: socket.socket, target: socket.socket, line: Line, *,
               to_target: bytes, to_client: bytes = b"") -> None:
        """Join two connected sockets."""
        if not line.target:
            line.target = self.target.place if target.family != socket.AF_UNIX else (
                f"unix:{self.target.path}")
        tee = None
        if self._tee is not None:
            tee = self._tee.open(self._leg(client, target), f"{line.client} -> {line.target}")
        self.lines[line] = Joint(
            client, target, line, edges=self.edges, plumbing=self._plumbing, tee=tee,
            now=self._loop.time, ended=self._joint_ended, to_target=to_target, to_client=to_client)

    def _joint_ended(self, joint: Joint, why: ClosedReason, error: str) -> None:
        self.over(joint.line, why, error)

    # -- what sessions need ------------------------------------------------------------------

    def admits(self, host: str) -> bool:
        """Return whether the access list lets this address through."""
        return self.rules.access.permits(host)

    def join(self, session: Session, client: SocketStream, target: SocketStream) -> None:
        """Take both sockets of a session over; its PROXY header is sent already."""
        self.joined(client.sock, target.sock, session.line, to_target=client.unread(),
                    to_client=target.unread())

    def tee_of(self, line: Line, client: Stream, target: Stream) -> TeeStream | None:
        """Begin a connection's part of the capture, if one is kept."""
        if self._tee is None:
            return None
        leg = self._leg(line.client_sock, line.target_sock)
        return self._tee.open(leg, f"{line.client} -> {line.target}")

    def _leg(self, client: socket.socket | None, target: socket.socket | None) -> Leg:
        return shown_leg(_leg_of(client, secret=self.listen_context is not None, asks=False),
                         _leg_of(target, secret=self.target_context is not None, asks=True))

    def over(self, line: Line, why: ClosedReason, error: str) -> None:
        """Note the end of a connection; its sockets are still open."""
        line.error = error or line.error
        self.lines.pop(line, None)
        if self._record is not None:
            try:
                self._record(line.event(why, self._loop.time()))
            except Exception as fault:  # a full disk, say: the sockets must be closed all the same
                self._loop.call_exception_handler(
                    {"message": "a connection could not be recorded", "exception": fault})
        if not self._listening and not self._loop.is_closed():
            self._loop.call_soon(self._resume)

    def _tick(self) -> None:
        now, idle_s = self._loop.time(), self._idle_s
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        for running in list(self.lines.values()):
            running.tick(now, idle_s)

    def _close_doors(self) -> None:
        self._pause()
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        if self._inode != (0, 0):
            with contextlib.suppress(OSError):
                about = Path(self.endpoint.path).stat()
                if (about.st_dev, about.st_ino) == self._inode:
                    Path(self.endpoint.path).unlink()


def _check(listen: Endpoint, target: Endpoint) -> None:
    if listen.scheme not in _STREAMS:
        raise UsageError("a relay cannot listen there", text=str(listen), where="LISTEN",
                         hint="listen on tcp: tls: unix: udp: unixgram:")
    if target.scheme not in (*_STREAMS, "exec"):
        hint = "datagrams go to datagrams, streams to tcp: tls: unix: exec:"
        raise UsageError("a stream cannot be relayed there", text=str(target), where="TARGET",
                         hint=hint)


def _shape_door(sock: socket.socket, *, nodelay: bool) -> None:
    """Set what accepted sockets inherit (Linux, tcp(7)): it saves two calls a connection."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _leg_of(sock: socket.socket | None, *, secret: bool, asks: bool) -> Leg:
    """Return a socket's leg; `asks` if our end is the one that connected."""
    if sock is None:
        return Leg(None, None, secret)
    try:
        ours, theirs = _inet(sock.getsockname()), _inet(sock.getpeername())
    except OSError:
        return Leg(None, None, secret)
    return Leg(ours, theirs, secret) if asks else Leg(theirs, ours, secret)


def _stands_for_many(address: Address) -> bool:
    """Return whether a bound address is the unspecified one."""
    inet = _inet(address)
    return inet is not None and ip_address(inet[0].partition("%")[0]).is_unspecified


def _inet(address: Address) -> tuple[str, int] | None:
    return (bare_host(address[0]), address[1]) if isinstance(address, tuple) else None


def make_relay(
    listen: Endpoint | str, target: Endpoint | str, rules: Rules, *, clock: Callable[[], int],
    record: Callable[[Connection], None] | None = None, tee: Tee | None = None,
    widen: Callable[[int, int], bool] | None = None,
) -> Relay | DatagramRelay:
    """Return a relay for two endpoints, not yet started; raises `UsageError`.

    Must be called in a running event loop.
    """
    door = Endpoint.parse(listen, where="LISTEN", listening=True)
    end = Endpoint.parse(target, where="TARGET")
    if door.is_datagram:
        return DatagramRelay(door, end, rules, clock=clock, record=record, tee=tee)
    return Relay(door, end, rules, clock=clock, record=record, tee=tee, widen=widen)
