"""The moment between a client's accept and its target's answer, for two plain sockets."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Protocol

from portulan.record import ClosedReason
from portulan.sockets.edges import Edges
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.joint import RESET
from portulan.sockets.ledger import Line


class Connector(Protocol):
    """What this phase needs of its relay."""

    target: Endpoint
    edges: Edges

    def refuse(self, client: socket.socket, line: Line, code: int) -> None:
        """Turn a client away whose target gave this errno."""

    def over(self, line: Line, why: ClosedReason, error: str) -> None:
        """Note the end; the client's socket is still open."""

    def joined(self, client: socket.socket, target: socket.socket, line: Line, *,
               to_target: bytes) -> None:
        """Take two connected sockets."""


class Connecting:
    """A connection whose way to the target is being made."""

    __slots__ = ("_client", "_first", "_line", "_over", "_relay", "_target")

    def __init__(
        self, relay: Connector, client: socket.socket, target: socket.socket, line: Line, *,
        first: bytes,
    ) -> None:
        self._relay, self._client, self._target, self._line = relay, client, target, line
        self._first, self._over = first, False

    def wake(self, mask: int) -> None:
        """Look whether the kernel has an answer."""
        if self._over:
            return
        code = self._target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(code)
        elif _is_connected(self._target):
            self.connected()

    def connected(self) -> None:
        """Hand both sockets on; a socket that met itself (RFC 9293 section 3.5) is no target."""
        self._over = True
        if _met_itself(self._target):
            self._fail(errno.ECONNREFUSED)
            return
        self._relay.joined(self._client, self._target, self._line, to_target=self._first)

    def _fail(self, code: int) -> None:
        self._over = True
        self._relay.edges.forget(self._target.fileno())
        self._target.close()
        self._relay.refuse(self._client, self._line, code)

    def close(self, why: ClosedReason, error: str = "") -> None:
        """Give it up."""
        self._over = True
        self._relay.edges.forget(self._target.fileno())
        self._target.close()
        self._relay.over(self._line, why, error)
        drop(self._client)

    def tick(self, now_s: float, idle_s: float) -> None:
        """Give up a target that does not answer in time."""
        if now_s - self._line.began_s > self._relay.target.options.timeout:
            self._fail(errno.ETIMEDOUT)


def drop(sock: socket.socket) -> None:
    """Close a socket with a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _met_itself(sock: socket.socket) -> bool:
    if sock.family == socket.AF_UNIX:
        return False
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False
