"""SYNs that expire on the way, by `connect()`: no right is needed.

Each probe is a connection attempt of its own, since a connection is known by its ports: routers
that balance by flow may show several paths. A target that accepts is left by a reset at once, so
that its service hears of no connection, or of one that ends before a word is said.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final

from portulan.sockets.hops import ERRORS, FAMILIES, TTL, Heard, errors_of, socket_address

#: Attempts under way; beyond, the oldest is given up. Most systems give 1,024 descriptors.
PROBES_MAX: Final = 256
#: linux/tcp.h. The kernel sends a SYN again after a second: then this attempt is over.
_TCP_USER_TIMEOUT: Final = 18
_PATIENCE_MS: Final = 900
_RESET: Final = struct.pack("ii", 1, 0)
#: What `connect()` says of itself: under way, or done (on loopback).
_BEGUN: Final = (0, errno.EINPROGRESS, errno.EINTR)


class TcpHops:
    """Probes by TCP: `send` a tagged one, `hear` replies; as `HopSockets`."""

    def __init__(self, *, port: int = 80, interface: str = "") -> None:
        self._port, self._interface = port, interface
        self._hosts: dict[int, tuple[str, int]] = {}
        self._probes: dict[int, tuple[socket.socket, int, int]] = {}
        self._poll = select.poll()

    def open(self, host: int, addr: str, *, port: int = 0) -> None:
        """Make a host known; raises `OSError` without a way.

        `addr` may have a zone; `port` is asked instead of the one for all.
        """
        family = FAMILIES[6 if ":" in addr else 4]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:  # sends nothing
            self._bind(sock)
            sock.connect(socket_address(addr, port or self._port))
        self._hosts[host] = addr, port or self._port

    def _bind(self, sock: socket.socket) -> None:
        if self._interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())

    def send(self, host: int, ttl: int, tag: int) -> bool:
        """Begin an attempt that lives for `ttl` hops; return whether the kernel took it."""
        addr, port = self._hosts[host]
        family = 6 if ":" in addr else 4
        if len(self._probes) >= PROBES_MAX:
            self._drop(next(iter(self._probes)))
        try:
            sock = socket.socket(FAMILIES[family], socket.SOCK_STREAM)
        except OSError:
            return False
        try:
            sock.setblocking(False)
            self._bind(sock)
            sock.setsockopt(*ERRORS[family], 1)
            sock.setsockopt(*TTL[family], ttl)
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, _PATIENCE_MS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            code = sock.connect_ex(socket_address(addr, port))
        except OSError:
            sock.close()
            return False
        if code not in (*_BEGUN, errno.ECONNREFUSED):
            sock.close()
            return False
        self._probes[sock.fileno()] = sock, host, tag
        self._poll.register(sock, select.POLLOUT)
        return True

    def hear(self, wait_ns: int) -> Iterator[Heard]:
        """Yield what came, waiting at most `wait_ns` for the first."""
        for number, _ in self._poll.poll(max(0, wait_ns) / 1e6):
            sock, host, tag = self._probes[number]
            addr = self._hosts[host][0].partition("%")[0]
            heard = self._heard(sock, host, addr)
            self._drop(number)
            if heard is not None:
                yield heard._replace(tag=tag)

    def _heard(self, sock: socket.socket, host: int, addr: str) -> Heard | None:
        """Return what ended an attempt; a word of our own kernel is no reply."""
        family = 6 if ":" in addr else 4
        told = [heard for heard, _ in errors_of(sock, host, family, addr)]
        if told:
            return told[0]
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Heard(host, -1, addr, "reached", "") if code in (0, errno.ECONNREFUSED) else None

    def _drop(self, number: int) -> None:
        sock, _, _ = self._probes.pop(number)
        self._poll.unregister(sock)
        sock.close()

    def shut(self, host: int) -> None:
        """Give up a host's attempts."""
        for number in [n for n, (_, its, _) in self._probes.items() if its == host]:
            self._drop(number)
        self._hosts.pop(host)

    def close(self) -> None:
        """Give up all attempts."""
        for number in list(self._probes):
            self._drop(number)
