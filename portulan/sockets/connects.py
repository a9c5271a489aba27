"""Many `connect()` calls at once: what a connect scan asks the kernel.

A refused socket can be connected again, which saves closing and making one for every closed port.
The outcome is fetched by calling `connect()` once more, not by SO_ERROR: only that takes the socket
out of the kernel's SS_CONNECTING state, without which the next connect ends in ECONNABORTED. Own
addresses of this machine are better asked by `instant`.

Two traps are handled here. A connect to a port of our own machine inside the ephemeral range may
meet itself (RFC 9293 section 3.5, simultaneous open): such a socket is its own peer and the port
is closed. And a port that accepts and resets at once shows as ECONNRESET: it is open.
"""

from __future__ import annotations

import errno
import resource
import select
import socket
import struct
from collections import OrderedDict
from typing import Final, NamedTuple

#: In flight at once, whatever the limit of descriptors allows: more gains nothing (FACTS of the
#: field: 500-4,000 are equally fast) and would crowd a small target's backlog.
IN_FLIGHT_MAX: Final = 1_000
#: Descriptors left to the rest of the process: files, pipes, evidence, a resolver's sockets.
RESERVED: Final = 32
#: Events fetched with one system call.
EVENTS_MAX: Final = 512

#: The kernel's word that the probe never left for want of something local: ask again later.
BUSY: Final = frozenset({
    errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN,
})
_PENDING: Final = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})
#: Closing a finished probe with a reset keeps it from lingering in TIME_WAIT, which would use up
#: the ephemeral ports of a scan with many open ports.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Probe(NamedTuple):
    """One port to ask; `family` is AF_INET or AF_INET6."""

    at: int
    try_no: int
    address: tuple[str, int] | tuple[str, int, int, int]
    family: int = socket.AF_INET


class Outcome(NamedTuple):
    """What `connect()` said about a probe: 0 for connected, an errno otherwise."""

    at: int
    try_no: int
    error: int
    time_ns: int
    rtt_ns: int


def descriptor_room(most: int = IN_FLIGHT_MAX) -> int:
    """Return how many sockets may be open at once, after raising the soft limit as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            ceiling = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
            soft = ceiling
        except (ValueError, OSError):
            pass
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, soft - RESERVED))


class Connects:
    """A pool of sockets, each asking one port.

    `start` begins a connect, `collect` returns what ended. Pending probes are kept in the order of
    their start, so that `expire` looks only at the oldest. Never raises for want of descriptors:
    `room` says how many more fit, and shrinks when the kernel has no more.
    """

    def __init__(self, limit: int | None = None, *, interface: str = "") -> None:
        self._limit = limit or descriptor_room()
        self._interface = interface
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._pending: OrderedDict[int, tuple[Probe, int]] = OrderedDict()
        self._idle: dict[int, list[int]] = {socket.AF_INET: [], socket.AF_INET6: []}
        self._ended: list[Outcome] = []
        self.busy = 0

    def __enter__(self) -> Connects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def room(self) -> int:
        """How many probes may be started now."""
        return max(0, self._limit - len(self._pending))

    @property
    def pending(self) -> int:
        """How many probes wait for an answer."""
        return len(self._pending)

    def start(self, probe: Probe, now: int) -> bool:
        """Begin to connect; False if the machine has no socket or source port for it now."""
        number = self._socket(probe.family)
        if number < 0:
            return False
        error = self._sockets[number].connect_ex(probe.address)
        if error in _PENDING:
            self._pending[number] = (probe, now)
            return True
        if error in BUSY:
            self.busy += 1
            self._idle[probe.family].append(number)
            return False
        self._end(number, probe, error, start=now, now=now)
        return True

    def _socket(self, family: int) -> int:
        if self._idle[family]:
            return self._idle[family].pop()
        try:
            made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno not in BUSY:
                raise
            # Somebody else holds descriptors too: live with what we have, but with one at least.
            self._limit = max(1, min(self._limit, len(self._pending)))
            self.busy += 1
            return -1
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if self._interface:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
        number = made.fileno()
        self._sockets[number] = made
        # Edge-triggered: one registration for the socket's whole life, however often it connects.
        self._poll.register(number, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        return number

    def collect(self, wait_ns: int, now: int) -> list[Outcome]:
        """Return what ended, waiting at most `wait_ns` for the first."""
        wait = 0.0 if self._ended else max(0, wait_ns) / 1e9
        for number, _ in self._poll.poll(wait, EVENTS_MAX):
            waiting = self._pending.get(number)
            if waiting is None:
                continue
            probe, start = waiting
            error = self._sockets[number].connect_ex(probe.address)
            if error not in _PENDING:
                del self._pending[number]
                self._end(number, probe, error, start=start, now=now)
        ended, self._ended = self._ended, []
        return ended

    def _end(self, number: int, probe: Probe, error: int, *, start: int, now: int) -> None:
        if error in (0, errno.EISCONN):
            error = errno.ECONNREFUSED if is_own_peer(self._sockets[number]) else 0
            self._drop(number)
        elif error == errno.ECONNREFUSED:
            self._idle[probe.family].append(number)
        else:
            self._drop(number)
        self._ended.append(Outcome(probe.at, probe.try_no, error, now, now - start))

    def expire(self, before: int) -> int:
        """Give up all probes started before this time (ns), and return how many they were."""
        gone = 0
        while self._pending and next(iter(self._pending.values()))[1] < before:
            number, _ = self._pending.popitem(last=False)
            self._drop(number)
            gone += 1
        return gone

    def waiting(self) -> list[Probe]:
        """Return the probes that wait for an answer, oldest first."""
        return [probe for probe, _ in self._pending.values()]

    def oldest(self) -> int | None:
        """Return when (ns) the oldest pending probe was started."""
        return next(iter(self._pending.values()))[1] if self._pending else None

    def _drop(self, number: int) -> None:
        self._sockets.pop(number).close()

    def close(self) -> None:
        """Close all sockets; probes still pending are forgotten."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        self._pending.clear()
        if not self._poll.closed:
            self._poll.close()


def is_own_peer(sock: socket.socket) -> bool:
    """Tell whether a connected socket met itself."""
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False
