"""Datagrams over UDP and Unix sockets: each call moves one, whole, to or from an address."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from typing import Any, Final, TypeAlias

from portulan.sockets.endpoint import EVERYWHERE, LOOPBACK, Endpoint
from portulan.sockets.lookup import Found
from portulan.sockets.stream import Waits, address_name, socket_name

SIZE_MAX: Final = 65_535
"""Bytes of the largest datagram, headers included (RFC 768)."""
IP_MULTICAST_ALL: Final = 49
"""linux/in.h: without it a socket gets every group that anyone on this machine has joined."""
IPV6_MULTICAST_ALL: Final = 29
"""linux/in6.h, since Linux 4.20."""

Address: TypeAlias = Any
"""A socket address as the kernel gives it; `stream.address_name` makes text of it."""


class Datagrams:
    """A datagram socket, of one peer or of many.

    `sock` is open to those who need more of it.
    """

    def __init__(self, sock: socket.socket, *, peer: str = "", to: Address = None) -> None:
        sock.setblocking(False)
        self.sock, self._to = sock, to
        self.local = socket_name(sock)
        self.peer = peer
        self.received = self.sent = 0
        """Bytes."""
        self._waits = Waits(sock.fileno())
        self._closed = False

    async def receive(self) -> tuple[bytes, Address]:
        """Return the next datagram, which may be empty, and whose it is.

        Raises `ConnectionRefusedError` when the one peer has no such port (by ICMP).
        """
        while True:
            try:
                data, sender = self.sock.recvfrom(SIZE_MAX)
            except (BlockingIOError, InterruptedError):
                await self._waits.readable()
            else:
                self.received += len(data)
                return data, sender

    async def send(self, data: bytes, to: Address = None) -> None:
        """Send a datagram, to the one peer by default; raises `OSError`."""
        to = self._to if to is None else to
        while True:
            try:
                self.sent += self.sock.send(data) if to is None else self.sock.sendto(data, to)
            except (BlockingIOError, InterruptedError):
                await self._waits.writable()
            else:
                return

    def close(self) -> None:
        """Close it; who waits gets `ConnectionAbortedError`."""
        if not self._closed:
            self._closed = True
            self._waits.stop()
            self.sock.close()


def dial_datagram_socket(end: Endpoint, found: list[Found]) -> Datagrams:
    """Return a socket for one peer: of UDP the first address that this machine has a way to.

    To a group or a broadcast address it stays unconnected: answers come from other addresses.
    """
    if end.is_local:
        return _dial_unixgram(end.path)
    fault: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, address in found:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            shape(sock, end)
            host, port = end.options.source
            if host or port:
                sock.bind((host or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port))
            if _is_group(address[0]) or end.options.broadcast:
                return Datagrams(sock, peer=address_name(address), to=address)
            sock.connect(address)
            return Datagrams(sock, peer=address_name(address))
        except OSError as error:
            fault = error
            sock.close()
    raise fault


def _dial_unixgram(path: str) -> Datagrams:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind("")  # an abstract name of the kernel's choice (unix(7)), to be answered to
        sock.connect(b"\0" + path[1:].encode() if path.startswith("@") else path)
    except OSError:
        sock.close()
        raise
    return Datagrams(sock, peer=path)


def bind_datagram_socket(end: Endpoint, family: int, address: Address) -> Datagrams:
    """Return a socket that receives on an address, and from the groups that the options name.

    With a group and no host it is bound to the group: nothing else can reach it.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, bool(end.options.join))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, end.host != EVERYWHERE)
        shape(sock, end)
        sock.bind(address)
        for group in end.options.join:
            join(sock, group, end.options.interface)
    except OSError:
        sock.close()
        raise
    return Datagrams(sock)


def bind_host(end: Endpoint) -> str:
    """Return the host to bind to: of a group alone, the group."""
    groups = end.options.join
    if not groups or end.host != LOOPBACK:
        return end.host
    if len(groups) > 1:
        return EVERYWHERE
    if not _of_one_link(groups[0]):
        return groups[0]
    # The address of a group of one link says nothing without its link (RFC 4291 section 2.5.6).
    return f"{groups[0]}%{end.options.interface}" if end.options.interface else "::"


def shape(sock: socket.socket, end: Endpoint) -> None:
    """Set what the options say of broadcast, hops and the interface."""
    options, six = end.options, sock.family == socket.AF_INET6
    if options.broadcast:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if options.ttl:
        level, names = (
            (socket.IPPROTO_IPV6, (socket.IPV6_UNICAST_HOPS, socket.IPV6_MULTICAST_HOPS)) if six
            else (socket.IPPROTO_IP, (socket.IP_TTL, socket.IP_MULTICAST_TTL)))
        for name in names:
            sock.setsockopt(level, name, options.ttl)
    if options.interface:
        _use_interface(sock, options.interface, six=six, groups=bool(options.join))


def _use_interface(sock: socket.socket, name: str, *, six: bool, groups: bool) -> None:
    index = interface_index(name)
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4x4xi", index))
    if not groups:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")


def join(sock: socket.socket, group: str, interface: str = "") -> None:
    """Join a multicast group, on the interface that the routes give if none is named."""
    index = interface_index(interface) if interface else 0
    packed = ipaddress.ip_address(group).packed
    if len(packed) == 4:
        sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        request = struct.pack("4s4xi", packed, index)  # struct ip_mreqn, ip(7)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        request = packed + struct.pack("i", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)


def interface_index(name: str) -> int:
    """Return an interface's number; raises `OSError` with ENODEV."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None


def _of_one_link(group: str) -> bool:
    address = ipaddress.ip_address(group)
    return address.version == 6 and address.packed[1] & 0x0F <= 2


def _is_group(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_multicast
