"""Reaching an endpoint: names, happy eyeballs, proxies, TLS; a failure is one line."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import deque
from dataclasses import replace
from typing import Final

from portulan.errors import UsageError
from portulan.sockets.datagram import Datagrams, dial_datagram_socket
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError, dial_error
from portulan.sockets.lookup import Found, interleave, lookup
from portulan.sockets.pipes import open_file, open_stdio, spawn
from portulan.sockets.stream import SocketStream, Stream, Waits
from portulan.sockets.tls import client_context, start_client
from portulan.sockets.via import Link, tunnel

ATTEMPT_DELAY_S: Final = 0.25
"""Until the next address is tried beside the first (RFC 8305 section 8)."""
ADDRESSES_MAX: Final = 16
"""Addresses of one name that are tried: a name with thousands must not make us a scanner."""


async def dial(endpoint: Endpoint | str | tuple[str, int], *,
               context: ssl.SSLContext | None = None) -> Stream:
    """Return a connected stream; raises `DialError`, or `UsageError` for what cannot be meant.

    `context` replaces what the endpoint's options say of certificates.
    """
    end = Endpoint.parse(endpoint)
    if end.is_datagram:
        raise UsageError("datagrams are no stream", text=str(end), hint="use dial_datagrams")
    try:
        if end.scheme == "exec":
            return await spawn(end.path)
        if end.scheme == "stdio":
            return open_stdio()
        if end.scheme == "file":
            return open_file(end.path, end.options.mode)
        async with asyncio.timeout(end.options.timeout):
            return await _dial(end, context)
    except OSError as error:
        raise dial_error(end.place, error) from None


async def dial_datagrams(endpoint: Endpoint | str) -> Datagrams:
    """Return a socket that speaks to one peer with datagrams; raises `DialError`."""
    end = Endpoint.parse(endpoint, scheme="udp")
    if not end.is_datagram:
        raise UsageError("a stream is no datagrams", text=str(end), hint="use dial")
    try:
        async with asyncio.timeout(end.options.timeout):
            found = [] if end.is_local else _matching(
                await lookup(*end.address, kind=socket.SOCK_DGRAM), end)
        return dial_datagram_socket(end, found)
    except OSError as error:
        raise dial_error(end.place, error) from None


async def _dial(end: Endpoint, context: ssl.SSLContext | None) -> Stream:
    secure = end.scheme == "tls"
    context = context or client_context(end.options) if secure else None
    stream: Stream = await _route(end)
    if context is None:
        return stream
    try:
        name = end.options.sni or end.host
        return await start_client(stream, context, name=name, pin=end.options.pin)
    except BaseException:
        stream.abort()
        raise


async def _route(end: Endpoint) -> Stream:
    """Connect to the endpoint, through its proxies if it names some."""
    if end.scheme == "unix":
        return await connect_unix(end.path)
    hops = end.options.via
    if not hops:
        return await connect_tcp(end)
    first = Endpoint("tcp", hops[0].host, hops[0].port, options=replace(end.options, via=()))
    try:
        stream: Link = await connect_tcp(first)
    except OSError as error:
        fault = dial_error(end.place, error)
        raise DialError(end.place, f"proxy {hops[0].shown}: {fault.reason}", kind="proxy") from None
    try:
        for at, hop in enumerate(hops):
            target = (hops[at + 1].host, hops[at + 1].port) if at + 1 < len(hops) else end.address
            stream = await tunnel(stream, hop, target)
    except BaseException:
        stream.abort()
        raise
    stream.peer = end.place
    stream.facts = replace(stream.facts, via=tuple(hop.shown for hop in hops))
    return stream


async def connect_unix(path: str) -> SocketStream:
    """Connect to a Unix stream socket; `@NAME` is an abstract one."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await _connect(sock, unix_address(path))
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock, peer=path)


def unix_address(path: str) -> str | bytes:
    """Return a path as the kernel takes it: `@NAME` begins with a NUL there."""
    return b"\0" + path[1:].encode() if path.startswith("@") else path


async def connect_tcp(end: Endpoint) -> SocketStream:
    """Connect to the first address that answers (RFC 8305); raises the most telling `OSError`."""
    found = interleave(_matching(await lookup(*end.address), end))[:ADDRESSES_MAX]
    faults: list[OSError] = []
    waiting = deque(found)
    running: set[asyncio.Task[SocketStream]] = set()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_attempt(end, waiting.popleft())))
            done, running = await asyncio.wait(
                running, timeout=ATTEMPT_DELAY_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if winner := _winner(done, faults):
                return winner
    finally:
        await _give_up(running)
    raise min(faults, key=_dullness)


def _matching(found: list[Found], end: Endpoint) -> list[Found]:
    """Keep the addresses of the family asked for, and of the source's: others can't be reached."""
    source = end.options.source[0]
    wanted = end.options.family or (source and (6 if ":" in source else 4))
    if not wanted:
        return found
    family = socket.AF_INET6 if wanted == 6 else socket.AF_INET
    kept = [item for item in found if item[0] == family]
    if not kept:
        raise DialError(end.place, f"no IPv{wanted} address", kind="name",
                        hint="family and source decide which are used")
    return kept


def _winner(done: set[asyncio.Task[SocketStream]], faults: list[OSError]) -> SocketStream | None:
    winner: SocketStream | None = None
    for task in done:
        error = task.exception()
        if error is None and winner is None:
            winner = task.result()
        elif error is None:
            task.result().abort()
        elif isinstance(error, OSError):
            faults.append(error)
        else:
            raise error
    return winner


async def _give_up(running: set[asyncio.Task[SocketStream]]) -> None:
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, SocketStream):
            result.abort()


def _dullness(error: OSError) -> int:
    """Order faults: "refused" by one address says more than "no route" of another's family."""
    order = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EADDRINUSE, errno.EHOSTUNREACH)
    return order.index(error.errno) if error.errno in order else len(order)


async def _attempt(end: Endpoint, found: Found) -> SocketStream:
    family, address = found
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        prepare(sock, end)
        await _connect(sock, address)
        # A port of the ephemeral range on loopback can meet itself: TCP's simultaneous open.
        if sock.getsockname() == sock.getpeername():
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)


def prepare(sock: socket.socket, end: Endpoint) -> None:
    """Set what the options say, before the socket is connected."""
    options = end.options
    if options.interface:
        device = options.interface.encode() + b"\0"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, options.nodelay)
    host, port = options.source
    if host or port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host or ("::" if sock.family == socket.AF_INET6 else "0.0.0.0"), port))


async def _connect(sock: socket.socket, address: object) -> None:
    """Connect without blocking; asyncio's own way refuses some socket types."""
    code = sock.connect_ex(address)  # type: ignore[arg-type]
    while code == errno.EAGAIN:
        # A Unix listener's queue is full: nothing tells when there is room (unix(7)).
        await asyncio.sleep(0.01)
        code = sock.connect_ex(address)  # type: ignore[arg-type]
    if code == errno.EINPROGRESS:
        await Waits(sock.fileno()).writable()
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
