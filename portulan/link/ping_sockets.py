"""ICMP echo through ping sockets, for those who may not open raw ones: frames in, frames out.

The kernel lets the groups of `net.ipv4.ping_group_range` send echo requests by datagram sockets
(icmp(7)). It puts its own identifier into them and gives a reply to the socket that asked; the
identifier that a probe kind chose is put back here, found by the asked address and the sequence
number. What the kernel does not tell is 0: our address, and the IP checksum. Such frames inform,
and are never evidence.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Mapping
from typing import Any, Final

from portulan.errors import PrivilegeError, UsageError
from portulan.link.contract import Closing, Counters, check_frames
from portulan.link.udp_sockets import (
    ANCILLARY_BYTES,
    FAMILY,
    HEADER,
    ICMP6_NUMBER,
    ICMP_NUMBER,
    IP_RECVTTL,
    IPV6_RECVHOPLIMIT,
    PORTION,
    RECEIVE_BUFFER,
    SIZE_MAX,
    SO_TIMESTAMPNS,
    ip_packet,
    packed,
    time_of,
    ttl_of,
)
from portulan.wire.frames import Frames, LinkType

PROTOCOL: Final = {4: ICMP_NUMBER, 6: ICMP6_NUMBER}
#: Types of echo request and reply.
ECHO: Final = {4: (8, 0), 6: (128, 129)}
#: Questions whose identifier is remembered, 100 bytes each; beyond, the oldest is forgotten.
ASKED_MAX: Final = 262_144
_ICMP_BYTES: Final = 8


class PingSocketsLink(Closing):
    """Echo requests of both families without any right; carries nothing else.

    `zones` are interface numbers of link-local addresses by their text.
    """

    link_type: int = LinkType.RAW

    def __init__(self, *, interface: str = "", zones: Mapping[str, int] | None = None) -> None:
        self._interface, self._zones = interface.encode(), zones or {}
        self._poll = select.epoll()
        self._by_family: dict[int, socket.socket] = {}
        self._by_number: dict[int, tuple[socket.socket, int]] = {}
        self._asked: dict[tuple[bytes, bytes], bytes] = {}
        self._sent = self._received = self._refused = 0

    def send(self, frames: Frames) -> int:
        """Return how many requests the kernel took or refused for good, in order."""
        check_frames(frames, LinkType.RAW)
        done = 0
        for octets in frames:
            if not self._send(octets):
                break
            done += 1
        return done

    def _send(self, octets: bytes) -> bool:
        family = octets[0] >> 4
        start = HEADER.get(family, 0)
        if not start or len(octets) < start + _ICMP_BYTES or octets[start] != ECHO[family][0]:
            raise UsageError("only echo requests go through ping sockets")
        target = octets[16:20] if family == 4 else octets[24:40]
        sock = self._socket(family)
        try:
            sock.sendto(octets[start:], self._address(family, target))
        except BlockingIOError:
            return False
        except OSError as refused:
            if refused.errno == errno.ENOBUFS:
                return False
            self._refused += 1  # no way, or a local firewall: as silent as a lost packet
            return True
        self._sent += 1
        if len(self._asked) >= ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[target, octets[start + 6 : start + 8]] = octets[start + 4 : start + 6]
        return True

    def _address(self, family: int, target: bytes) -> tuple[Any, ...]:
        text = socket.inet_ntop(FAMILY[family], target)
        return (text, 0) if family == 4 else (text, 0, 0, self._zones.get(text, 0))

    def _socket(self, family: int) -> socket.socket:
        if family in self._by_family:
            return self._by_family[family]
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        try:
            sock = socket.socket(FAMILY[family], kind, PROTOCOL[family])
        except PermissionError:
            raise PrivilegeError(
                "the kernel gives no ICMP sockets to this group", right="ping_group_range",
                grant="sysctl net.ipv4.ping_group_range='0 2147483647'") from None
        level, ttl = ((socket.IPPROTO_IP, IP_RECVTTL) if family == 4
                      else (socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT))
        sock.setsockopt(level, ttl, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if self._interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface)
        self._by_family[family] = sock
        self._by_number[sock.fileno()] = sock, family
        self._poll.register(sock.fileno(), select.EPOLLIN)
        return sock

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the replies there are now, as frames."""
        heard: list[tuple[bytes, int]] = []
        for number, _ in self._poll.poll(max(0, wait_ns) / 1e9):
            self._replies(*self._by_number[number], heard)
        self._received += len(heard)
        octets, times = [each for each, _ in heard], [time_ns for _, time_ns in heard]
        return Frames.of(octets, times, LinkType.RAW) if heard else Frames.empty(LinkType.RAW)

    def _replies(
        self, sock: socket.socket, family: int, heard: list[tuple[bytes, int]]
    ) -> None:
        with contextlib.suppress(OSError):
            for _ in range(PORTION):
                data, told, _, source = sock.recvmsg(SIZE_MAX, ANCILLARY_BYTES)
                address = packed(family, source[0])
                identifier = self._asked.get((address, data[6:8]))
                if identifier is None or data[:1] != bytes([ECHO[family][1]]):
                    continue
                message = data[:2] + b"\0\0" + identifier + data[6:]
                heard.append((
                    ip_packet(family, PROTOCOL[family], address, message, ttl=ttl_of(told)),
                    time_of(told),
                ))

    def counters(self) -> Counters:
        """Return what passed so far; what a full receive buffer lost is not told to us."""
        return Counters(self._sent, self._received, 0, self._refused)

    def fileno(self) -> int:
        """Return the descriptor that polls readable when a reply is there."""
        return self._poll.fileno()

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._by_family.values():
            sock.close()
        self._by_family.clear()
        self._by_number.clear()
        self._poll.close()
