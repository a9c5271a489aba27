"""The nodes of a link by multicast, before any of them is asked by itself."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from typing import Final

from portulan.drive.clock import Clock
from portulan.errors import PrivilegeError, UsageError
from portulan.link.interfaces import Interface, interface
from portulan.link.packet import PacketLink
from portulan.link.rights import Rights, grant
from portulan.scan.multicast import ALL_NODES, Answerer, answerers, questions
from portulan.wire.bpf import replies_filter
from portulan.wire.frames import Frames, LinkType

#: A node may wait before it answers a multicast (RFC 4443 section 4.2 has no bound; a second is
#: what stacks do), and a packet may be lost: asked twice, and heard out after that.
TRIES: Final = 2
WAIT_NS: Final = 1_000_000_000
NAP_NS: Final = 50_000_000
#: Nodes of one link that are believed: beyond, somebody makes them up.
NODES_MAX: Final = 4_096
#: The widest IPv4 net of a link that is asked address by address: 65,536 addresses.
PREFIX4_LEAST: Final = 16
_ECHO_REPLY: Final = 129


def link_targets(name: str, family: int, rights: Rights) -> tuple[list[str], list[str]]:
    """Return everybody on a link as targets, and what is left out and why.

    IPv4 nets are the interface's own; IPv6 nodes are asked for by multicast. Raises `UsageError`
    for a link without addresses, `PrivilegeError` where neither raw nor ping sockets are allowed.
    """
    device = interface(name)
    if not device.up or not device.addresses:
        raise UsageError("this interface is down or has no address", text=name, where="--link",
                         hint="see: portulan info")
    targets, notes = _nets(device) if family != 6 else ([], [])
    if family != 4 and any(each.family == 6 for each in device.addresses):
        try:
            found = sorted(_zoned(node.addr, name) for node in nodes(device, rights))
        except PrivilegeError as error:
            if not targets:
                raise
            notes.append(f"IPv6 is left out: {error}")
        else:
            targets += found
            notes.append(f"{len(found)} IPv6 addresses answer to {ALL_NODES} on {name}")
    if not targets:
        raise UsageError("nobody there can be asked", text=name, where="--link",
                         hint="give addresses or nets instead")
    return targets, notes


def _nets(device: Interface) -> tuple[list[str], list[str]]:
    targets, notes = [], []
    for each in device.addresses:
        if each.family == 4 and each.peer is None and each.prefix_length >= PREFIX4_LEAST:
            targets.append(str(each))
        elif each.family == 4:
            notes.append(f"{each} on {device.name} is left out: name the part to be asked")
    return targets, notes


def _zoned(addr: str, name: str) -> str:
    return f"{addr}%{name}" if IPv6Address(addr).is_link_local else addr


def nodes(device: Interface, rights: Rights) -> list[Answerer]:
    """Return who answers to all-nodes multicast on an interface, one an address."""
    found: dict[str, Answerer] = {}
    if rights.net_raw and rights.packet_sockets and device.mac and device.arp:
        heard = _by_frames(device)
    elif rights.ping_sockets:
        heard = _by_echo(device)
    else:
        raise PrivilegeError("asking all nodes of a link", right="CAP_NET_RAW", grant=grant(rights))
    for node in heard:
        found.setdefault(node.addr, node)
        if len(found) >= NODES_MAX:
            break
    return list(found.values())


def _by_frames(device: Interface) -> Iterator[Answerer]:
    """Ask from each of our addresses: a node answers with one of the same scope."""
    identifier = secrets.randbits(16)
    ours = [each.text for each in device.addresses if each.family == 6]
    asked = Frames.of(
        [frame for source in ours for frame in questions(source, device.mac or b"", identifier)])
    program = replies_filter(
        link_type=LinkType.ETHERNET, tcp_ports=None, icmp=False, icmp6=True, arp=False)
    with PacketLink(device.name, filter=program) as link:
        for _ in range(TRIES):
            link.send(asked)
            for frames in _heard(link):
                yield from (each for each in answerers(frames, identifier) if each.addr not in ours)


def _heard(link: PacketLink) -> Iterator[Frames]:
    until = Clock.now() + WAIT_NS
    while Clock.now() < until:
        yield link.receive(NAP_NS)


def _by_echo(device: Interface) -> Iterator[Answerer]:
    """Ask by a ping socket: who stays silent to multicast echo is not found."""
    ours = {each.text for each in device.addresses}
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as sock:
        for number in range(1, TRIES + 1):
            sock.settimeout(NAP_NS / 1e9)
            request = struct.pack("!BBHHH", 128, 0, 0, 0, number) + b"portulan"
            with contextlib.suppress(OSError):
                sock.sendto(request, (ALL_NODES, 0, 0, device.index))
            yield from (
                Answerer(addr, "", "echo-reply") for addr in _repliers(sock) if addr not in ours)


def _repliers(sock: socket.socket) -> Iterable[str]:
    until = Clock.now() + WAIT_NS
    while Clock.now() < until:
        with contextlib.suppress(OSError):
            data, source = sock.recvfrom(256)
            if data[:1] == bytes([_ECHO_REPLY]):
                yield source[0].partition("%")[0]
