"""Fragments of IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5), and back again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portulan.errors import UsageError, WireError
from portulan.wire.header import Options, Packet
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import Fragment, IPv6

UNIT_BYTES = 8
"""Offsets count in these; every fragment but the last holds a multiple."""
COPIED = 0x80
"""The bit of an IPv4 option's kind that puts it into every fragment."""


def fragment(packet: Packet, mtu: int, *, identification: int | None = None) -> list[Packet]:
    """Return the fragments of a packet for links that carry `mtu` bytes; it alone if it fits.

    Raises `UsageError` if the packet begins with no IP header or the MTU holds no 8 octets of
    payload. Layers before the first IP header, as Ethernet, stand before each fragment. In IPv6
    everything behind the first header is the part that is cut.
    """
    filled = packet.filled()
    at = next((i for i, one in enumerate(filled.layers) if isinstance(one, IPv4 | IPv6)), -1)
    if at < 0:
        raise UsageError("only IPv4 and IPv6 packets have fragments", text=repr(packet)[:60])
    link, ip = filled.layers[:at], filled.layers[at]
    rest = filled.layers[at + 1 :]
    if isinstance(ip, IPv4):
        parts = _of_ip4(ip, rest, mtu, identification=identification)
    elif isinstance(ip, IPv6):
        parts = _of_ip6(ip, rest, mtu, identification=identification)
    return [Packet(link + part.layers) for part in parts]


def _of_ip4(
    ip: IPv4, rest: tuple[Any, ...], mtu: int, *, identification: int | None
) -> list[Packet]:
    first = rest[0] if rest and isinstance(rest[0], Options) else Options()
    body = _octets(rest[1:] if first else rest)
    if ip.size + len(first) + len(body) <= mtu:
        return [Packet((ip, *rest))]
    later = _copied(first)
    name = ip.identification if identification is None else identification
    made: list[Packet] = []
    at = 0
    while at < len(body):
        options = later if at else first
        room = _room(mtu - ip.size - len(options))
        if len(body) - at <= mtu - ip.size - len(options):
            room = len(body) - at
        last = at + room >= len(body)
        # "Don't fragment" would be untrue; "more follow" of a packet that is one itself stays.
        flags = ip.flags & 4 | (ip.flags & 1 if last else 1)
        header = IPv4(
            dscp=ip.dscp, ecn=ip.ecn, identification=name, flags=flags, ttl=ip.ttl,
            fragment_offset=ip.fragment_offset + at // UNIT_BYTES, protocol=ip.protocol,
            src=int(ip.src), dst=int(ip.dst))
        layers = (header, options, body[at : at + room]) if options else (
            header, body[at : at + room])
        made.append(Packet(layers))
        at += room
    return made


def _of_ip6(
    ip: IPv6, rest: tuple[Any, ...], mtu: int, *, identification: int | None
) -> list[Packet]:
    body = _octets(rest)
    if ip.size + len(body) <= mtu:
        return [Packet((ip, *rest))]
    room = _room(mtu - ip.size - Fragment.size)
    made: list[Packet] = []
    for at in range(0, len(body), room):
        more = int(at + room < len(body))
        header = ip.replace(
            next_header=IpProtocol.FRAGMENT,
            payload_length=Fragment.size + len(body[at : at + room]))
        piece = Fragment(next_header=ip.next_header, fragment_offset=at // UNIT_BYTES,
                         more=more, identification=identification or 0)
        made.append(Packet((header, piece, body[at : at + room])))
    return made


def _octets(layers: tuple[Any, ...]) -> bytes:
    return b"".join(bytes(layer) for layer in layers)


def _room(left: int) -> int:
    room = left // UNIT_BYTES * UNIT_BYTES
    if room < UNIT_BYTES:
        raise UsageError(f"an MTU that leaves {max(left, 0)} bytes for payload is too small",
                         hint=f"a fragment carries at least {UNIT_BYTES}")
    return room


def _copied(options: Options) -> Options:
    """Return the options that go into every fragment, padded."""
    octets, at, kept = bytes(options), 0, b""
    while at < len(octets) and octets[at]:
        size = 1 if octets[at] == 1 else octets[at + 1] if at + 1 < len(octets) else 0
        if not size:
            break
        if octets[at] & COPIED:
            kept += octets[at : at + size]
        at += size
    return Options(kept + bytes(-len(kept) % 4))


def reassemble(fragments: Iterable[bytes]) -> bytes:
    """Return the payload of one packet from its IP fragments, in any order.

    Raises `WireError` if a piece is missing or they overlap with other octets.
    """
    pieces: dict[int, bytes] = {}
    end = -1
    for octets in fragments:
        at, body, more = _piece(octets)
        if pieces.setdefault(at, body) != body:
            raise WireError("two fragments disagree", layer="ip", offset=at)
        end = end if more else at + len(body)
    whole = b""
    for at in sorted(pieces):
        if at != len(whole):
            raise WireError("a fragment is missing or overlaps", layer="ip", offset=at)
        whole += pieces[at]
    if end != len(whole):
        raise WireError("the last fragment is missing", layer="ip", offset=len(whole))
    return whole


def _piece(octets: bytes) -> tuple[int, bytes, bool]:
    if octets[:1] and octets[0] >> 4 == 6:
        piece = Fragment.parse(octets, IPv6.size)
        body = octets[IPv6.size + Fragment.size :]
        return piece.fragment_offset * UNIT_BYTES, body, bool(piece.more)
    ip = IPv4.parse(octets)
    body = octets[max(ip.ihl, 5) * 4 : ip.total_length]
    return ip.fragment_offset * UNIT_BYTES, body, bool(ip.flags & 1)
