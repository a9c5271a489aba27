"""The receive ring of a packet socket (TPACKET_V3): blocks of frames, copied out block by block.

The kernel fills a block and hands it over when it is full or when the retire timer ran out. A
block's used bytes are copied once and the block given back at once; the frame headers are then
read from the copy as columns, so nothing that is slow keeps the kernel from its ring.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from portulan.errors import LimitError
from portulan.link.packet_socket import (
    ETH_P_ALL,
    ETH_P_NONE,
    PACKET_IGNORE_OUTGOING,
    PACKET_RX_RING,
    PACKET_STATISTICS,
    PACKET_VERSION,
    SOL_PACKET,
    TPACKET_V3,
    Program,
    attach_filter,
    bind,
    open_socket,
    raise_pending,
    wait_readable,
)
from portulan.wire.cooked import LinuxSLL2
from portulan.wire.frames import Frames, LinkType

BLOCK_BYTES = 128 << 10
BLOCKS = 256
"""32 MiB: 0.2 M small frames, a third of a second of a full-rate answer flood. Twice as much
doubles the 25-50 ms that a fresh ring takes to open in a virtual machine.

Many small blocks, not few large: a retired block is gone for the kernel until we read it, however
few frames it holds, so BLOCKS x RETIRE_MS is how long we may look away while frames trickle in.
"""
MIN_BLOCKS = 8
"""When memory is short the ring is halved down to this."""
RETIRE_MS = 4
"""A frame is seen 4-8 ms after it came at the latest: below the round trip of most networks, so
that a scan's end does not wait for it; 256 blocks still bridge a second of not reading."""
BLOCKS_A_CALL = 64
"""Blocks copied out in one call: 8 MiB, so that a flood cannot keep a caller from its clock."""
FRAME_BYTES = 2048
"""Only checked by the kernel, not used: a V3 block packs frames as they come."""

# struct tpacket_block_desc and tpacket3_hdr in 32-bit words
BLOCK_STATUS, BLOCK_FRAMES, BLOCK_FIRST, BLOCK_LENGTH = 2, 3, 4, 5
NEXT, SEC, NSEC, SNAPLEN, LENGTH, STATUS, MAC, VLAN_TCI, VLAN_TPID = 0, 1, 2, 3, 4, 5, 6, 8, 9
HEADER_WORDS = 12
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
ETH_P_8021Q = 0x8100
TAG_AT, TAG_BYTES = 12, 4
ADDRESS_AT = 48
"""Where struct sockaddr_ll lies behind a frame's header; the frame follows at 80 or later."""


class RxRing:
    """Receives from one interface; gets nothing before its filter is attached.

    `kind` SOCK_RAW gives whole frames, SOCK_DGRAM network-layer packets; those of link type
    LINUX_SLL2 get its header, and the interface may be "": all of them. `outgoing` shows what this
    machine sends, too.
    """

    def __init__(
        self, interface: str, *, kind: int = socket.SOCK_RAW, protocol: int = ETH_P_ALL,
        link_type: int = LinkType.ETHERNET, program: Program | None = None,
        outgoing: bool = False, blocks: int = BLOCKS, block_bytes: int = BLOCK_BYTES,
        setup: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._name, self._link_type, self._next = interface, link_type, 0
        self._drops = self._seen = 0
        self.sock = open_socket(socket.AF_PACKET, kind, ETH_P_NONE)
        try:
            self.sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, int(not outgoing))
            if program is not None:
                attach_filter(self.sock, program)
            self._blocks = _make_ring(self.sock, blocks, block_bytes)
            self._map = mmap.mmap(self.sock.fileno(), self._blocks * block_bytes)
            if setup is not None:
                setup(self.sock)
            bind(self.sock, interface, protocol)
        except BaseException:
            self.sock.close()
            raise
        self._bytes = np.frombuffer(self._map, np.uint8).reshape(self._blocks, block_bytes)
        self._words = self._bytes.view(np.uint32)

    def receive(self, wait_ns: int) -> Frames:
        """Return the frames of the blocks that are ours, waiting at most `wait_ns` for one."""
        if not self._ready() and wait_ns > 0:
            wait_readable(self.sock, wait_ns)
        parts: list[NDArray[np.uint8]] = []
        while len(parts) < BLOCKS_A_CALL and self._ready():
            parts.append(self._take())
        if not parts:
            raise_pending(self.sock, self._name)
            return Frames.empty(self._link_type)
        return _frames(parts, self._link_type)

    def drops(self) -> int:
        """Return how many frames the kernel dropped so far; it forgets them when asked."""
        if self.sock.fileno() < 0:
            return self._drops
        answer = self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        seen, drops, _ = struct.unpack("3I", answer)
        self._seen += seen
        self._drops += drops
        return self._drops

    def seen(self) -> int:
        """Return how many frames the filter let pass so far, those dropped included."""
        self.drops()
        return self._seen

    def close(self) -> None:
        """Free the ring."""
        if self.sock.fileno() < 0:
            return
        del self._bytes, self._words
        # As in TxRing: a view in the traceback of a Ctrl-C may keep the map for a while.
        with suppress(BufferError):
            self._map.close()
        self.sock.close()

    def _ready(self) -> bool:
        return bool(self._words[self._next, BLOCK_STATUS] & TP_STATUS_USER)

    def _take(self) -> NDArray[np.uint8]:
        """Copy the next block's used bytes and give the block back to the kernel."""
        used = int(self._words[self._next, BLOCK_LENGTH])
        block = self._bytes[self._next, : used + -used % 16].copy()
        self._words[self._next, BLOCK_STATUS] = TP_STATUS_KERNEL
        self._next = (self._next + 1) % self._blocks
        return block


