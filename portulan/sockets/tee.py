"""What passed a relay, as packets that a capture file can hold.

The kernel shows a relay bytes, not segments, and one side may be inside of TLS. So segments are
made: a handshake, data in the order and at the times it passed, FIN or RST, between the real
addresses of one leg, as if it had been captured there in the clear. The leg to the client is
preferred; a leg that was TLS is taken only if both were, since readers guess by port.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.wire import TCP, UDP, Frames, IPv4, IPv6, LinkType, Options, tcp_options
from portulan.wire.checksum import checksum_rows
from portulan.wire.header import Packet
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.tcp import NOP, mss, wscale

SEGMENT_BYTES: Final = 16_384
"""Payload of a made segment [bytes]: large, so that few headers are made, and below the 64 KiB of
an IP packet."""
WINDOW_SHIFT: Final = 14
"""The largest scale (RFC 7323 section 2.3): readers must not think the made window was full."""
WINDOW: Final = 65_535
_UNNAMED: Final = ("127.0.0.1", "127.0.0.2")
"""Stand in for the two ends of a Unix socket, which has no addresses."""

Sink: TypeAlias = Callable[[Frames, str], None]
"""Takes frames of `LinkType.RAW`, and a comment on the first of them (empty: none)."""
Inet: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a relayed connection: the addresses of who asks and of who is asked."""

    client: Inet | None
    server: Inet | None
    secret: bool = False
    """Whether it was inside of TLS."""


def shown_leg(client: Leg, target: Leg) -> Leg:
    """Return the leg that the capture shows."""
    legs = [leg for leg in (client, target) if leg.client and leg.server]
    plain = [leg for leg in legs if not leg.secret]
    return next(iter(plain + legs), client)


class Tee:
    """Makes packets of what passes and hands them to `sink` at once.

    `clock` gives Unix time in nanoseconds.
    """

    def __init__(self, sink: Sink, clock: Callable[[], int]) -> None:
        self._sink, self._clock = sink, clock
        self._count = 0

    def open(self, leg: Leg, comment: str = "") -> TeeStream:
        """Begin a connection with its handshake."""
        self._count += 1
        return TeeStream(self._sink, self._clock, leg=self._named(leg), comment=comment)

    def datagram(self, source: Inet | None, destination: Inet | None, data: bytes) -> None:
        """Note one datagram."""
        leg = self._named(Leg(source, destination))
        header = _ip(*leg) / UDP(sport=leg[0][1], dport=leg[1][1])
        frame = (header / data).pack()
        self._sink(Frames.of([frame], self._clock(), LinkType.RAW), "")

    def _named(self, leg: Leg) -> tuple[Inet, Inet]:
        """Return both addresses; Unix sockets get a port each, so that streams stay apart."""
        port = 1 + self._count % 65_535
        client, server = leg.client or (_UNNAMED[0], port), leg.server or (_UNNAMED[1], port)
        if ip_address(_bare(client[0])).version != ip_address(_bare(server[0])).version:
            client = _mapped(client)
            server = _mapped(server)
        return client, server


