"""Whole frames on one interface through the kernel's rings: the fast way on Ethernet."""

from __future__ import annotations

import errno
import socket
from functools import partial

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters, check_frames
from portulan.link.device import device_up
from portulan.link.packet_socket import (
    ETH_P_NONE,
    GONE,
    Program,
    bind,
    gone,
    open_socket,
    set_promiscuous,
)
from portulan.link.ring_rx import BLOCK_BYTES, BLOCKS, RxRing
from portulan.link.ring_tx import SLOTS, TxRing
from portulan.link.sendmmsg import send_many, strerror
from portulan.wire.frames import Frames, LinkType

ETHERNET_HEADER = 14
VLAN_TAG = 4
PROBE_BYTES = 96
"""Default length of frames for which a transmit slot is made: a 128-byte slot holds a SYN with
options over IPv6; small slots keep the ring in the cache. Longer frames go by sendmmsg(2)."""


class PacketLink(Closing):
    """Frames of one interface, as they are on the wire.

    `filter` is a classic BPF program for the link's own `link_type`; nothing is received before it
    is attached. The kernel takes VLAN tags out of received frames, a filter does not see them;
    `receive` puts them back. `outgoing` shows what this machine sends as well, `promiscuous` what
    is for others. Checksums of frames from this machine's own namespaces may be unfinished
    (offloading): don't judge replies by them. Raises `UsageError` for an interface that is missing
    or down, `PrivilegeError` without CAP_NET_RAW.
    """

    def __init__(
        self, interface: str, *, filter: Program | None = None, tx: bool = True, rx: bool = True,
        outgoing: bool = False, promiscuous: bool = False, frame_bytes: int = PROBE_BYTES,
        tx_slots: int = SLOTS, rx_blocks: int = BLOCKS, rx_block_bytes: int = BLOCK_BYTES,
    ) -> None:
        found = device_up(interface)
        self._name, self._link_type = interface, found.link_type
        header = ETHERNET_HEADER if self._link_type == LinkType.ETHERNET else 0
        self._shortest, self._longest = header or 1, found.mtu + header + VLAN_TAG * bool(header)
        self._sent = self._received = 0
        self._rx: RxRing | None = None
        self._tx: TxRing | None = None
        self._long: socket.socket | None = None
        try:
            if rx:
                promiscuity = partial(set_promiscuous, index=found.index) if promiscuous else None
                self._rx = RxRing(
                    interface, link_type=self._link_type, program=filter, outgoing=outgoing,
                    blocks=rx_blocks, block_bytes=rx_block_bytes, setup=promiscuity)
            if tx:
                self._tx = TxRing(
                    interface, frame_bytes=min(frame_bytes, self._longest), slots=tx_slots)
                # Opened now though seldom needed: later the right, the namespace or the
                # interface may be gone.
                self._long = open_socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_NONE)
                bind(self._long, interface, ETH_P_NONE)
        except BaseException:
            self.close()
            raise

    @property
    def link_type(self) -> int:
        """Return how frames of the interface begin."""
        return self._link_type

    def send(self, frames: Frames) -> int:
        """Return how many frames the kernel took, in order from the first."""
        if self._tx is None or self._long is None:
            raise UsageError("this link was opened to receive only", text=self._name)
        check_frames(frames, self._link_type)
        if not len(frames):
            return 0
        self._check_lengths(frames)
        if int(frames.length.max()) <= self._tx.capacity:
            taken = self._tx.send(frames)
        else:
            taken = self._send_long(self._long, frames)
        self._sent += taken
        return taken

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the frames there are now, waiting at most `wait_ns` for the first."""
        if self._rx is None:
            raise UsageError("this link was opened to send only", text=self._name)
        frames = self._rx.receive(wait_ns)
        self._received += len(frames)
        return frames

    def counters(self) -> Counters:
        """Return what passed so far; `drops` is for frames that found the ring full."""
        drops = self._rx.drops() if self._rx is not None else 0
        return Counters(self._sent, self._received, drops)

    def seen(self) -> int:
        """Return how many frames the kernel had for us so far, dropped ones included."""
        return self._rx.seen() if self._rx is not None else 0

    def fileno(self) -> int:
        """Return the receiving socket's descriptor."""
        return self._rx.sock.fileno() if self._rx is not None else -1

    def close(self) -> None:
        """Free rings and sockets."""
        for part in (self._rx, self._tx, self._long):
            if part is not None:
                part.close()

    def _check_lengths(self, frames: Frames) -> None:
        shortest, longest = int(frames.length.min()), int(frames.length.max())
        if shortest < self._shortest or longest > self._longest:
            wrong = shortest if shortest < self._shortest else longest
            raise UsageError(
                f"a frame of {wrong} bytes does not fit {self._name}: "
                f"{self._shortest} to {self._longest} bytes do")

    def _send_long(self, long: socket.socket, frames: Frames) -> int:
        """Send a batch with frames longer than a slot, in its order, past the ring."""
        outcome = send_many(long.fileno(), frames)
        if outcome.errno in GONE:
            raise gone(self._name, strerror(outcome.errno))
        if outcome.errno not in (0, errno.ENOBUFS, errno.EAGAIN):
            raise UsageError(
                f"the kernel refuses a frame on {self._name}: {strerror(outcome.errno).strerror}")
        return outcome.taken