def _make_ring(sock: socket.socket, blocks: int, block_bytes: int) -> int:
    """Ask for a ring and return its number of blocks, fewer when kernel memory is short."""
    while True:
        try:
            sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
                "7I", block_bytes, blocks, FRAME_BYTES, blocks * (block_bytes // FRAME_BYTES),
                RETIRE_MS, 0, 0))
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            if blocks <= MIN_BLOCKS:
                raise LimitError(
                    f"no kernel memory for a receive ring of {blocks * block_bytes >> 10} KiB"
                ) from None
            blocks //= 2
        else:
            return blocks


def _frames(blocks: list[NDArray[np.uint8]], link_type: int) -> Frames:
    """Return the frames of copied blocks, stripped VLAN tags put back."""
    buffer = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    base, headers = 0, []
    for block in blocks:
        headers.append(frame_offsets(block) + base)
        base += len(block)
    at = np.concatenate(headers)
    words = buffer.view(np.uint32)[(at >> 2)[:, None] + np.arange(HEADER_WORDS)].astype(np.int64)
    offset = at + (words[:, MAC] & 0xFFFF)
    length, wire_length = words[:, SNAPLEN].copy(), words[:, LENGTH].copy()
    time_ns = words[:, SEC] * 1_000_000_000 + words[:, NSEC]
    tagged = np.flatnonzero(words[:, STATUS] & TP_STATUS_VLAN_VALID)
    if link_type == LinkType.LINUX_SLL2:
        cook(buffer, at, words)
        offset = offset - LinuxSLL2.size
        length, wire_length = length + LinuxSLL2.size, wire_length + LinuxSLL2.size
    elif len(tagged) and link_type == LinkType.ETHERNET:
        _restore_tags(buffer, offset[tagged], words[tagged])
        offset[tagged] -= TAG_BYTES
        length[tagged] += TAG_BYTES
        wire_length[tagged] += TAG_BYTES
    return Frames(buffer, offset, length, wire_length, time_ns, link_type)


def cook(
    buffer: NDArray[np.uint8], at: NDArray[np.int64], words: NDArray[np.int64]
) -> None:
    """Put an SLL2 header before each packet.

    What it says the kernel has put behind its own header, as a struct sockaddr_ll: family,
    protocol, interface, hardware, kind of packet, length of the address, address. A VLAN tag has
    no place there, as with libpcap: a filter would not look behind it.
    """
    said = buffer[(at + ADDRESS_AT)[:, None] + np.arange(20)]
    head = np.zeros((len(at), LinuxSLL2.size), np.uint8)
    head[:, 0:2] = said[:, 2:4]
    head[:, 4:8] = said[:, 4:8].copy().view("=u4").astype(">u4").view(np.uint8)
    head[:, 8:10] = said[:, 8:10].copy().view("=u2").astype(">u2").view(np.uint8)
    head[:, 10:12] = said[:, 10:12]
    head[:, 12:20] = np.where(np.arange(8) < said[:, 11:12], said[:, 12:20], 0)
    start = at + (words[:, MAC] & 0xFFFF) - LinuxSLL2.size
    buffer[start[:, None] + np.arange(LinuxSLL2.size)] = head


def frame_offsets(block: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where the frame headers of a block start.

    Each header says how far the next one is. Answers of a scan are of one size, so the distance of
    the first two is tried for all at once; a block of mixed sizes is walked.
    """
    words = block.view(np.uint32)
    count, first = int(words[BLOCK_FRAMES]), int(words[BLOCK_FIRST])
    if count <= 1:
        return np.full(count, first, np.int64)
    step = int(words[first // 4 + NEXT])
    guess = first + np.arange(count, dtype=np.int64) * step
    inside = step > 0 and guess[-1] + HEADER_WORDS * 4 <= len(block)
    if inside and (words[guess[:-1] // 4 + NEXT] == step).all():
        return guess
    return _walk(words.data, first, count)


def _walk(words: memoryview, at: int, count: int) -> NDArray[np.int64]:
    found = [at]
    for _ in range(count - 1):
        at += words[at >> 2]
        found.append(at)
    return np.array(found, np.int64)


def _restore_tags(
    buffer: NDArray[np.uint8], offset: NDArray[np.int64], words: NDArray[np.int64],
) -> None:
    """Put the VLAN tags that the kernel took out of the frames back behind the MAC addresses.

    The addresses move 4 bytes to the left, into the gap between the ring's header and the frame.
    """
    addresses = offset[:, None] + np.arange(TAG_AT)
    buffer[addresses - TAG_BYTES] = buffer[addresses]
    known = words[:, STATUS] & TP_STATUS_VLAN_TPID_VALID != 0
    tpid = np.where(known, words[:, VLAN_TPID] & 0xFFFF, ETH_P_8021Q)
    tci = words[:, VLAN_TCI] & 0xFFFF
    tag = np.stack([tpid >> 8, tpid & 0xFF, tci >> 8, tci & 0xFF], axis=1)
    buffer[offset[:, None] + TAG_AT - TAG_BYTES + np.arange(TAG_BYTES)] = tag
