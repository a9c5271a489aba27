"""What the kernel says of one network interface, asked by ioctl.

sysfs would answer too, but for the namespace in which /sys was mounted, not for ours.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from dataclasses import dataclass

from portulan.errors import UsageError
from portulan.wire.frames import LinkType

SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
SIOCGIFHWADDR = 0x8927
SIOCGIFINDEX = 0x8933
IFNAMSIZ = 16
IFF_UP = 0x1

# ARPHRD_* of linux/if_arp.h: how frames of an interface begin. Ethernet and loopback carry an
# Ethernet header; tun, ppp, ipip, sit, gre, ip6tnl and rawip give IP packets.
ARPHRD_ETHER = 1
ARPHRD_LOOPBACK = 772
ARPHRD_RADIOTAP = 803
RAW_TYPES = frozenset({512, 519, 65534, 768, 769, 776, 778})


@dataclass(frozen=True, slots=True)
class Device:
    """An interface: name, kernel index, MTU in bytes, hardware type (ARPHRD_*), up or not."""

    name: str
    index: int
    mtu: int
    hardware: int
    up: bool

    @property
    def link_type(self) -> int:
        """Return how frames on the interface begin."""
        if self.hardware in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
            return LinkType.ETHERNET
        if self.hardware in RAW_TYPES:
            return LinkType.RAW
        if self.hardware == ARPHRD_RADIOTAP:
            return LinkType.IEEE802_11_RADIOTAP
        raise UsageError(
            f"interface of hardware type {self.hardware} is not supported", text=self.name,
            hint="use an Ethernet, Wi-Fi, loopback, tun or ppp interface",
        )


def device(name: str) -> Device:
    """Return what the kernel knows of interface `name`; `UsageError` names those there are."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        flags = int.from_bytes(_ask(sock, SIOCGIFFLAGS, name)[:2], "little")
        (index,) = struct.unpack_from("i", _ask(sock, SIOCGIFINDEX, name))
        (mtu,) = struct.unpack_from("i", _ask(sock, SIOCGIFMTU, name))
        (hardware,) = struct.unpack_from("H", _ask(sock, SIOCGIFHWADDR, name))
    return Device(name, index, mtu, hardware, bool(flags & IFF_UP))


def device_up(name: str) -> Device:
    """Return the interface, or raise `UsageError` saying how to bring it up."""
    found = device(name)
    if not found.up:
        raise UsageError("interface is down", text=name, hint=f"ip link set {name} up")
    return found


def filter_link_type(name: str) -> int:
    """Return the link type that frames and filters of a scan on this interface have.

    That of the link which can reach every address behind it: frames injected on `lo` by packet
    sockets are dropped as martians, so `lo` is for `RawLink`, as are tun and ppp.
    """
    found = device(name)
    return LinkType.RAW if found.hardware == ARPHRD_LOOPBACK else found.link_type


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    raw = name.encode()
    if not 0 < len(raw) < IFNAMSIZ or b"\0" in raw:
        raise _missing(name)
    try:
        return fcntl.ioctl(sock, request, struct.pack("16s24x", raw))[IFNAMSIZ:]
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise _missing(name) from None
        raise


def _missing(name: str) -> UsageError:
    there = ", ".join(known for _, known in socket.if_nameindex())
    return UsageError("no such interface", text=name, hint=f"there are: {there}")