class TeeStream:
    """One connection of the capture; `from_client` and `from_server` take what passed, in order."""

    def __init__(
        self, sink: Sink, clock: Callable[[], int], *, leg: tuple[Inet, Inet], comment: str,
    ) -> None:
        self._sink, self._clock, self._leg = sink, clock, leg
        # Time makes the first sequence number: a pair of addresses used again is a new stream to
        # readers only if it begins elsewhere.
        first = (clock() >> 10) & 0xFFFF_FFFF
        self._next = [first, first ^ 0x8000_0000]
        self._over = [False, False]
        self._closed = False
        options = tcp_options(mss(SEGMENT_BYTES), NOP, wscale(WINDOW_SHIFT))
        self._say(0, "S", options, comment=comment)
        self._say(1, "SA", options)
        self._say(0, "A")

    def from_client(self, data: memoryview | bytes) -> None:
        """Note bytes that came from the client."""
        self._data(0, data)

    def from_server(self, data: memoryview | bytes) -> None:
        """Note bytes that came from the target."""
        self._data(1, data)

    def end_client(self) -> None:
        """Note the end of the client's direction."""
        self._end(0)

    def end_server(self) -> None:
        """Note the end of the target's direction."""
        self._end(1)

    def close(self, *, reset: bool) -> None:
        """Note the end of the connection: with FIN what has not ended yet, or with RST."""
        if self._closed:
            return
        if reset:
            self._say(1, "RA")
        else:
            self._end(0)
            self._end(1)
        self._closed = True

    def _end(self, side: int) -> None:
        if self._over[side] or self._closed:
            return
        self._over[side] = True
        self._say(side, "FA")
        self._say(1 - side, "A")

    def _say(self, side: int, flags: str, options: Options | None = None, *, comment: str = "",
             ) -> None:
        """Write one segment without data."""
        header = self._header(side, flags)
        packet = header / options if options is not None else header
        self._sink(Frames.of([packet.pack()], self._clock(), LinkType.RAW), comment)
        if "S" in flags or "F" in flags:
            self._next[side] = (self._next[side] + 1) & 0xFFFF_FFFF

    def _header(self, side: int, flags: str) -> Packet:
        source, destination = self._leg if side == 0 else self._leg[::-1]
        acked = self._next[1 - side] if "A" in flags else 0
        return _ip(source, destination) / TCP(
            sport=source[1], dport=destination[1], seq=self._next[side], ack=acked, flags=flags,
            window=WINDOW,
        )

    def _data(self, side: int, data: memoryview | bytes) -> None:
        if self._closed or self._over[side]:
            return
        octets = np.frombuffer(data, np.uint8)
        whole = len(octets) // SEGMENT_BYTES * SEGMENT_BYTES
        for part, size in ((octets[:whole], SEGMENT_BYTES), (octets[whole:], len(octets) - whole)):
            if len(part):
                self._sink(self._segments(side, part.reshape(-1, size)), "")
        self._say(1 - side, "A")

    def _segments(self, side: int, payload: NDArray[np.uint8]) -> Frames:
        """Return one frame a row of payload, and move the sequence number on."""
        head = np.frombuffer(self._header(side, "PA").pack(), np.uint8)
        count, size = payload.shape
        rows = np.empty((count, len(head) + size), np.uint8)
        rows[:, : len(head)] = head
        rows[:, len(head) :] = payload
        at = len(head) - 20
        tcp = TCP.view(rows, at=at)
        seq = self._next[side] + np.arange(count, dtype=np.int64) * size
        tcp.seq[:] = seq & 0xFFFF_FFFF
        self._next[side] = int(seq[-1] + size) & 0xFFFF_FFFF
        tcp.checksum[:] = 0
        if at == 20:
            ip = IPv4.view(rows, at=0)
            ip.total_length[:] = rows.shape[1]
            ip.checksum[:] = 0
            ip.checksum[:] = checksum_rows(rows, 0, 20)
        else:
            IPv6.view(rows, at=0).payload_length[:] = rows.shape[1] - 40
        pseudo = _pseudo_sum(head.tobytes(), at, 20 + size)
        tcp.checksum[:] = checksum_rows(rows, at, None, initial=pseudo)
        return Frames.uniform(rows, self._clock(), LinkType.RAW)


def _pseudo_sum(head: bytes, at: int, length: int) -> int:
    """Return the sum of a segment's pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    ip = IPv4.parse(head) if at == 20 else IPv6.parse(head)
    return ip.pseudo_sum(IpProtocol.TCP, length)


def _ip(source: Inet, destination: Inet) -> IPv4 | IPv6:
    src, dst = _bare(source[0]), _bare(destination[0])
    return IPv6(src=src, dst=dst) if ":" in src else IPv4(src=src, dst=dst)


def _bare(host: str) -> str:
    """Return an address without zone, a mapped one as the IPv4 address it is."""
    host = host.partition("%")[0]
    mapped = host.startswith("::ffff:") and "." in host
    return host[7:] if mapped else host


def _mapped(address: Inet) -> Inet:
    host = _bare(address[0])
    if ":" in host:
        return address
    # In hexadecimal, so that it is not taken for IPv4 again.
    octets = [int(word) for word in host.split(".")]
    return f"::ffff:{octets[0] << 8 | octets[1]:x}:{octets[2] << 8 | octets[3]:x}", address[1]
