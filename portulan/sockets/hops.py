"""Probes that expire on the way, by ordinary sockets: no right is needed (ip(7), IPERRORS).

The kernel keeps ICMP errors about a socket's packets in the socket's error queue, with the router
that sent them and the packet's own content. All UDP and ICMP probes of a host share one flow, so
that routers which balance by flow show one path and not a mixture of several.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from portulan.errors import PrivilegeError

Manner: TypeAlias = Literal["udp", "icmp", "tcp"]

# linux/in.h, linux/in6.h, linux/errqueue.h
ERRORS: Final = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
TTL: Final = {4: (socket.IPPROTO_IP, 2), 6: (socket.IPPROTO_IPV6, 16)}
_MSG_ERRQUEUE: Final = 0x2000
_EXTENDED_ERR: Final = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_ECHO: Final = {4: 8, 6: 128}
_EXPIRED: Final = {4: 11, 6: 3}
_UNREACHABLE: Final = {4: 3, 6: 1}
_PORT: Final = {4: 3, 6: 4}
#: (family, code) -> what traceroute's users know it by; other codes show as !N with their number.
_MARKS: Final = {
    (4, 0): "!N", (4, 1): "!H", (4, 2): "!P", (4, 5): "!S", (4, 9): "!X", (4, 10): "!X",
    (4, 13): "!X", (6, 0): "!N", (6, 1): "!X", (6, 3): "!H",
}
_BYTES_MAX: Final = 2048
_TAG: Final = struct.Struct("!HH")


class Heard(NamedTuple):
    """A reply: to which host's which probe (-1 if the quote is too short), from whom, as what."""

    host: int
    tag: int
    addr: str
    kind: Literal["expired", "reached", "unreachable"]
    mark: str


class HopSockets:
    """One socket a host; `send` a tagged probe, `hear` replies."""

    def __init__(self, manner: Manner, *, port: int = 33434, interface: str = "") -> None:
        self._manner, self._port, self._interface = manner, port, interface
        self._open: dict[int, tuple[socket.socket, int, str]] = {}
        self._hosts: dict[int, int] = {}
        self._poll = select.poll()

    def open(self, host: int, addr: str, *, port: int = 0) -> None:
        """Open the socket of a host; raises `PrivilegeError`, or `OSError` without a way.

        `addr` may have a zone; `port` is asked instead of the one for all.
        """
        family = 6 if ":" in addr else 4
        sock = self._socket(family)
        try:
            sock.setblocking(False)
            sock.setsockopt(*ERRORS[family], 1)
            if self._interface:
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
            sock.connect(socket_address(addr, (port or self._port) * (self._manner == "udp")))
        except BaseException:
            sock.close()
            raise
        self._open[host] = sock, family, addr.partition("%")[0]
        self._hosts[sock.fileno()] = host
        self._poll.register(sock, select.POLLIN)

    def _socket(self, family: int) -> socket.socket:
        if self._manner == "udp":
            return socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
        protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        try:
            return socket.socket(FAMILIES[family], socket.SOCK_DGRAM, protocol)
        except PermissionError:
            raise PrivilegeError(
                "the kernel gives no ICMP sockets to this group", right="ping_group_range",
                grant="sysctl net.ipv4.ping_group_range='0 2147483647'") from None

    def send(self, host: int, ttl: int, tag: int) -> bool:
        """Send a probe that lives for `ttl` hops; return whether the kernel took it."""
        sock, family, _ = self._open[host]
        sock.setsockopt(*TTL[family], ttl)
        packet = self._packet(family, tag)
        for _ in range(2):  # the first call may only tell of an ICMP error that came before
            try:
                sock.send(packet)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                    return False
                continue
            return True
        return False

    def _packet(self, family: int, tag: int) -> bytes:
        # The tag and its complement add up to nothing: the checksum, by which some routers
        # balance too, is the same for every probe.
        body = _TAG.pack(tag, 0xFFFF - tag)
        if self._manner == "udp":
            return body
        return struct.pack("!BBHHH", _ECHO[family], 0, 0, 0, tag) + body[2:]

    def hear(self, wait_ns: int) -> Iterator[Heard]:
        """Yield what came, waiting at most `wait_ns` for the first."""
        for number, events in self._poll.poll(max(0, wait_ns) / 1e6):
            host = self._hosts[number]
            if events & select.POLLERR:
                yield from self._errors(host)
            if events & select.POLLIN:
                yield from self._answers(host)

    def _errors(self, host: int) -> Iterator[Heard]:
        sock, family, addr = self._open[host]
        for heard, data in errors_of(sock, host, family, addr):
            yield heard._replace(tag=self._tag(data))

    def _answers(self, host: int) -> Iterator[Heard]:
        sock, _, addr = self._open[host]
        while True:
            try:
                data = sock.recv(_BYTES_MAX)
            except OSError:
                return
            yield Heard(host, self._tag(data), addr, "reached", "")

    def _tag(self, data: bytes) -> int:
        """Return the tag of a probe that is quoted or echoed; -1 if it is cut or another's."""
        at = 0 if self._manner == "udp" else 6
        if len(data) < at + 2:
            return -1
        tag = int.from_bytes(data[at : at + 2], "big")
        whole = len(data) >= at + 4
        if whole and int.from_bytes(data[at + 2 : at + 4], "big") != 0xFFFF - tag:
            return -1
        return tag

    def shut(self, host: int) -> None:
        """Close a host's socket."""
        sock, _, _ = self._open.pop(host)
        self._poll.unregister(sock)
        del self._hosts[sock.fileno()]
        sock.close()

    def close(self) -> None:
        """Close all sockets."""
        for host in list(self._open):
            self.shut(host)


def socket_address(addr: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return what `connect` takes; raises `OSError` for a zone that is not there.

    Python drops a zone from an address of two parts.
    """
    text, _, zone = addr.partition("%")
    if ":" not in text:
        return text, port
    return text, port, 0, socket.if_nametoindex(zone) if zone else 0


def errors_of(
    sock: socket.socket, host: int, family: int, addr: str
) -> Iterator[tuple[Heard, bytes]]:
    """Yield the ICMP errors that a socket's queue holds, and what they quote of its packet."""
    while True:
        try:
            data, extras, _, _ = sock.recvmsg(_BYTES_MAX, 512, _MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, content in extras:
            if (level, kind) == ERRORS[family]:
                heard = read_error(host, family, addr, content)
                if heard is not None:
                    yield heard, data


def read_error(host: int, family: int, addr: str, content: bytes) -> Heard | None:
    """Return what a `sock_extended_err` says; None if it is our own kernel's, or of no concern."""
    at = _EXTENDED_ERR.size + (4 if family == 4 else 8)
    size = 4 if family == 4 else 16
    if len(content) < at + size:
        return None
    _, origin, kind, code, *_ = _EXTENDED_ERR.unpack_from(content)
    if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
        return None
    sender = socket.inet_ntop(FAMILIES[family], content[at : at + size])
    if kind == _EXPIRED[family]:
        return Heard(host, -1, sender, "expired", "")
    if kind != _UNREACHABLE[family]:
        return None
    if code == _PORT[family] and sender == addr:
        return Heard(host, -1, sender, "reached", "")
    return Heard(host, -1, sender, "unreachable", _MARKS.get((family, code), f"!{code}"))
