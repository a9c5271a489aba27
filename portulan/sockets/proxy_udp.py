"""SOCKS5's UDP ASSOCIATE: one client's datagrams to many targets and back (RFC 1928 section 7).

The association lives as long as the TCP connection that asked for it, or until it is silent for
too long. Only the client's address may send, and only targets that it has spoken to may answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from portulan.sockets.datagram import SIZE_MAX, Address
from portulan.sockets.ledger import Line
from portulan.sockets.lookup import lookup
from portulan.sockets.proxy_socks import pack_datagram, unpack_datagram
from portulan.sockets.stream import bare_host

TARGETS_MAX: Final = 1_024
"""Targets of one client whose answers are let through; the one spoken to longest ago gives way."""
NAMES_MAX: Final = 256
LOOKUP_S: Final = 5.0
WAITING_MAX: Final = 64
"""Datagrams that wait for a name's address; more are dropped, as networks do."""
DATAGRAMS_AT_ONCE: Final = 64

Reaches = Callable[[str], bool]


class Association:
    """A client's way out for datagrams.

    `local` is the address of ours that the client reached, `client` its own, with the port that it
    will send from, 0 if it does not say; `reaches` tells whether an address may be sent to.
    """

    def __init__(self, local: str, client: tuple[str, int], line: Line, reaches: Reaches) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = bare_host(client[0]).partition("%")[0], client[1]
        self._answer_to: Address = None
        self.line, self._reaches = line, reaches
        self._inside = _bound(socket.AF_INET6 if ":" in local else socket.AF_INET, local)
        self._outside: dict[int, socket.socket] = {}
        self._spoken: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._names: OrderedDict[str, str] = OrderedDict()
        self._lookups: set[asyncio.Task[None]] = set()
        self._loop.add_reader(self._inside, self._from_client)

    @property
    def address(self) -> tuple[str, int]:
        """Where the client's datagrams go."""
        name = self._inside.getsockname()
        return name[0], name[1]

    def close(self) -> None:
        """End it."""
        for task in self._lookups:
            task.cancel()
        for sock in (self._inside, *self._outside.values()):
            self._loop.remove_reader(sock)
            sock.close()
        self._outside.clear()

    def _from_client(self) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, sender = self._inside.recvfrom(SIZE_MAX)
            except OSError:
                return
            host, port = bare_host(sender[0]).partition("%")[0], sender[1]
            if host != self._client[0] or self._client[1] not in {0, port}:
                continue
            found = unpack_datagram(data)
            if found is not None:
                # Where the request named no port, the first to speak is the client.
                self._client, self._answer_to = (host, port), sender
                self._send(*found)

    def _send(self, name: str, port: int, data: bytes) -> None:
        known = self._names.get(name)
        if known is not None:
            self._pass_on(known, port, data)
        elif len(self._lookups) < WAITING_MAX:
            task = self._loop.create_task(self._look_up(name, port, data))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)

    async def _look_up(self, name: str, port: int, data: bytes) -> None:
        with suppress(OSError):
            async with asyncio.timeout(LOOKUP_S):
                found = await lookup(name, port, kind=socket.SOCK_DGRAM)
            for _, address in found:
                if self._reaches(str(address[0])):
                    self._names[name] = str(address[0])
                    while len(self._names) > NAMES_MAX:
                        self._names.popitem(last=False)
                    self._pass_on(str(address[0]), port, data)
                    return

    def _pass_on(self, host: str, port: int, data: bytes) -> None:
        if not port:
            return
        try:
            self._out(socket.AF_INET6 if ":" in host else socket.AF_INET).sendto(data, (host, port))
        except OSError:
            return  # no room, no way there: a datagram may get lost
        key = (host.partition("%")[0], port)
        self._spoken[key] = None
        self._spoken.move_to_end(key)
        if len(self._spoken) > TARGETS_MAX:
            self._spoken.popitem(last=False)
        self.line.up.count += len(data)
        self.line.active_s = self._loop.time()

    def _out(self, family: int) -> socket.socket:
        if family not in self._outside:
            sock = _bound(family, "::" if family == socket.AF_INET6 else "0.0.0.0")
            self._outside[family] = sock
            self._loop.add_reader(sock, self._from_target, sock)
        return self._outside[family]

    def _from_target(self, sock: socket.socket) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, sender = sock.recvfrom(SIZE_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of some target
            key = (sender[0].partition("%")[0], sender[1])
            if key not in self._spoken or self._answer_to is None:
                continue
            with suppress(OSError):
                self._inside.sendto(pack_datagram(*key, data), self._answer_to)
                self.line.down.count += len(data)
                self.line.active_s = self._loop.time()


def _bound(family: int, host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, 0))
    except OSError:
        sock.close()
        raise
    return sock
