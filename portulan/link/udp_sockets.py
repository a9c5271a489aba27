"""UDP through ordinary sockets, for those who may not open raw ones: still frames in, frames out.

Takes the datagrams that a probe kind built, lets the kernel send their payload, and gives back what
the kernel heard as the frames that must have come: replies, and ICMP errors from the sockets' error
queues (`IP_RECVERR`, ip(7)), which name the datagram's destination and who complained. The kernel
has matched them to our socket by addresses and ports; what it does not tell is 0: our address,
checksums, the payload quoted. Such frames inform, they prove nothing, and are never evidence.

Each source port of the frames gets a socket of its own, so that replies tell which try they answer
though the kernel chose another port.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters, check_frames
from portulan.wire.frames import Frames, LinkType

#: linux/in.h, in6.h, and socket.h: what the socket module has no names for everywhere.
IP_RECVTTL, IP_RECVERR = 12, 11
IPV6_RECVHOPLIMIT, IPV6_RECVERR = 51, 25
SO_TIMESTAMPNS: Final = 35
TTL_OF: Final = {(socket.IPPROTO_IP, 2), (socket.IPPROTO_IPV6, 52)}
_ERROR_OF: Final = {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}
#: struct sock_extended_err (linux/errqueue.h): errno, origin, type, code, padding, info, data.
_EXTENDED: Final = struct.Struct("=IBBBBII")
_FROM_ICMP: Final = (2, 3)
_TIMESPEC: Final = struct.Struct("=qq")

UDP_NUMBER, ICMP_NUMBER, ICMP6_NUMBER = 17, 1, 58
HEADER: Final = {4: 20, 6: 40}
FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
#: Datagrams and errors read of one socket at a time, so that none starves the others.
PORTION: Final = 64
SIZE_MAX: Final = 65_487
"""Bytes of a payload that fit a packet of both families with their headers (65,535)."""
ANCILLARY_BYTES: Final = 512
RECEIVE_BUFFER: Final = 1 << 20
#: A send can fail for what earlier datagrams met: that often it is tried again.
SEND_TRIES: Final = 3
#: Why the kernel itself would not send, as the ICMP error that a router would send for it: the
#: family's (type, code).
_LOCALLY: Final = {
    errno.ENETUNREACH: {4: (3, 0), 6: (1, 0)}, errno.EHOSTUNREACH: {4: (3, 1), 6: (1, 3)},
    errno.EPERM: {4: (3, 13), 6: (1, 1)}, errno.EACCES: {4: (3, 13), 6: (1, 1)},
}

Ancillary: TypeAlias = Iterable[tuple[int, int, bytes]]


class UdpSocketsLink(Closing):
    """UDP of both families without any right; carries nothing else.

    `zones` are interface numbers of link-local addresses by their text.
    """

    link_type: int = LinkType.RAW

    def __init__(self, *, interface: str = "", zones: Mapping[str, int] | None = None) -> None:
        self._interface, self._zones = interface.encode(), zones or {}
        self._poll = select.epoll()
        self._by_port: dict[tuple[int, int], socket.socket] = {}
        self._by_number: dict[int, tuple[socket.socket, int, int]] = {}
        self._heard: list[tuple[bytes, int]] = []
        self._sent = self._received = self._refused = 0

    def send(self, frames: Frames) -> int:
        """Return how many datagrams the kernel took or refused for good, in order."""
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
        if not start or len(octets) < start + 8 or octets[9 if family == 4 else 6] != UDP_NUMBER:
            raise UsageError("only UDP goes through datagram sockets")
        target = octets[16:20] if family == 4 else octets[24:40]
        sport, dport = struct.unpack_from(">HH", octets, start)
        sock = self._socket(family, sport)
        error = 0
        for _ in range(SEND_TRIES):
            try:
                sock.sendto(octets[start + 8:], self._address(family, target, dport))
            except BlockingIOError:
                return False
            except OSError as refused:
                error = refused.errno or 0
                if error == errno.ENOBUFS:
                    return False
                self._errors(sock, family, sport)
            else:
                self._sent += 1
                return True
        self._refused += 1
        kind, code = _LOCALLY.get(error, _LOCALLY[errno.EHOSTUNREACH])[family]
        ports = struct.pack(">HHHH", sport, dport, 8, 0)
        self._hear(_icmp(family, (kind, code), b"", target, ports), ())
        return True

    def _address(self, family: int, target: bytes, port: int) -> tuple[Any, ...]:
        text = socket.inet_ntop(FAMILY[family], target)
        return (text, port) if family == 4 else (text, port, 0, self._zones.get(text, 0))

    def _socket(self, family: int, sport: int) -> socket.socket:
        if (family, sport) in self._by_port:
            return self._by_port[family, sport]
        sock = self._made(family)
        level, ttl, errors = (
            (socket.IPPROTO_IP, IP_RECVTTL, IP_RECVERR) if family == 4
            else (socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPV6_RECVERR)
        )
        sock.setsockopt(level, ttl, 1)
        sock.setsockopt(level, errors, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # Directed broadcasts are asked like anybody else.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if self._interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface)
        self._by_port[family, sport] = sock
        self._by_number[sock.fileno()] = sock, family, sport
        self._poll.register(sock.fileno(), select.EPOLLIN)
        return sock

    def _made(self, family: int) -> socket.socket:
        """Return a new socket, for the oldest one if there is no descriptor for both.

        The oldest serves the first tries: late answers to those are lost, newer tries are heard.
        """
        while True:
            try:
                return socket.socket(FAMILY[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._by_port:
                    raise
            oldest = next(iter(self._by_port))
            sock = self._by_port.pop(oldest)
            self._errors(sock, *oldest)
            self._replies(sock, *oldest)
            del self._by_number[sock.fileno()]
            sock.close()

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the replies and errors there are now, as frames."""
        wait = 0.0 if self._heard else max(0, wait_ns) / 1e9
        for number, _ in self._poll.poll(wait):
            sock, family, sport = self._by_number[number]
            self._errors(sock, family, sport)
            self._replies(sock, family, sport)
        heard, self._heard = self._heard, []
        self._received += len(heard)
        octets, times = [each for each, _ in heard], [time_ns for _, time_ns in heard]
        return Frames.of(octets, times, LinkType.RAW) if heard else Frames.empty(LinkType.RAW)

    def _replies(self, sock: socket.socket, family: int, sport: int) -> None:
        with contextlib.suppress(OSError):  # an error that came meanwhile is in the queue, too
            for _ in range(PORTION):
                data, told, _, source = sock.recvmsg(SIZE_MAX, ANCILLARY_BYTES)
                ports = struct.pack(">HHHH", source[1], sport, 8 + len(data), 0)
                packet = ip_packet(family, UDP_NUMBER, packed(family, source[0]), ports + data,
                             ttl=ttl_of(told))
                self._hear(packet, told)

    def _errors(self, sock: socket.socket, family: int, sport: int) -> None:
        with contextlib.suppress(OSError):
            for _ in range(PORTION):
                _, told, _, target = sock.recvmsg(
                    SIZE_MAX, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
                for level, kind, data in told:
                    if (level, kind) in _ERROR_OF and len(data) >= _EXTENDED.size:
                        ports = struct.pack(">HHHH", sport, target[1], 8, 0)
                        self._complaint(family, data, packed(family, target[0]), ports, told=told)

    def _complaint(
        self, family: int, data: bytes, target: bytes, ports: bytes, *, told: Ancillary
    ) -> None:
        _, origin, kind, code, *_ = _EXTENDED.unpack_from(data)
        if origin in _FROM_ICMP:
            at = _EXTENDED.size + (4 if family == 4 else 8)
            source = data[at : at + (4 if family == 4 else 16)]
            self._hear(_icmp(family, (kind, code), source, target, ports), told)

    def _hear(self, packet: bytes, told: Ancillary) -> None:
        self._heard.append((packet, time_of(told)))

    def counters(self) -> Counters:
        """Return what passed so far; what a full receive buffer lost is not told to us."""
        return Counters(self._sent, self._received, 0, self._refused)

    def fileno(self) -> int:
        """Return the descriptor that polls readable when a socket has something."""
        return self._poll.fileno()

    def close(self) -> None:
        """Close all sockets."""
        for sock in self._by_port.values():
            sock.close()
        self._by_port.clear()
        self._by_number.clear()
        self._poll.close()


def packed(family: int, text: str) -> bytes:
    """Return the octets of an address's text, its zone left out."""
    return socket.inet_pton(FAMILY[family], text.partition("%")[0])


def ttl_of(told: Ancillary) -> int:
    """Return the time to live that came beside a message; 0 if none did."""
    found = [data for level, kind, data in told if (level, kind) in TTL_OF and len(data) >= 4]
    return struct.unpack_from("=I", found[0])[0] & 0xFF if found else 0


def time_of(told: Ancillary) -> int:
    """Return when the kernel took a message in, in Unix nanoseconds; now if it did not say."""
    stamps = [data for _, kind, data in told if kind == SO_TIMESTAMPNS and len(data) == 16]
    seconds, rest = _TIMESPEC.unpack(stamps[0]) if stamps else (0, time.time_ns())
    return int(seconds) * 1_000_000_000 + int(rest)


def ip_packet(family: int, protocol: int, source: bytes, body: bytes, *, ttl: int = 0) -> bytes:
    """Return a packet from an address to us, as far as the kernel told it."""
    if family == 4:
        size = 20 + len(body)
        return struct.pack(">BBHHHBBH4s4x", 0x45, 0, size, 0, 0, ttl, protocol, 0, source) + body
    return struct.pack(">IHBB16s16x", 6 << 28, len(body), protocol, ttl, source) + body


def _icmp(
    family: int, kind: tuple[int, int], source: bytes, target: bytes, ports: bytes
) -> bytes:
    """Return the ICMP error about a datagram of ours to a target."""
    quote = bytearray(ip_packet(family, UDP_NUMBER, b"", ports))
    at = 16 if family == 4 else 24
    quote[at : at + len(target)] = target
    number = ICMP_NUMBER if family == 4 else ICMP6_NUMBER
    return ip_packet(family, number, source, struct.pack(">BBHI", *kind, 0, 0) + bytes(quote))
