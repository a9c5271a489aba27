"""A relay of datagrams: each client address is a flow with a socket of its own to the target.

Datagrams keep their borders, empty ones too. A flow ends by silence; the table is bounded, and a
flood of invented clients pushes out flows that were never answered before any that were. What has
no room in a socket is dropped and counted, as networks do.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, Self, TypeVar

from portulan.errors import UsageError
from portulan.record import ClosedReason, Connection
from portulan.sockets.acceptor import FILES_RESERVED, bind_datagrams, raise_file_limit
from portulan.sockets.datagram import SIZE_MAX, Address, Datagrams, dial_datagram_socket
from portulan.sockets.edges import Edges
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import dial_error, words
from portulan.sockets.ledger import Line, Tally, end_text
from portulan.sockets.lookup import Found, lookup
from portulan.sockets.relay_rules import Rules
from portulan.sockets.stream import bare_host, socket_name
from portulan.sockets.tee import Tee

UDP_IDLE_S: Final = 120.0
"""Silence after which a flow ends: the least that RFC 4787 (REQ-5) asks of those in between."""
FLOWS_MAX: Final = 16_384
"""Flows at once [count]; descriptors allow fewer, mostly. Each takes one and about 2 KiB."""
DATAGRAMS_AT_ONCE: Final = 64
"""Taken from one socket before the others get a turn."""
TICK_S: Final = 1.0

F = TypeVar("F")


class FlowTable(Generic[F]):
    """Flows by client, the longest silent first; sans-I/O: `now` is an argument [s].

    >>> table = FlowTable(limit=2)
    >>> table.add("a", 1, now=0.0), table.add("b", 2, now=1.0)
    ([], [])
    >>> table.answered("a", now=2.0)
    >>> table.add("c", 3, now=4.0)          # b was never answered: it gives way
    [2]
    >>> table.expired(now=5.5, idle_s=3.0), len(table)
    ([1], 1)
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._new: OrderedDict[Hashable, tuple[F, float]] = OrderedDict()
        self._answered: OrderedDict[Hashable, tuple[F, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._new) + len(self._answered)

    def get(self, key: Hashable, *, now: float) -> F | None:
        """Return a client's flow, which is not silent then."""
        for table in (self._answered, self._new):
            if key in table:
                flow, _ = table.pop(key)
                table[key] = flow, now
                return flow
        return None

    def add(self, key: Hashable, flow: F, *, now: float) -> list[F]:
        """Take a new flow; return those that gave way to it."""
        gone = []
        while len(self) >= self._limit:
            table = self._new or self._answered
            gone.append(table.popitem(last=False)[1][0])
        self._new[key] = flow, now
        return gone

    def answered(self, key: Hashable, *, now: float) -> None:
        """Note that the target spoke to this client."""
        table = self._answered if key in self._answered else self._new
        if key in table:
            flow, _ = table.pop(key)
            self._answered[key] = flow, now

    def expired(self, *, now: float, idle_s: float) -> list[F]:
        """Remove and return the flows that were silent for longer than `idle_s`."""
        gone = []
        for table in (self._new, self._answered):
            while table and now - next(iter(table.values()))[1] > idle_s:
                gone.append(table.popitem(last=False)[1][0])
        return gone

    def clear(self) -> list[F]:
        """Remove and return all flows."""
        gone = [flow for table in (self._new, self._answered) for flow, _ in table.values()]
        self._new.clear()
        self._answered.clear()
        return gone


class Flow:
    """One client's way to the target."""

    __slots__ = ("_relay", "_sock", "client", "dropped", "line")

    def __init__(
        self, relay: DatagramRelay, sock: socket.socket, client: Address, line: Line,
    ) -> None:
        self._relay, self._sock, self.client, self.line = relay, sock, client, line
        self.dropped = 0
        relay.edges.watch(sock.fileno(), self._wake)

    def to_target(self, data: bytes) -> None:
        """Pass one datagram on."""
        try:
            self._sock.send(data)
        except OSError as error:
            self._drop(error)
        else:
            self.line.up.count += len(data)
            self._relay.note(self._sock, data, from_us=True)

    def close(self, why: ClosedReason, error: str = "") -> None:
        """End it, and note that."""
        dropped = f"{self.dropped} datagrams dropped" if self.dropped else ""
        self.line.error = error or self.line.error or dropped
        self._relay.over(self.line, why)
        self._relay.edges.forget(self._sock.fileno())
        self._sock.close()

    def _wake(self, mask: int) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._sock.fileno() < 0:
                return
            try:
                data = self._sock.recv(SIZE_MAX)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP answer to what was sent: later ones may get through
                self.line.error = words(error)
                continue
            self._relay.note(self._sock, data, from_us=False)
            self._relay.answered(self)
            self._to_client(data)
        self._relay.edges.again(self._wake)

    def _to_client(self, data: bytes) -> None:
        try:
            self._relay.send_back(data, self.client)
        except OSError as error:
            self._drop(error)
        else:
            self.line.down.count += len(data)

    def _drop(self, error: OSError) -> None:
        self.dropped += 1
        if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
            self.line.error = words(error)


class DatagramRelay:
    """A relay at work for datagrams; the same to its users as `relay.Relay`."""

    def __init__(
        self, listen: Endpoint, target: Endpoint, rules: Rules, *, clock: Callable[[], int],
        record: Callable[[Connection], None] | None = None, tee: Tee | None = None,
    ) -> None:
        _check(listen, target, rules)
        self.endpoint, self.target, self.rules = listen, target, rules
        self.fingerprint = ""
        self.lines: dict[Line, Flow] = {}
        self.total = self.refused = 0
        self._clock, self._record, self._tee = clock, record, tee
        self._idle_s = UDP_IDLE_S if rules.idle_s is None else rules.idle_s
        self._door: Datagrams | None = None
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return (self._door.local,) if self._door else ()

    async def start(self) -> None:
        """Listen; raises `UsageError`, `PrivilegeError`, or `DialError` for an unknown target."""
        self._loop = asyncio.get_running_loop()
        self._found = await self._addresses_of_target()
        self._door = await bind_datagrams(self.endpoint)
        if self._door.local == self.target.place:
            self._door.close()
            raise UsageError("a relay to itself", text=self.target.place, where="TARGET")
        room = max(1, raise_file_limit() - FILES_RESERVED)
        self._flows: FlowTable[Flow] = FlowTable(
            limit=min(self.rules.max_conns or FLOWS_MAX, room))
        self.edges = Edges(self._loop)
        self.edges.watch(self._door.sock.fileno(), self._wake)
        self._tick_s = min(TICK_S, self._idle_s / 4 or TICK_S)
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    async def _addresses_of_target(self) -> list[Found]:
        if self.target.is_local:
            return []
        try:
            async with asyncio.timeout(self.target.options.timeout):
                return await lookup(*self.target.address, kind=socket.SOCK_DGRAM)
        except OSError as error:
            raise dial_error(self.target.place, error) from None

    async def wait(self) -> None:
        """Wait until someone stops it."""
        await self._ended.wait()

    async def stop(self) -> None:
        """End all flows, and listen no more."""
        if self._ended.is_set() or self._door is None:
            return
        self._timer.cancel()
        for flow in self._flows.clear():
            flow.close("stopped")
        self.edges.close()
        self._door.close()
        if self.endpoint.is_local and not self.endpoint.path.startswith("@"):
            from pathlib import Path

            Path(self.endpoint.path).unlink(missing_ok=True)
        self._ended.set()

    # -- what flows need -----------------------------------------------------------------------

    def answered(self, flow: Flow) -> None:
        """Note that the target spoke."""
        flow.line.active_s = self._loop.time()
        self._flows.answered(flow.client, now=flow.line.active_s)

    def send_back(self, data: bytes, client: Address) -> None:
        """Send a datagram to a client, from the address that it had called."""
        if self._door is not None:
            self._door.sock.sendto(data, client)

    def note(self, sock: socket.socket, data: bytes, *, from_us: bool) -> None:
        """Put a datagram of the way to the target into the capture, if one is kept."""
        if self._tee is None:
            return
        with contextlib.suppress(OSError):
            ours, theirs = _inet(sock.getsockname()), _inet(sock.getpeername())
            pair = (ours, theirs) if from_us else (theirs, ours)
            self._tee.datagram(*pair, data)

    def over(self, line: Line, why: ClosedReason) -> None:
        """Note the end of a flow."""
        self.lines.pop(line, None)
        if self._record is not None:
            try:
                self._record(line.event(why, self._loop.time()))
            except Exception as error:  # a full disk, say: the socket must be closed all the same
                self._loop.call_exception_handler(
                    {"message": "a flow could not be recorded", "exception": error})

    # -- taking datagrams ------------------------------------------------------------------------

    def _wake(self, mask: int) -> None:
        if self._door is None:
            return
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, client = self._door.sock.recvfrom(SIZE_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP answer to what went back to some client
            try:
                self._take(data, client)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a datagram could not be relayed", "exception": error})
        self.edges.again(self._wake)

    def _take(self, data: bytes, client: Address) -> None:
        if not client:
            self.refused += 1  # a Unix socket without a name cannot be answered
            return
        now = self._loop.time()
        flow = self._flows.get(client, now=now) or self._begin(client, now)
        if flow is not None:
            flow.line.active_s = now
            flow.to_target(data)

    def _begin(self, client: Address, now: float) -> Flow | None:
        inet = isinstance(client, tuple)
        if inet and not self.rules.access.permits(bare_host(client[0])):
            self.refused += 1
            return None
        line = Line(
            client=end_text(client), local=self.addresses[0], now_s=now,
            protocol="udp" if inet else "unix", started_ns=self._clock(),
        )
        self.total += 1
        try:
            sock = dial_datagram_socket(self.target, self._found).sock
        except OSError as error:
            line.error = str(dial_error(self.target.place, error))
            self.over(line, "unreachable")
            return None
        line.target = socket_name(sock, remote=True) or self.target.place
        line.up, line.down = Tally(), Tally()
        flow = self.lines[line] = Flow(self, sock, client, line)
        for gone in self._flows.add(client, flow, now=now):
            gone.close("crowded")
        return flow

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        if self._idle_s:
            for flow in self._flows.expired(now=self._loop.time(), idle_s=self._idle_s):
                flow.close("idle")


def _check(listen: Endpoint, target: Endpoint, rules: Rules) -> None:
    if not target.is_datagram:
        raise UsageError("datagrams cannot be relayed there", text=str(target), where="TARGET",
                         hint="datagrams go to udp: unixgram:")
    if rules.proxy_in or rules.proxy_out:
        raise UsageError("the PROXY protocol is for streams", text=str(listen),
                         where="--proxy-protocol")


def _inet(address: Address) -> tuple[str, int] | None:
    return (bare_host(address[0]), address[1]) if isinstance(address, tuple) else None
