"""Two plain sockets joined: a pump each way, until both directions have ended.

No task, no future, no timer of its own: a connection is two registrations and a few objects, which
is what lets ten thousand of them wait in little memory.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

from portulan.record import ClosedReason
from portulan.sockets.edges import CLOSING, WRITE, Edges
from portulan.sockets.ledger import Line
from portulan.sockets.splice import Plumbing, Pump, Step
from portulan.sockets.tee import TeeStream

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send RST: the peer must not take a cut for an end."""
LINGER_S: Final = 2.0
"""How long we discard what a peer still sends to one that is gone, so that an answer on its way to
it is not torn up by a reset: what HTTP servers call a lingering close."""
QUIET_S: Final = 2.0
"""Bulk that pauses for so long gives its pipe back."""

#: Why, and what went wrong (empty: nothing).
Ended = Callable[["Joint", ClosedReason, str], None]


class Joint:
    """A connection between `client` and `target`, which it owns from now on.

    `now` is the loop's clock; `ended` is called once, while the sockets are still open.
    """

    __slots__ = (
        "_client", "_edges", "_ended", "_lingers_s", "_now", "_target", "_tee", "down", "line",
        "over", "up",
    )

    def __init__(
        self, client: socket.socket, target: socket.socket, line: Line, *, edges: Edges,
        plumbing: Plumbing, now: Callable[[], float], ended: Ended, tee: TeeStream | None = None,
        to_target: bytes = b"", to_client: bytes = b"",
    ) -> None:
        self.line, self.over, self._lingers_s = line, False, 0.0
        self._client, self._target = client, target
        self._edges, self._now, self._ended, self._tee = edges, now, ended, tee
        self.up = Pump(client, target, plumbing, first=to_target,
                       tap=tee.from_client if tee else None)
        self.down = Pump(target, client, plumbing, first=to_client,
                         tap=tee.from_server if tee else None)
        line.up, line.down = self.up, self.down
        line.client_sock, line.target_sock = client, target
        edges.watch(client.fileno(), self._wake_client)
        edges.watch(target.fileno(), self._wake_target)

    def close(self, why: ClosedReason, error: str = "") -> None:
        """End both directions at once; anything but `end` is a reset to both peers."""
        if self.over:
            return
        self.over = True
        if self._tee is not None:
            self._tee.close(reset=why != "end")
        self._ended(self, why, error)
        self.up.release()
        self.down.release()
        for sock in (self._client, self._target):
            self._edges.forget(sock.fileno())
            if why != "end":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    def tick(self, now_s: float, idle_s: float) -> None:
        """End what has been silent for too long; give back the pipes of quiet directions."""
        silent_s = now_s - self.line.active_s
        lingers = (self.up.sink_lost and self.down.ended) or (self.down.sink_lost and self.up.ended)
        if lingers:
            self._lingers_s = self._lingers_s or now_s
        if self._lingers_s and now_s - self._lingers_s > LINGER_S:
            self.close(self._why())
        elif idle_s and silent_s > idle_s:
            self.close("idle")
        elif silent_s > QUIET_S:
            self.up.relax()
            self.down.relax()

    def _wake_client(self, mask: int) -> None:
        if mask & ~WRITE:
            self._go(self.up, mask)
        if mask & WRITE and self.down.blocked:
            self._go(self.down, 0)

    def _wake_target(self, mask: int) -> None:
        if mask & ~WRITE:
            self._go(self.down, mask)
        if mask & WRITE and self.up.blocked:
            self._go(self.up, 0)

    def _go_up(self, mask: int) -> None:
        self._go(self.up, 0)

    def _go_down(self, mask: int) -> None:
        self._go(self.down, 0)

    def _go(self, pump: Pump, mask: int) -> None:
        if self.over or pump.ended:
            return
        if mask & CLOSING:
            pump.closing = True
        self.line.active_s = self._now()
        try:
            step = pump.run()
        except Exception as error:  # of a tap, say: one connection must not stop the others
            self.close("error", f"{type(error).__name__}: {error}")
            return
        if step is Step.MORE:
            self._edges.again(self._go_up if pump is self.up else self._go_down)
        elif step is Step.ENDED:
            self._end(pump)
        elif step is Step.SOURCE_LOST:
            self.close("client-reset" if pump is self.up else "target-reset")

    def _end(self, pump: Pump) -> None:
        if self._tee is not None:
            (self._tee.end_client if pump is self.up else self._tee.end_server)()
        if self.up.ended and self.down.ended:
            self.close(self._why())

    def _why(self) -> ClosedReason:
        """Return how a connection ended whose directions both did: one may have been cut."""
        if self.up.sink_lost:
            return "target-reset" if self.up.lost_bytes else "end"
        if self.down.sink_lost:
            return "client-reset" if self.down.lost_bytes else "end"
        return "end"
