"""Through a proxy as its client: SOCKS4, SOCKS4a, SOCKS5 (RFC 1928, 1929), HTTP CONNECT (RFC 9110).

Not a byte is read beyond the proxy's answer: what follows is the target's.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
import ssl
from typing import Final, TypeAlias

from portulan.errors import printable
from portulan.sockets.faults import DialError, words
from portulan.sockets.lookup import lookup
from portulan.sockets.options import Options, Proxy
from portulan.sockets.stream import SocketStream, Stream
from portulan.sockets.tls import TlsStream, client_context, start_client

HEAD_MAX: Final = 16_384
"""Bytes of an HTTP proxy's answer; servers commonly stop at 8 to 16 KiB."""
Link: TypeAlias = SocketStream | TlsStream
"""What leads to a proxy; https proxies put TLS around it."""
NAME_MAX: Final = 255
"""Bytes of a name in SOCKS5: its length is one byte."""

SOCKS4_REPLIES: Final = {
    91: "refused or failed", 92: "it cannot reach our identd", 93: "identd names another user",
}
SOCKS5_REPLIES: Final = {
    1: "general failure", 2: "not allowed by its rules", 3: "network unreachable",
    4: "host unreachable", 5: "connection refused", 6: "TTL expired",
    7: "it knows no CONNECT", 8: "it knows no such address type",
}


async def tunnel(stream: Link, hop: Proxy, target: tuple[str, int]) -> Link:
    """Ask a proxy, to which `stream` leads, for a target; return what leads there.

    Raises `DialError` of kind proxy.
    """
    try:
        if hop.scheme in {"socks4", "socks4a"}:
            await _socks4(stream, hop, target)
        elif hop.scheme == "socks5":
            await _socks5(stream, hop, target)
        elif hop.scheme == "http":
            await _http(stream, hop, target)
        else:
            stream = await start_client(stream, client_context(Options()), name=hop.host)
            await _http(stream, hop, target)
    except (OSError, ssl.SSLError) as error:
        raise _failed(hop, target, words(error)) from None
    return stream


def _failed(hop: Proxy, target: tuple[str, int], reason: str, hint: str = "") -> DialError:
    host, port = target
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return DialError(place, f"proxy {hop.shown}: {reason}", kind="proxy", hint=hint)


async def read_exactly(stream: Stream, count: int) -> bytes:
    """Read so many bytes and none beyond; raises `ConnectionResetError` if the peer ends before."""
    data = b""
    while len(data) < count:
        part = await stream.read(count - len(data))
        if not part:
            raise ConnectionResetError("it ended in the middle of its answer")
        data += part
    return data


async def _socks4(stream: Stream, hop: Proxy, target: tuple[str, int]) -> None:
    host, port = target
    address, name = b"\0\0\0\1", b""
    try:
        address = ipaddress.IPv4Address(host).packed
    except ValueError:
        if hop.scheme == "socks4a":
            name = host.encode("idna") + b"\0"
        else:
            address = await _ipv4_of(hop, target)
    user = hop.user.encode() + b"\0"
    await stream.write(b"\4\1" + port.to_bytes(2, "big") + address + user + name)
    answer = await read_exactly(stream, 8)
    if answer[0] != 0 or answer[1] != 90:
        raise _failed(hop, target, SOCKS4_REPLIES.get(answer[1], "it does not speak SOCKS4"))


async def _ipv4_of(hop: Proxy, target: tuple[str, int]) -> bytes:
    for family, address in await lookup(*target):
        if family == socket.AF_INET:
            return ipaddress.IPv4Address(address[0]).packed
    raise _failed(hop, target, "SOCKS4 knows only IPv4", "socks4a:// or socks5:// take names")


async def _socks5(stream: Stream, hop: Proxy, target: tuple[str, int]) -> None:
    await stream.write(b"\5\2\0\2" if hop.user else b"\5\1\0")
    version, method = await read_exactly(stream, 2)
    if version != 5:
        raise _failed(hop, target, "it does not speak SOCKS5")
    if method == 2:
        await _log_in(stream, hop, target)
    elif method:
        raise _failed(hop, target, "it wants a user and password",
                      "socks5://USER:PASSWORD@HOST:PORT")
    await stream.write(b"\5\1\0" + _socks5_address(*target))
    version, reply, _, kind = await read_exactly(stream, 4)
    if version != 5 or reply:
        raise _failed(hop, target, SOCKS5_REPLIES.get(reply, "an answer that is not SOCKS5"))
    size = {1: 4, 4: 16}.get(kind) or (await read_exactly(stream, 1))[0]
    await read_exactly(stream, size + 2)


async def _log_in(stream: Stream, hop: Proxy, target: tuple[str, int]) -> None:
    user, password = hop.user.encode()[:255], hop.password.encode()[:255]
    await stream.write(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
    if (await read_exactly(stream, 2))[1]:
        raise _failed(hop, target, "it takes neither user nor password")


def _socks5_address(host: str, port: int) -> bytes:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
        kind = b"\1" if address.version == 4 else b"\4"
        return kind + address.packed + port.to_bytes(2, "big")
    except ValueError:
        name = _wire_name(host)
        return b"\3" + bytes([len(name)]) + name + port.to_bytes(2, "big")


def _wire_name(host: str) -> bytes:
    try:
        return host.encode("idna")
    except UnicodeError:
        return host.encode()[:NAME_MAX]


async def _http(stream: Stream, hop: Proxy, target: tuple[str, int]) -> None:
    host, port = target
    name = f"[{host}]" if ":" in host else _wire_name(host).decode("ascii", "replace")
    head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n"
    if hop.user:
        login = base64.b64encode(f"{hop.user}:{hop.password}".encode()).decode()
        head += f"Proxy-Authorization: Basic {login}\r\n"
    await stream.write(f"{head}\r\n".encode())
    answer = await _read_head(stream)
    match = re.match(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?", answer)
    if not match:
        raise _failed(hop, target, "it does not speak HTTP")
    if match[1][:1] != b"2":
        status = printable(match[0].partition(b" ")[2].decode("latin-1"))
        hint = "http://USER:PASSWORD@HOST:PORT" if match[1] == b"407" else ""
        raise _failed(hop, target, f"it answers {status}", hint)


async def _read_head(stream: Stream) -> bytes:
    """Read an answer's head byte by byte: a target that speaks first may follow it at once."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        if len(head) >= HEAD_MAX:
            raise ConnectionResetError("its answer has an endless head")
        head += await read_exactly(stream, 1)
    return bytes(head)
