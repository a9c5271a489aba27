"""A server in a thread, and a client that sends the very bytes it is given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from portulan.sockets.serve import Server, serve
from portulan.sockets.serve_files import Files, Handler, Uploads
from portulan.sockets.serve_tree import Tree

READ_ONLY = Uploads()


class Running(NamedTuple):
    port: int
    server: Server
    notes: list[str]
    loop: asyncio.AbstractEventLoop

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextlib.contextmanager
def serving(handler: Handler | Path, endpoint: str = "tcp://127.0.0.1:0",
            uploads: Uploads = READ_ONLY, **options: Any) -> Iterator[Running]:
    if isinstance(handler, Path):
        handler = Files(Tree(handler), uploads)
    ready: list[Any] = []
    begun = threading.Event()
    notes: list[str] = []

    async def main() -> None:
        stop = asyncio.Event()
        try:
            async with await serve(handler, endpoint, note=notes.append, **options) as server:
                ready.extend((server, asyncio.get_running_loop(), stop))
                begun.set()
                await stop.wait()
        finally:
            begun.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    begun.wait()
    server, loop, stop = ready
    try:
        yield Running(server.port, server, notes, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(running: Running, request: bytes) -> Answer:
    """Send bytes, read one answer by its length."""
    with running.connect() as sock:
        sock.sendall(request)
        return read_answer(sock, head_only=request.startswith(b"HEAD"))


def get(
    running: Running, path: str, *headers: str, method: str = "GET", body: bytes = b""
) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ask(running, "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)


def read_answer(sock: socket.socket, *, head_only: bool = False) -> Answer:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1)
        if not more:
            raise ConnectionResetError(f"ended within a head: {data!r}")
        data += more
    first, *lines = data[:-4].decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    status = int(first.split()[1])
    if 100 <= status < 200:
        return read_answer(sock, head_only=head_only)
    left = 0 if head_only or status in {204, 304} else int(headers["content-length"])
    body = bytearray()
    while len(body) < left:
        more = sock.recv(min(left - len(body), 1 << 20))
        if not more:
            raise ConnectionResetError("ended within a body")
        body += more
    return Answer(status, headers, bytes(body))
