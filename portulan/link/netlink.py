"""Ask the kernel over rtnetlink: dumps of links, addresses, routes, rules, neighbours; one lookup.

Why not pyroute2: importing it costs 137 ms (measured), before the first probe of every scan, for
five dumps and one lookup. This reader takes about a millisecond for all of them. pyroute2 stays
for the lab, which *changes* links, addresses and rules.

A message is a fixed header (`struct ifinfomsg`, `rtmsg`, ...) and type-length-value attributes,
all in host byte order, padded to 4 bytes (RFC 3549; linux/rtnetlink.h).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from portulan.errors import PortulanError

RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTM_NEWRULE, RTM_GETRULE = 32, 34

NLM_F_REQUEST, NLM_F_DUMP_INTERRUPTED, NLM_F_DUMP = 0x1, 0x10, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

HEADER_BYTES = {
    RTM_GETLINK: 16, RTM_GETADDR: 8, RTM_GETROUTE: 12, RTM_GETNEIGH: 12, RTM_GETRULE: 12,
}
"""Bytes of the fixed header in a request and in its answers: ifinfomsg, ifaddrmsg, rtmsg, ..."""

RECEIVE_BYTES = 1 << 17
"""Larger than any part of a dump: the kernel makes parts of 32 KiB, more for one huge link."""

DUMP_TRIES = 5
"""A dump that changed while it was read is asked for again; a flapping table must not hang us."""

AF_OF_FAMILY = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
FAMILY_OF_AF = {af: family for family, af in AF_OF_FAMILY.items()}
"""A family is 4 or 6 for our callers; the kernel's AF numbers stay in this room."""

_message = struct.Struct("=IHHII")
_attribute = struct.Struct("=HH")
_error = struct.Struct("=i")
_sequence = 1

Attributes = dict[int, bytes]


class Answer(NamedTuple):
    """One message: its fixed header's bytes, its attributes by type."""

    header: bytes
    attributes: Attributes


def attributes(data: bytes, at: int = 0) -> Attributes:
    """Return the attributes from `at` on; a length that leaves the message ends the walk."""
    found: Attributes = {}
    while at + 4 <= len(data):
        length, kind = _attribute.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]  # the two high bits are flags
        at += (length + 3) & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    return _attribute.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def number(value: bytes | None) -> int:
    """Return a host-order unsigned attribute, 0 if absent."""
    return int.from_bytes(value, "little" if struct.pack("=H", 1)[0] else "big") if value else 0


def text(value: bytes | None) -> str:
    """Return a name attribute without its NUL; a name may hold any byte but `/` and space."""
    return (value or b"").split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def address(value: bytes | None) -> int | None:
    """Return an address attribute (network order) as a number, None if absent."""
    return int.from_bytes(value, "big") if value else None


def address_text(value: int, family: int) -> str:
    """Return an address of family 4 or 6 as people write it.

    >>> address_text(0x0A010203, 4), address_text(1, 6)
    ('10.1.2.3', '::1')
    """
    packed = value.to_bytes(4 if family == 4 else 16, "big")
    return socket.inet_ntop(AF_OF_FAMILY[family], packed)


class Rtnetlink:
    """A conversation with the kernel about the network namespace this thread is in."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        except OSError as error:
            raise PortulanError(
                f"cannot ask the kernel for interfaces and routes (netlink): {error.strerror}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def dump(self, kind: int, family: int = 0, *, options: bytes = b"") -> list[Answer]:
        """Return all objects of an `RTM_GET*` kind, of family 4, 6 or 0 for all."""
        af = AF_OF_FAMILY.get(family, 0)
        for _ in range(DUMP_TRIES):
            header = bytes([af]).ljust(HEADER_BYTES[kind], b"\0")
            self._send(kind, NLM_F_REQUEST | NLM_F_DUMP, header + options)
            answers, whole = self._collect(HEADER_BYTES[kind])
            if whole:
                break
        # A kernel without a family answers for all families instead: keep only what was asked for.
        return [answer for answer in answers if not af or answer.header[0] == af]

    def ask(self, kind: int, body: bytes) -> Answer | int:
        """Return the answer to one question, or the errno of the kernel's refusal."""
        self._send(kind, NLM_F_REQUEST, body)
        for reply, _, data in self._messages():
            if reply == NLMSG_ERROR:
                return -int(_error.unpack_from(data)[0])
            size = HEADER_BYTES[kind]
            return Answer(data[:size], attributes(data, size))
        return 0

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._socket.send(_message.pack(16 + len(body), kind, flags, _sequence, 0) + body)

    def _collect(self, size: int) -> tuple[list[Answer], bool]:
        answers: list[Answer] = []
        whole = True
        while True:
            for kind, flags, data in self._messages():
                whole = whole and not flags & NLM_F_DUMP_INTERRUPTED
                if kind == NLMSG_DONE:
                    return answers, whole
                if kind == NLMSG_ERROR:
                    code = -int(_error.unpack_from(data)[0])
                    raise PortulanError(f"the kernel refuses a netlink dump: {os.strerror(code)}")
                answers.append(Answer(data[:size], attributes(data, size)))

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(RECEIVE_BYTES)
        at = 0
        while at + 16 <= len(data):
            length, kind, flags, _, _ = _message.unpack_from(data, at)
            if length < 16:
                break
            yield kind, flags, data[at + 16 : at + length]
            at += (length + 3) & ~3
