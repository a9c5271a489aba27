"""IP packets through the kernel's own routing: for loopback, tun, ppp and other links without ARP.

Sends by a raw IP socket that brings its own header, because frames that a packet socket injects on
`lo` towards 127/8 are dropped as martians. Receives network-layer packets from a ring on the same
interface: whatever link header there is, the kernel has taken it off, and since the ring asks for
one EtherType only, it never sees the outgoing copy of a packet, which on `lo` would double each.

A socket bound to `lo` reaches 127/8 and `::1` alone: this machine's other addresses are routed by
way of the interfaces that have them. So packets to addresses of ours leave by a socket that is not
bound, and only those: what else is sent here must not find a way out by another interface.
"""

from __future__ import annotations

import errno
import socket

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters, check_frames
from portulan.link.device import ARPHRD_LOOPBACK, Device, device_up
from portulan.link.packet_socket import GONE, Program, gone, open_socket, raise_send_buffer
from portulan.link.ring_rx import BLOCK_BYTES, BLOCKS, RxRing
from portulan.link.routes import Routes
from portulan.link.sendmmsg import send_many, strerror
from portulan.wire.frames import Frames, LinkType

ETHERTYPE = {4: 0x0800, 6: 0x86DD}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
HEADER = {4: 20, 6: 40}
DESTINATION = {4: 16, 6: 24}
IPV6_HDRINCL = 36
SEND_BUFFER = 4 << 20
"""Bytes of packets in flight: some 4,000 probes, as each is charged about 1 KiB."""

# The kernel reads these as they lie in memory, so the family is in our byte order.
SOCKADDR_IN = np.dtype([("family", "=u2"), ("port", ">u2"), ("addr", "V4"), ("zero", "V8")])
SOCKADDR_IN6 = np.dtype([
    ("family", "=u2"), ("port", ">u2"), ("flow", ">u4"), ("addr", "V16"), ("scope", "=u4")])

TRY_LATER = frozenset({errno.ENOBUFS, errno.EAGAIN})


class RawLink(Closing):
    """IP packets of one family on one interface, without a link header.

    `filter` is a classic BPF program for `LinkType.RAW`: it starts at the IP header. The kernel
    fills in the IPv4 total length and checksum, and the identification and source where zero
    (raw(7)). Packets sent on `lo` are received as well: they arrive there. A packet that the kernel
    refuses by itself (no route, a local firewall) is skipped and counted in `counters().refused`.
    """

    link_type: int = LinkType.RAW

    def __init__(
        self, interface: str = "lo", *, family: int = 4, filter: Program | None = None,
        tx: bool = True, rx: bool = True, rx_blocks: int = BLOCKS,
        rx_block_bytes: int = BLOCK_BYTES,
    ) -> None:
        if family not in FAMILY:
            raise UsageError(f"IP family is 4 or 6, not {family}")
        self._device, self._family = device_up(interface), family
        self._sent = self._received = self._refused = 0
        self._rx: RxRing | None = None
        self._tx: socket.socket | None = None
        self._own: _Own | None = None
        try:
            if rx:
                self._rx = RxRing(
                    interface, kind=socket.SOCK_DGRAM, protocol=ETHERTYPE[family],
                    link_type=LinkType.RAW, program=filter, blocks=rx_blocks,
                    block_bytes=rx_block_bytes)
            if tx:
                self._tx = _open_sender(self._device, family)
                if self._device.hardware == ARPHRD_LOOPBACK:
                    self._own = _Own(family)
        except BaseException:
            self.close()
            raise

    def send(self, frames: Frames) -> int:
        """Return how many packets the kernel took or refused for good, in order from the first."""
        if self._tx is None:
            raise UsageError("this link was opened to receive only", text=self._device.name)
        check_frames(frames, LinkType.RAW)
        if not len(frames):
            return 0
        self._check_headers(frames)
        names = _destinations(frames, self._family, self._device.index)
        sender, done = self._tx, 0
        if self._own is not None and self._own.all(names["addr"]):
            sender = self._own.sender
        while done < len(frames):
            rest = slice(done, len(frames))
            outcome = send_many(sender.fileno(), frames.take(rest), names[rest])
            done += outcome.taken
            self._sent += outcome.taken
            if outcome.errno in GONE:
                raise gone(self._device.name, strerror(outcome.errno))
            if outcome.errno in TRY_LATER:
                break
            if outcome.errno:
                # This one packet has no way. To keep it would keep all behind it.
                self._refused += 1
                done += 1
        return done

    def receive(self, wait_ns: int = 0) -> Frames:
        """Return the packets there are now, waiting at most `wait_ns` for the first."""
        if self._rx is None:
            raise UsageError("this link was opened to send only", text=self._device.name)
        frames = self._rx.receive(wait_ns)
        self._received += len(frames)
        return frames

    def counters(self) -> Counters:
        """Return what passed so far; `drops` is for packets that found the ring full."""
        drops = self._rx.drops() if self._rx is not None else 0
        return Counters(self._sent, self._received, drops, self._refused)

    def fileno(self) -> int:
        """Return the receiving socket's descriptor."""
        return self._rx.sock.fileno() if self._rx is not None else -1

    def close(self) -> None:
        """Free ring and sockets."""
        for part in (self._rx, self._tx, self._own):
            if part is not None:
                part.close()

    def _check_headers(self, frames: Frames) -> None:
        shortest, longest = int(frames.length.min()), int(frames.length.max())
        if shortest < HEADER[self._family] or longest > self._device.mtu:
            wrong = shortest if shortest < HEADER[self._family] else longest
            raise UsageError(
                f"a packet of {wrong} bytes does not fit {self._device.name}: "
                f"{HEADER[self._family]} to {self._device.mtu} bytes do")
        if (frames.buffer[frames.offset] >> 4 != self._family).any():
            raise UsageError(f"a packet is not of IPv{self._family}, as this link is")


