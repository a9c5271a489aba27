"""Whole connections that show whether anybody is behind a SYN-ACK.

A handshake alone proves a stack, or something that pretends to be one. So a few octets are sent
after it: an acknowledgement proves that the other side took them, a reset or silence that it did
not. No right is needed; the kernel tells through TCP_INFO (tcp(7)).
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

#: An empty line: what a person who presses Enter sends.
DATA: Final = b"\r\n"
#: Long enough for two probes of a window that is closed (RFC 9293 section 3.8.6.1: after one
#: retransmission timeout, which Linux lets grow from 0.2 s).
WAIT_NS: Final = 1_500_000_000
#: Connections at once: this is a sample, not a scan.
MOST: Final = 64
NAP_NS: Final = 50_000_000

# linux/tcp.h: offsets in struct tcp_info
_SEGMENTS_IN: Final = 140
_SEND_WINDOW: Final = 228
_INFO_BYTES: Final = 240
_ESTABLISHED: Final = 1

Address = tuple[str, int] | tuple[str, int, int, int]


class Handshake(NamedTuple):
    """How a connection went."""

    established: bool
    reset: bool
    acknowledged: bool
    window: int
    """What the peer offers at the end, octets; -1 if the kernel does not tell."""
    segments: int
    """Segments that came after the SYN-ACK, a reset not counted."""


class _Connection:
    """One connection from its SYN to its verdict."""

    def __init__(self, address: Address, interface: str) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # A reset at the end keeps nothing lingering here or there.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if interface:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        self._sent = self.reset = self._acknowledged = False
        self._window, self._segments = -1, 0
        try:
            self.sock.connect(address)
        except BlockingIOError:
            pass
        except OSError:
            self.reset = True

    def look(self) -> None:
        """Send the data once the handshake is over, and learn how it fares."""
        if self.reset:
            return
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            if not self._sent:
                if info[0] != _ESTABLISHED:
                    self.reset = bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                    return
                self._sent = self.sock.send(DATA) > 0
            if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.reset = True
                return
            self._learn(info)
        except BlockingIOError:
            return
        except OSError:
            self.reset = True

    def _learn(self, info: bytes) -> None:
        if len(info) >= _SEGMENTS_IN + 4:
            # The SYN-ACK counts as one.
            self._segments = struct.unpack_from("=I", info, _SEGMENTS_IN)[0] - 1
        if len(info) >= _SEND_WINDOW + 4:
            self._window = struct.unpack_from("=I", info, _SEND_WINDOW)[0]
        unsent = struct.unpack("=i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]
        self._acknowledged = self._acknowledged or (self._sent and unsent == 0)

    @property
    def settled(self) -> bool:
        """Nothing more will change what we think of it."""
        return self.reset

    def verdict(self) -> Handshake:
        """Return how it went."""
        return Handshake(
            self._sent, self.reset, self._acknowledged, self._window, max(self._segments, 0))


def shake_hands(
    addresses: Sequence[Address], now: Callable[[], int], *, interface: str = "",
    wait_ns: int = WAIT_NS,
) -> list[Handshake]:
    """Connect to each address at once, send an empty line, and return how each fared.

    `now` is a clock in ns. Takes `wait_ns` for every `MOST` addresses, less if all are reset.
    """
    found: list[Handshake] = []
    for at in range(0, len(addresses), MOST):
        with ExitStack() as open_sockets:
            made = [_Connection(address, interface) for address in addresses[at : at + MOST]]
            for each in made:
                open_sockets.callback(each.sock.close)
            end = now() + wait_ns
            while now() < end and not all(each.settled for each in made):
                for each in made:
                    each.look()
                select.select([], [], [], NAP_NS / 1e9)
            found += [each.verdict() for each in made]
    return found
