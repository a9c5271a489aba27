"""Packets of all interfaces at once, each with a Linux cooked header (SLL2) as its link header."""

from __future__ import annotations

import socket
from typing import Final

import numpy as np

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters
from portulan.link.device import ARPHRD_LOOPBACK
from portulan.link.packet_socket import Program
from portulan.link.ring_rx import BLOCK_BYTES, BLOCKS, RxRing
from portulan.wire.cooked import LinuxSLL2
from portulan.wire.frames import Frames, LinkType

PACKET_OUTGOING: Final = 4

# Classic BPF: classes and modes of loads, and where the kernel lets a program ask what no octet of
# the packet says (linux/filter.h: SKF_AD_OFF and what is counted from it).
_CLASS, _SIZE, _MODE = 0x07, 0x18, 0xE0
_LD, _LDX, _RET = 0x00, 0x01, 0x06
_WORD, _HALF, _BYTE = 0x00, 0x08, 0x10
_ABS, _IND, _LEN, _MSH = 0x20, 0x40, 0x80, 0xA0
_SKF_AD_OFF = 0xFFFFF000
_ASKED: Final = {(_HALF, 0): 0, (_BYTE, 10): 4, (_WORD, 4): 8, (_HALF, 8): 28}
"""(size, place in the SLL2 header) -> protocol, kind of packet, interface, hardware."""


class CookedLink(Closing):
    """Receives from every interface, those that come up later as well; sends nothing.

    `filter` is a program for the network layer, see `kernel_program`. On lo a packet passes twice,
    out and in: only the second counts. Raises `PrivilegeError` without CAP_NET_RAW.
    """

    link_type: int = LinkType.LINUX_SLL2

    def __init__(
        self, *, filter: Program | None = None, rx_blocks: int = BLOCKS,
        rx_block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._received = 0
        self._rx = RxRing(
            "", kind=socket.SOCK_DGRAM, link_type=LinkType.LINUX_SLL2, program=filter,
            outgoing=True, blocks=rx_blocks, block_bytes=rx_block_bytes)

    def send(self, frames: Frames) -> int:
        """Raise `UsageError`: nothing says by which interface a frame should leave."""
        raise UsageError("all interfaces at once can be listened to only")

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the packets there are now, waiting at most `wait_ns` for the first."""
        frames = self._rx.receive(wait_ns)
        if len(frames):
            head = LinuxSLL2.gather(frames.buffer, frames.offset)
            twice = (head.hardware == ARPHRD_LOOPBACK) & (head.packet_type == PACKET_OUTGOING)
            frames = frames.take(~twice) if twice.any() else frames
        self._received += len(frames)
        return frames

    def counters(self) -> Counters:
        """Return what passed so far; `drops` is for packets that found the ring full."""
        return Counters(0, self._received, self._rx.drops())

    def seen(self) -> int:
        """Return how many packets the kernel had for us so far, dropped ones included."""
        return self._rx.seen()

    def fileno(self) -> int:
        """Return the receiving socket's descriptor."""
        return self._rx.sock.fileno()

    def close(self) -> None:
        """Free ring and socket."""
        self._rx.close()


def kernel_program(program: Program) -> Program | None:
    """Return a program for SLL2 frames as the kernel must have it: there is no such header there.

    None if it asks what the kernel cannot answer.
    """
    found = []
    for code, true, false, value in program:
        moved = _moved(code, value)
        if moved is None:
            return None
        found.append((moved[0], true, false, moved[1]))
    return found


def _moved(code: int, value: int) -> tuple[int, int] | None:
    kind, mode = code & _CLASS, code & _MODE
    if kind == _RET and not code & 0x10 and value:  # a constant: how many octets are wanted
        return code, max(value - LinuxSLL2.size, 1)
    if kind not in (_LD, _LDX) or mode not in (_ABS, _IND, _LEN, _MSH):
        return code, value
    if mode == _LEN:
        return None
    if value >= LinuxSLL2.size:
        return code, value - LinuxSLL2.size
    asked = _ASKED.get((code & _SIZE, value)) if mode == _ABS else None
    return None if asked is None else (code, _SKF_AD_OFF + asked)


def interface_numbers(frames: Frames) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the kernel's number of the interface that each SLL2 frame passed."""
    return LinuxSLL2.gather(frames.buffer, frames.offset).interface.astype(np.int64)