class _Own:
    """A sender to addresses of this machine, and which those are."""

    def __init__(self, family: int) -> None:
        self._family, self.sender = family, _open_sender(None, family)
        self._routes: Routes | None = None
        self._known: set[bytes] = set()

    def all(self, addresses: NDArray[np.void]) -> bool:
        """Tell whether all these addresses are this machine's."""
        rows = np.ascontiguousarray(addresses).view(np.uint8).reshape(len(addresses), -1)
        if (rows == rows[0]).all():
            rows = rows[:1]
        return all(self._is_own(row.tobytes()) for row in np.unique(rows, axis=0))

    def _is_own(self, octets: bytes) -> bool:
        if octets not in self._known:
            self._routes = self._routes or Routes.load()
            way = self._routes.lookup(int.from_bytes(octets, "big"), self._family)
            if way is None or not way.loopback:
                return False
            self._known.add(octets)
        return True

    def close(self) -> None:
        """Close the socket."""
        self.sender.close()


def _open_sender(found: Device | None, family: int) -> socket.socket:
    # IPPROTO_RAW: such a socket only sends, the kernel queues nothing for it.
    sock = open_socket(FAMILY[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
    try:
        if family == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        if found is not None:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, found.name.encode() + b"\0")
        raise_send_buffer(sock, SEND_BUFFER)
    except BaseException:
        sock.close()
        raise
    return sock


def _destinations(frames: Frames, family: int, scope: int) -> NDArray[np.void]:
    """Return a raw socket address for each packet, from its header's destination."""
    dtype = SOCKADDR_IN if family == 4 else SOCKADDR_IN6
    size = dtype["addr"].itemsize
    names = np.zeros(len(frames), dtype)
    names["family"] = FAMILY[family]
    if family == 6:
        names["scope"] = scope  # link-local addresses need it, the kernel ignores it for others
    at = frames.offset[:, None] + DESTINATION[family] + np.arange(size)
    names["addr"] = frames.buffer[at].view(f"V{size}")[:, 0]
    return names
