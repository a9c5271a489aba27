"""Packet sockets (AF_PACKET): options the socket module has no names for, filters, errors."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from portulan.errors import PeerError, PrivilegeError, UsageError

# linux/if_packet.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_TX_RING = 13
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_PROMISC = 1
TPACKET_V2 = 1
TPACKET_V3 = 2
ETH_P_NONE = 0
ETH_P_ALL = 3
# asm-generic/socket.h
SO_ATTACH_FILTER = 26
SO_SNDBUFFORCE = 32
# sys/select.h
FD_SETSIZE = 1024
# linux/bpf_common.h: the kernel takes no longer program.
BPF_MAXINSNS = 4096

Program: TypeAlias = Sequence[tuple[int, int, int, int]]
"""Classic BPF: (code, jump if true, jump if false, constant) an instruction."""

GRANT = "run as root, or: sudo setcap cap_net_raw+ep $(readlink -f $(command -v python3))"
GONE = frozenset({errno.ENETDOWN, errno.ENXIO, errno.ENODEV})


def open_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """Return a socket that needs CAP_NET_RAW, or raise `PrivilegeError`."""
    try:
        return socket.socket(family, kind, protocol)
    except PermissionError:
        raise PrivilegeError("cannot open a raw socket", right="CAP_NET_RAW", grant=GRANT) from None


def bind(sock: socket.socket, interface: str, protocol: int) -> None:
    """Tie the socket to an interface, "" is all of them; `ETH_P_NONE` receives nothing."""
    if not interface:
        _bind_all(sock, protocol)
        return
    try:
        sock.bind((interface, protocol))
    except OSError as error:
        raise gone(interface, error) from None


def _bind_all(sock: socket.socket, protocol: int) -> None:
    # Python's bind wants a name, and there is none for interface 0, which is all of them.
    address = struct.pack("=H2si", socket.AF_PACKET, protocol.to_bytes(2, "big"), 0) + bytes(12)
    if ctypes.CDLL(None, use_errno=True).bind(sock.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attach_filter(sock: socket.socket, program: Program) -> None:
    """Let only those frames into the socket for which the program returns more than 0."""
    if not 0 < len(program) <= BPF_MAXINSNS:
        raise UsageError(f"a filter has 1 to {BPF_MAXINSNS} instructions, this has {len(program)}")
    code = np.frombuffer(b"".join(struct.pack("HBBI", *step) for step in program), np.uint8)
    address = code.__array_interface__["data"][0]
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                        struct.pack("@HP", len(program), address))
    except OSError as error:
        raise UsageError(f"the kernel refuses the filter program: {error.strerror}") from None


def set_promiscuous(sock: socket.socket, index: int) -> None:
    """Receive frames for any address while the socket lives."""
    request = struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0)
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)


def raise_send_buffer(sock: socket.socket, size: int) -> None:
    """Ask for a send buffer of `size` bytes; without CAP_NET_ADMIN net.core.wmem_max caps it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def gone(name: str, error: OSError) -> PeerError:
    """Return the error that says an interface went down or away during the run."""
    return PeerError(f"interface {name!r} went down or away: {error.strerror}")


def wait_readable(sock: socket.socket, wait_ns: int) -> None:
    """Return when the socket has something or an error, at the latest after `wait_ns`.

    poll(2) counts whole milliseconds, too coarse for pacing; select(2) knows microseconds, but
    only descriptors below 1024: beyond them the wait is cut to whole milliseconds.
    """
    if sock.fileno() < FD_SETSIZE:
        select.select([sock], [], [], wait_ns / 1e9)
        return
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.poll(wait_ns // 1_000_000)


def raise_pending(sock: socket.socket, name: str) -> None:
    """Raise `PeerError` if the kernel noted that the socket's interface went down or away."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise gone(name, OSError(code, os.strerror(code)))
