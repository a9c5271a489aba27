r"""The PROXY protocol, versions 1 and 2: who the client was before a proxy took its place.

Sans-I/O: `parse` is asked with what has come so far and says whether that is a header, how long it
is, or that more must come. Written against the specification at haproxy.org (proxy-protocol.txt,
sections 2.1 and 2.2), which names no guessing: a connection either must begin with a header or
must not.

>>> header = Proxied("192.0.2.7", 51000, "198.51.100.1", 443)
>>> header.pack_v1()
b'PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n'
>>> parse(header.pack_v2() + b"GET /") == Parsed(header, size=28)
True
>>> parse(b"PROXY TC") is None
True
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from portulan.errors import PeerError

V1_MAX: Final = 107
"""The longest line of version 1 with its CRLF [bytes] (section 2.1)."""
V2_MAX: Final = 4096
"""The longest header of version 2 we take [bytes]. The format allows 65,551; addresses and the
TLVs in use (TLS names, load balancers' ids) stay under 1 KiB, and each client may cost us this."""
HEADER_MAX: Final = V2_MAX

V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_SIGNATURE: Final = b"PROXY "
_V2: Final = struct.Struct(">12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6, _UNIX = 0x11, 0x21, 0x31
#: Address family and transport -> octets of one address, of the whole block.
_BLOCKS: Final = {
    0x11: (4, 12), 0x12: (4, 12), 0x21: (16, 36), 0x22: (16, 36), 0x31: (108, 216),
    0x32: (108, 216),
}
_V1_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_PORT_MAX: Final = 65_535

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxied:
    """Whom a connection is for: the client, and the address it had called.

    Both hosts are IP addresses of one family as text without zone. A header may leave the client
    unknown (a proxy's own health check, a Unix socket): then the hosts are empty.
    """

    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0

    @property
    def known(self) -> bool:
        """Whether the header names a client."""
        return bool(self.source)

    def pack_v1(self) -> bytes:
        """Return the line of version 1; `PROXY UNKNOWN` if the client is unknown."""
        pair = self._addresses()
        if pair is None:
            return b"PROXY UNKNOWN\r\n"
        words = f"TCP{pair[0].version} {pair[0]} {pair[1]} {self.source_port}"
        return f"PROXY {words} {self.destination_port}\r\n".encode()

    def pack_v2(self) -> bytes:
        """Return the header of version 2; command LOCAL if the client is unknown."""
        pair = self._addresses()
        if pair is None:
            return _V2.pack(V2_SIGNATURE, _LOCAL, 0, 0)
        block = pair[0].packed + pair[1].packed
        block += struct.pack(">HH", self.source_port, self.destination_port)
        kind = _TCP4 if pair[0].version == 4 else _TCP6
        return _V2.pack(V2_SIGNATURE, _PROXY, kind, len(block)) + block

    def _addresses(self) -> tuple[Address, Address] | None:
        """Return both addresses in one family: a mixed pair becomes IPv6, the IPv4 one mapped."""
        source, destination = _address(self.source), _address(self.destination)
        if source is None or destination is None:
            return None
        if source.version != destination.version:
            return _mapped(source), _mapped(destination)
        return source, destination


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole header and how many bytes it took."""

    proxied: Proxied
    size: int


def parse(data: bytes | bytearray | memoryview) -> Parsed | None:
    """Return the header that `data` begins with, or None while more bytes must come.

    Never asks for more than `HEADER_MAX` bytes. Raises `PeerError` for anything else.
    """
    octets = bytes(data[:HEADER_MAX])
    if octets[:1] == b"P":
        return _parse_v1(octets)
    head = octets[:12]
    if head != V2_SIGNATURE[: len(head)]:
        raise PeerError("no PROXY protocol header where one must be")
    return _parse_v2(octets) if len(octets) >= _V2.size else None


def _parse_v1(octets: bytes) -> Parsed | None:
    head = octets[:6]
    end = octets.find(b"\r\n", 0, V1_MAX)
    if head != _V1_SIGNATURE[: len(head)] or (end < 0 and len(octets) >= V1_MAX):
        raise PeerError("no PROXY protocol header where one must be")
    if end < 0:
        return None
    words = octets[len(_V1_SIGNATURE) : end].decode("latin-1").split(" ")
    if words[0] == "UNKNOWN":  # section 2.1: what follows must be ignored
        return Parsed(Proxied(), end + 2)
    if len(words) != 5 or words[0] not in ("TCP4", "TCP6"):
        raise PeerError("a PROXY v1 header that cannot be read")
    family = IPv4Address if words[0] == "TCP4" else IPv6Address
    try:
        source, destination = (str(family(word)) for word in words[1:3])
    except ValueError as error:
        raise PeerError("a PROXY v1 header with a bad address") from error
    ports = [_v1_port(word) for word in words[3:]]
    return Parsed(Proxied(source, ports[0], destination, ports[1]), end + 2)


def _v1_port(word: str) -> int:
    if not _V1_PORT.fullmatch(word) or int(word) > _PORT_MAX:
        raise PeerError("a PROXY v1 header with a bad port")
    return int(word)


def _parse_v2(octets: bytes) -> Parsed | None:
    _, command, kind, length = _V2.unpack_from(octets)
    if command not in (_LOCAL, _PROXY):
        raise PeerError(f"a PROXY v2 header with command {command:#04x}")
    size = _V2.size + length
    if size > V2_MAX:
        raise PeerError(f"a PROXY v2 header of {size} bytes, {V2_MAX} are taken")
    if len(octets) < size:
        return None
    block = octets[_V2.size : size]
    if command == _LOCAL:
        return Parsed(Proxied(), size)
    return Parsed(_v2_addresses(kind, block), size)


def _v2_addresses(kind: int, block: bytes) -> Proxied:
    if kind not in _BLOCKS:
        return Proxied()  # section 2.2: an unknown family is to be taken as unspecified
    width, need = _BLOCKS[kind]
    if len(block) < need:
        raise PeerError(f"a PROXY v2 header with {len(block)} of {need} address bytes")
    if kind & 0xF0 == _UNIX & 0xF0:
        return Proxied()
    family = IPv4Address if width == 4 else IPv6Address
    ports = struct.unpack_from(">HH", block, width * 2)
    source, destination = str(family(block[:width])), str(family(block[width : width * 2]))
    return Proxied(source, ports[0], destination, ports[1])


def _address(text: str) -> Address | None:
    host = text.partition("%")[0]
    for family in (IPv4Address, IPv6Address):
        try:
            return family(host)
        except ValueError:
            continue
    return None


def _mapped(address: Address) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
