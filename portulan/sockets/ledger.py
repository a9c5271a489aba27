"""Who was connected, when, how much passed, and why it ended: lines under way, events when over."""

from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TypeAlias

from portulan.errors import printable
from portulan.record import ClosedReason, Connection
from portulan.sockets.stream import Facts, address_name

ERROR_MAX: Final = 200
"""Characters of a line's `error`: it may quote what a peer sent."""

#: tcpi_rtt in struct tcp_info (linux/tcp.h): smoothed round trip [us], 8 octets and 15 words in.
_RTT_AT: Final = 68

Carried: TypeAlias = Literal["tcp", "udp", "unix"]


class Meter(Protocol):
    """Counts the bytes of one direction."""

    count: int


class Tally:
    """A plain count."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Line:
    """One connection under way. `up` counts what came from the client, `down` what went to it."""

    __slots__ = (
        "active_s", "began_s", "client", "client_sock", "down", "error", "local", "protocol",
        "started_ns", "target", "target_sock", "target_tls", "tls", "up", "via",
    )

    def __init__(
        self, *, client: str, local: str, protocol: Carried, started_ns: int, now_s: float,
    ) -> None:
        self.client, self.local, self.protocol = client, local, protocol
        self.started_ns, self.began_s, self.active_s = started_ns, now_s, now_s
        self.target = self.via = self.tls = self.target_tls = self.error = ""
        self.client_sock: socket.socket | None = None
        self.target_sock: socket.socket | None = None
        self.up: Meter = Tally()
        self.down: Meter = Tally()

    @property
    def rtt_us(self) -> int:
        """The kernel's smoothed round trip to the client; 0 if there is none."""
        return round_trip_us(self.client_sock)

    @property
    def target_rtt_us(self) -> int:
        """The kernel's smoothed round trip to the target; 0 if there is none."""
        return round_trip_us(self.target_sock)

    def event(self, closed: ClosedReason, now_s: float) -> Connection:
        """Return the line's record; call it before the sockets are closed."""
        return Connection(
            client=self.client, local=self.local, protocol=self.protocol,
            started=rfc3339(self.started_ns), elapsed_s=round(now_s - self.began_s, 6),
            received=self.up.count, sent=self.down.count, closed=closed, target=self.target,
            via=self.via, rtt_us=self.rtt_us, target_rtt_us=self.target_rtt_us, tls=self.tls,
            target_tls=self.target_tls, error=printable(self.error, ERROR_MAX),
        )


def round_trip_us(sock: socket.socket | None) -> int:
    """Return TCP_INFO's smoothed round trip of a socket; 0 for one that is closed or no TCP."""
    if sock is None or sock.family == socket.AF_UNIX or sock.fileno() < 0:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_AT + 4)
    except OSError:
        return 0
    return int(struct.unpack_from("=I", info, _RTT_AT)[0]) if len(info) >= _RTT_AT + 4 else 0


def tls_text(facts: Facts) -> str:
    """Return what was negotiated in one line; empty without TLS."""
    if not facts.tls:
        return ""
    alpn = f"alpn={facts.alpn}" if facts.alpn else ""
    return printable(" ".join(filter(None, (facts.tls, facts.cipher, alpn))), ERROR_MAX)


def end_text(address: object) -> str:
    """Return a socket address as the ledger writes it: `unix:PATH`, `HOST:PORT`."""
    return address_name(address) if isinstance(address, tuple) else f"unix:{address_name(address)}"


def rfc3339(unix_ns: int) -> str:
    """Return Unix ns as UTC text with microseconds."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1000:06d}Z"
