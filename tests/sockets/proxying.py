"""A proxy in a thread, with an echo server as its target."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from portulan.record import Connection
from portulan.sockets.proxy import Proxy
from portulan.sockets.proxy_rules import Door, Rules


class Running(NamedTuple):
    proxy: Proxy
    ports: tuple[int, ...]
    ended: list[Connection]

    def connect(self, at: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[at]), timeout=20)


@contextlib.contextmanager
def proxying(*doors: str, **rules: Any) -> Iterator[Running]:
    ready: list[Any] = []
    begun = threading.Event()
    ended: list[Connection] = []

    async def main() -> None:
        stop = asyncio.Event()
        made = Proxy([Door.parse(door) for door in doors], Rules(**rules), clock=lambda: 0,
                     record=ended.append)
        try:
            async with made:
                ready.extend((made, asyncio.get_running_loop(), stop))
                begun.set()
                await stop.wait()
        finally:
            begun.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    begun.wait()
    made, loop, stop = ready
    try:
        yield Running(made, made.ports, ended)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    """A TCP server that sends back what comes, and ends when its client has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=echo, args=(sock,)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def echo(sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError):
        while data := sock.recv(65536):
            sock.sendall(data)


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise ConnectionResetError(data)
        data += part
    return data


def everything(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))
