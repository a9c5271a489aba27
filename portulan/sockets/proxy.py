"""A proxy: SOCKS5 with UDP, and HTTP with CONNECT, for clients and targets that lists allow.

A client asks, the target's addresses are looked up and checked, and one of the checked ones is
connected to: a name that leads elsewhere at its second look-up gains nothing. From then on the two
sockets are joined as a relay's, by splice where there is bulk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Self

from portulan.record import ClosedReason, Connection
from portulan.sockets.acceptor import (
    FILES_RESERVED,
    Acceptor,
    Handler,
    Note,
    listen,
    raise_file_limit,
)
from portulan.sockets.edges import Edges
from portulan.sockets.joint import Joint
from portulan.sockets.ledger import Line
from portulan.sockets.proxy_rules import Door, Rules
from portulan.sockets.proxy_session import Session
from portulan.sockets.splice import Plumbing
from portulan.sockets.stream import SocketStream, Stream

FILES_EACH: Final = 2
"""Descriptors of a connection; bulk takes pipes besides, or is copied without."""
TICK_S: Final = 1.0


class Proxy:
    """A proxy at work; use it in `async with`, or call `start` and `stop`.

    `record` is called with every connection that ended, `clock` gives Unix time in nanoseconds,
    `note` hears of clients that were not served.
    """

    def __init__(
        self, doors: Sequence[Door], rules: Rules, *, clock: Callable[[], int],
        record: Callable[[Connection], None] | None = None,
        note: Callable[[Note], None] = lambda note: None,
        widen: Callable[[int, int], bool] | None = None,
    ) -> None:
        self.doors, self.rules = tuple(doors), rules
        self._clock, self._record, self._note, self._widen = clock, record, note, widen
        self._acceptors: list[Acceptor] = []
        self._joints: dict[Joint, None] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return tuple(name for each in self._acceptors for name in each.addresses)

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of each door, also where 0 was asked for."""
        return tuple(each.port for each in self._acceptors)

    @property
    def active(self) -> int:
        """Connections there are now."""
        return sum(each.active for each in self._acceptors)

    async def start(self) -> None:
        """Listen; raises UsageError and PrivilegeError."""
        self._loop = asyncio.get_running_loop()
        self._edges, self._plumbing = Edges(self._loop), Plumbing(self._widen)
        room = max(1, (raise_file_limit() - FILES_RESERVED) // FILES_EACH)
        limit = min(self.rules.max_conns or room, room)
        try:
            for door in self.doors:
                self._acceptors.append(await listen(
                    door.end, self._handler(door), access=self.rules.clients, max_conns=limit,
                    rate=self.rules.rate, note=self._note))
        except BaseException:
            for acceptor in self._acceptors:
                await acceptor.close()
            self._edges.close()
            raise
        self._timer = self._loop.call_later(TICK_S, self._tick)

    async def stop(self) -> None:
        """Close what is under way, and listen no more."""
        self._timer.cancel()
        for acceptor in self._acceptors:
            await acceptor.close()
        self._edges.close()
        self._plumbing.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        now = self._loop.time()
        for joint in list(self._joints):
            joint.tick(now, self.rules.idle_s)

    def _handler(self, door: Door) -> Handler:
        async def handle(stream: Stream) -> None:
            if isinstance(stream, SocketStream):  # which doors without TLS give
                line = Line(client=stream.peer, local=stream.local, protocol="tcp",
                            started_ns=self._clock(), now_s=self._loop.time())
                await Session(self, door, stream, line).run()

        return handle

    # -- what sessions need ------------------------------------------------------------------

    async def join(self, client: SocketStream, target: SocketStream, line: Line) -> None:
        """Join two connected sockets until both directions have ended."""
        over: asyncio.Future[None] = self._loop.create_future()

        def ended(joint: Joint, why: ClosedReason, error: str) -> None:
            del self._joints[joint]
            self.over(line, why, error)
            if not over.done():
                over.set_result(None)

        joint = Joint(
            client.sock, target.sock, line, edges=self._edges, plumbing=self._plumbing,
            now=self._loop.time, ended=ended, to_target=client.unread(), to_client=target.unread())
        self._joints[joint] = None
        try:
            await over
        finally:
            joint.close("stopped")

    def over(self, line: Line, why: ClosedReason, error: str) -> None:
        """Note the end of a connection; its sockets are still open."""
        line.error = error or line.error
        if self._record is not None:
            self._record(line.event(why, self._loop.time()))
