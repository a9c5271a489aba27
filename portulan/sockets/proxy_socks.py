"""SOCKS5 from the server's side: negotiation, requests, datagrams (RFC 1928, RFC 1929)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from portulan.errors import PeerError
from portulan.sockets.proxy_rules import Door
from portulan.sockets.stream import Stream
from portulan.sockets.via import read_exactly

VERSION: Final = 5
LOGIN_VERSION: Final = 1
NO_LOGIN, LOGIN, NO_METHOD = 0, 2, 0xFF
NOWHERE: Final = ("0.0.0.0", 0)


class Command(IntEnum):
    """What a client may ask for (RFC 1928 section 4)."""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class Reply(IntEnum):
    """How a request went (RFC 1928 section 6)."""

    SUCCEEDED = 0
    FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    NO_COMMAND = 7
    NO_ADDRESS_TYPE = 8


class SocksError(PeerError):
    """A client does not speak SOCKS5 as it should.

    `reply` is what it is told, if anything; `login` says that its login was the fault.
    """

    def __init__(self, reason: str, reply: Reply | None = None, *, login: bool = False) -> None:
        self.reply, self.login = reply, login
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: a command, and where it leads."""

    command: Command
    host: str
    port: int


async def negotiate(stream: Stream, door: Door) -> None:
    """Agree on a method and check the login; raises SocksError and OSError."""
    version, count = await read_exactly(stream, 2)
    if version != VERSION:
        name = {4: "SOCKS4", 0x16: "TLS"}.get(version, "no SOCKS5")
        if chr(version).isascii() and chr(version).isupper():
            name = "HTTP, it seems"
        raise SocksError(f"it speaks {name}")
    methods = await read_exactly(stream, count)
    wanted = LOGIN if door.user else NO_LOGIN
    if wanted not in methods:
        await stream.write(bytes([VERSION, NO_METHOD]))
        raise SocksError("it offers no login" if door.user else "it offers only methods with login",
                         login=True)
    await stream.write(bytes([VERSION, wanted]))
    if wanted == LOGIN:
        await _check_login(stream, door)


async def _check_login(stream: Stream, door: Door) -> None:
    version, length = await read_exactly(stream, 2)
    user = await read_exactly(stream, length)
    (length,) = await read_exactly(stream, 1)
    password = await read_exactly(stream, length)
    right = version == LOGIN_VERSION and door.knows(user, password)
    await stream.write(bytes([LOGIN_VERSION, 0 if right else 1]))
    if not right:
        raise SocksError("wrong login", login=True)


async def read_request(stream: Stream) -> Asked:
    """Read a request; raises SocksError and OSError."""
    version, command, _, kind = await read_exactly(stream, 4)
    if version != VERSION:
        raise SocksError("its request is none")
    if kind == 1:
        host = str(ipaddress.IPv4Address(await read_exactly(stream, 4)))
    elif kind == 4:
        host = str(ipaddress.IPv6Address(await read_exactly(stream, 16)))
    elif kind == 3:
        (length,) = await read_exactly(stream, 1)
        host = _name(await read_exactly(stream, length))
    else:
        raise SocksError("its address is of an unknown type", Reply.NO_ADDRESS_TYPE)
    port = int.from_bytes(await read_exactly(stream, 2), "big")
    if command not in {Command.CONNECT, Command.UDP_ASSOCIATE}:
        raise SocksError("BIND and other commands are not served", Reply.NO_COMMAND)
    return Asked(Command(command), host, port)


def reply(code: Reply, address: tuple[str, int] = NOWHERE) -> bytes:
    """Return an answer to a request."""
    return bytes([VERSION, code, 0]) + pack_address(*address)


def pack_address(host: str, port: int) -> bytes:
    """Return an address as SOCKS5 writes it."""
    address = ipaddress.ip_address(host.partition("%")[0])
    kind = 1 if address.version == 4 else 4
    return bytes([kind]) + address.packed + port.to_bytes(2, "big")


def unpack_datagram(data: bytes) -> tuple[str, int, bytes] | None:
    """Return where a client's datagram goes and what it says; None for what is none.

    Fragments are dropped, which RFC 1928 section 7 allows: nobody sends them.
    """
    if len(data) < 4 or data[:3] != b"\0\0\0":
        return None
    start = {1: 4, 3: 5, 4: 4}.get(data[3], 0)
    length = {1: 4, 4: 16}.get(data[3]) or (data[4] if data[3] == 3 and len(data) > 4 else 0)
    end = start + length
    if not start or not length or len(data) < end + 2:
        return None
    raw = data[start:end]
    try:
        host = _name(raw) if data[3] == 3 else str(ipaddress.ip_address(raw))
    except SocksError:
        return None
    return host, int.from_bytes(data[end : end + 2], "big"), data[end + 2 :]


def pack_datagram(host: str, port: int, data: bytes) -> bytes:
    """Return a target's datagram with the header that tells whose it is."""
    return b"\0\0\0" + pack_address(host, port) + data


def _name(raw: bytes) -> str:
    """Return a host name; what can be no name is never given to the resolver."""
    name = raw.decode("ascii", "replace")
    good = 0 < len(name) <= 253 and all(
        (letter.isascii() and letter.isalnum()) or letter in "-_.:%" for letter in name)
    if not good:
        raise SocksError("its target is no host name", Reply.HOST_UNREACHABLE)
    return name
