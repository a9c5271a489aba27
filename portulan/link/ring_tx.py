"""The transmit ring of a packet socket (TPACKET_V2): NumPy columns straight into kernel memory.

A slot is a 32-byte header (status, length) and the frame. Its owner is told by the status word:
0 is ours, 1 asks the kernel to send, 2 means the driver still reads it (the frame is not copied),
4 that the kernel refused it. The kernel walks the ring only inside our own `send(b"")` call, so a
request it has not taken yet can be taken back between two calls.
"""

from __future__ import annotations

import errno
import mmap
import select
import socket
import struct
from contextlib import suppress

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.packet_socket import (
    ETH_P_NONE,
    GONE,
    PACKET_TX_RING,
    PACKET_VERSION,
    SOL_PACKET,
    TPACKET_V2,
    bind,
    gone,
    open_socket,
    raise_send_buffer,
)
from portulan.wire.frames import Frames

HEADER = 32
STATUS, LENGTH = 0, 1  # words of the header
AVAILABLE, SEND_REQUEST, WRONG_FORMAT = 0, 1, 4
OWNER = 0x7  # the other bits say which clock stamped the slot

PAGE = mmap.PAGESIZE
SLOTS = 4096
"""Slots of the ring: 512 KiB of 128-byte slots, so that a ring of probes stays in a core's L2."""
TRUESIZE = 1024
"""Bytes the kernel charges to the send buffer for a frame in flight (an skb without its data)."""
FULL_WAIT_MS = 10
"""How long a full ring is waited for: a 1 Gbit/s card sends 2,048 small frames in 1.4 ms."""


class TxRing:
    """Sends frames of at most `capacity` bytes through a ring of slots."""

    def __init__(self, interface: str, *, frame_bytes: int, slots: int = SLOTS) -> None:
        size, slots = _slot_size(frame_bytes), max(slots, 2 * PAGE // 64)
        slots -= slots % (PAGE // 64)  # whole pages, whatever the slot size
        self._name, self._slots, self._head = interface, slots, 0
        self.capacity = size - HEADER
        self._sock = open_socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_NONE)
        try:
            self._sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
            block = max(PAGE, size)
            self._sock.setsockopt(SOL_PACKET, PACKET_TX_RING, struct.pack(
                "4I", block, slots * size // block, size, slots))
            raise_send_buffer(self._sock, slots * TRUESIZE)
            self._map = mmap.mmap(self._sock.fileno(), slots * size)
            # Protocol 0: this socket sends, it shall never receive.
            bind(self._sock, interface, ETH_P_NONE)
        except BaseException:
            self._sock.close()
            raise
        self._bytes = np.frombuffer(self._map, np.uint8).reshape(slots, size)
        self._words = self._bytes.view(np.uint32)

    def send(self, frames: Frames) -> int:
        """Return how many frames the kernel took; all must be at most `capacity` bytes long.

        Half of the ring is filled while the card sends the other half.
        """
        done = 0
        while done < len(frames):
            count = self._free(min(len(frames) - done, self._slots // 2))
            if not count:
                break
            rows = slice(self._head, self._head + count)
            part = frames.take(slice(done, done + count))
            _fill(self._bytes[rows, HEADER:], part)
            self._words[rows, LENGTH] = part.length
            self._words[rows, STATUS] = SEND_REQUEST
            taken = self._kick(rows)
            done += taken
            if taken < count:
                break
        return done

    def _free(self, most: int) -> int:
        """Return how many slots from the head on are ours, waiting a little for the first."""
        rows = slice(self._head, min(self._head + most, self._slots))
        busy = self._words[rows, STATUS] & OWNER
        if busy[0]:
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            poll.poll(FULL_WAIT_MS)
            busy = self._words[rows, STATUS] & OWNER
        return int(busy.argmax()) if busy.any() else len(busy)

    def _kick(self, rows: slice) -> int:
        """Let the kernel send the requested rows; return how many it took, take back the rest."""
        failure: OSError | None = None
        try:
            self._sock.send(b"", socket.MSG_DONTWAIT)
        except OSError as error:
            failure = error
        status = self._words[rows, STATUS] & OWNER
        left = (status == SEND_REQUEST) | (status == WRONG_FORMAT)
        taken = int(left.argmax()) if left.any() else len(left)
        self._words[rows.start + taken : rows.stop, STATUS] = AVAILABLE
        self._head = (rows.start + taken) % self._slots
        if failure is not None:
            self._judge(failure)
        if not taken:  # the send buffer or the queue is full: let it drain before the next try
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            poll.poll(FULL_WAIT_MS)
        return taken

    def _judge(self, failure: OSError) -> None:
        if failure.errno in GONE:
            raise gone(self._name, failure) from None
        if failure.errno not in (errno.ENOBUFS, errno.EAGAIN):
            raise UsageError(f"the kernel refuses a frame on {self._name}: {failure.strerror}")

    def close(self) -> None:
        """Free the ring."""
        if self._sock.fileno() < 0:
            return
        del self._bytes, self._words
        # The map holds the socket by a descriptor of its own and cannot be closed while a view of
        # it lives, as in the traceback of a Ctrl-C: then it goes with the last view.
        with suppress(BufferError):
            self._map.close()
        self._sock.close()


def _slot_size(frame_bytes: int) -> int:
    """Return the smallest power of two that holds header and frame, so that slots fill pages."""
    return max(128, 1 << (HEADER + frame_bytes - 1).bit_length())


def _fill(slots: NDArray[np.uint8], frames: Frames) -> None:
    """Copy frames into rows; what follows a shorter frame in its row is never sent."""
    longest = int(frames.length.max())
    rows = uniform_rows(frames)
    if rows is None:
        index = frames.offset[:, None] + np.arange(longest)
        rows = frames.buffer[np.minimum(index, len(frames.buffer) - 1, out=index)]
    slots[:, :longest] = rows


def uniform_rows(frames: Frames) -> NDArray[np.uint8] | None:
    """Return frames of one length and one distance as a (n, length) view, else None."""
    size, start = int(frames.length[0]), int(frames.offset[0])
    if len(frames) == 1:
        return frames.buffer[start : start + size].reshape(1, size)
    step = int(frames.offset[1]) - start
    if (frames.length != size).any() or (np.diff(frames.offset) != step).any():
        return None
    stride = frames.buffer.strides[0]
    return as_strided(frames.buffer[start:], (len(frames), size), (step * stride, stride))
