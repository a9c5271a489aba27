"""Packets become frames: sets expand into columns, checksums are summed for whole batches.

>>> from portulan.wire import IPv4, TCP
>>> frames = build(IPv4(src="10.9.0.1", dst="10.9.0.0/28") / TCP(sport=40000, dport=(1, 100)))
>>> len(frames), TCP.parse(frames[99], at=20).dport
(1600, 100)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.checksum import checksum_rows, finish, finish_udp, sum_rows
from portulan.wire.craft_set import VALUES_MAX, Many
from portulan.wire.crc32c import crc32c_rows
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import BY_LINK, Header, Packet
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.igmp import IGMP
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

BATCH_BYTES_MAX = 1 << 28
"""Octets of one batch: four million small probes, or 180,000 full Ethernet frames."""
ROWS_AT_ONCE = 8192
"""Frames whose checksums are summed together: their words stay in the cache."""

_OVER_ALL = (ICMP, IGMP)
_OVER_PSEUDO: dict[type[Header], int] = {TCP: 6, UDP: 17, ICMPv6: 58}
"""Headers whose checksum takes in addresses, and the protocol number that is summed with them."""

Rows = NDArray[np.uint8]
Place = tuple[int, Header]
"""Where a header of the packet begins, and the header."""
Axis = tuple[int, str, Many]
"""Layer, field, and the values it takes."""


def build(packet: Packet | Header) -> Frames:
    """Return the frames of a packet, all values of its sets in product, the last one fastest.

    Lengths, checksums and type fields are filled unless given. The link type is told by the first
    header. Raises `UsageError` if there are more than `VALUES_MAX` frames.
    """
    packet = packet if isinstance(packet, Packet) else Packet((packet,))
    axes = list(_axes(packet))
    count = prod(len(many) for _, _, many in axes)
    template = _scalar(packet, {(layer, name): many.first for layer, name, many in axes}).filled()
    octets = template.pack()
    _check_size(count, len(octets))
    link_type = link_type_of(packet)
    rows = np.empty((count, len(octets)), np.uint8)
    rows[:] = np.frombuffer(octets, np.uint8)
    if axes:
        _spread(rows, packet, template, axes)
    return Frames.uniform(rows, link_type=link_type)


def link_type_of(packet: Packet | Header) -> int:
    """Return how the packet's frames begin: Ethernet, raw IP, a cooked header."""
    layers = packet.layers if isinstance(packet, Packet) else (packet,)
    first = layers[0] if layers else b""
    if isinstance(first, IPv4 | IPv6):
        return LinkType.RAW
    for number, kind in BY_LINK.items():
        if type(first) is kind:
            return number
    return LinkType.ETHERNET if isinstance(first, Ethernet) else LinkType.RAW


def refresh(rows: Rows, packet: Packet) -> None:
    """Sum again, in place, the checksums of rows made after `packet` whose fields were changed.

    Checksums that were given stay. Innermost first: an outer one covers those inside.
    """
    places = list(_places(packet))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        for index in range(len(places) - 1, -1, -1):
            at, header = places[index]
            if "checksum" in header.layout.by_name and not header.is_given("checksum"):
                _sum_up(part, places[:index], (at, header))


def _axes(packet: Packet) -> Iterator[Axis]:
    for index, layer in enumerate(packet.layers):
        if isinstance(layer, Header):
            for name, many in layer.sets.items():
                yield index, name, many


def _scalar(packet: Packet, values: Mapping[tuple[int, str], int]) -> Packet:
    """Return the packet with one value for each set."""
    layers = list(packet.layers)
    for (index, name), value in values.items():
        layer = layers[index]
        assert isinstance(layer, Header)  # noqa: S101 - tells the type checker
        layers[index] = layer.replace(**{name: value})
    return Packet(tuple(layers))


def _check_size(count: int, octets: int) -> None:
    if count > VALUES_MAX:
        raise UsageError(f"the sets make {count} packets, {VALUES_MAX} are built in one call",
                         hint="send them in parts")
    if count * octets > BATCH_BYTES_MAX:
        raise UsageError(
            f"{count} packets of {octets} bytes are more than {BATCH_BYTES_MAX >> 20} MiB",
            hint="send them in parts")


def _spread(rows: Rows, packet: Packet, template: Packet, axes: list[Axis]) -> None:
    """Write the values of all sets, and what depends on them."""
    count = len(rows)
    starts = _starts(template)
    repeat = count
    for layer, name, many in axes:
        repeat //= len(many)
        header = template.layers[layer]
        assert isinstance(header, Header)  # noqa: S101 - tells the type checker
        view = type(header).view(rows, starts[layer])
        chosen = np.arange(count) // repeat % len(many)
        for span, column in zip(header.layout.by_name[name].spans, many.columns, strict=True):
            getattr(view, span.name)[:] = column[chosen]
    refresh(rows, packet)
    if not _agrees(rows, packet, axes):
        _one_by_one(rows, packet, axes)


def _agrees(rows: Rows, packet: Packet, axes: list[Axis]) -> bool:
    """Say whether the last row is what stacking makes: a user's header may fill more."""
    last = {(layer, name): _value(many, len(many) - 1) for layer, name, many in axes}
    octets: bytes = rows[-1].tobytes()
    return _scalar(packet, last).pack() == octets


def _one_by_one(rows: Rows, packet: Packet, axes: list[Axis]) -> None:
    """Build each row by stacking: slow, and right for any header."""
    keys = [(layer, name) for layer, name, _ in axes]
    choices = product(*(range(len(many)) for _, _, many in axes))
    for row, chosen in enumerate(choices):
        values = [_value(many, at) for (_, _, many), at in zip(axes, chosen, strict=True)]
        octets = _scalar(packet, dict(zip(keys, values, strict=True))).pack()
        if len(octets) != rows.shape[1]:
            raise UsageError("the packets of a set must be of one length")
        rows[row] = np.frombuffer(octets, np.uint8)


def _value(many: Many, at: int) -> int:
    number = 0
    for column in many.columns:
        number = number << 64 | int(column[at])
    return number


def _starts(packet: Packet) -> list[int]:
    at, starts = 0, list[int]()
    for layer in packet.layers:
        starts.append(at)
        at += layer.size if isinstance(layer, Header) else len(layer)
    return starts


def _places(packet: Packet) -> Iterator[Place]:
    for at, layer in zip(_starts(packet), packet.layers, strict=True):
        if isinstance(layer, Header):
            yield at, layer


def _sum_up(rows: Rows, outer: list[Place], place: Place) -> None:
    """Fill one header's checksum in each row."""
    at, header = place
    stop = rows.shape[1]
    initial = np.zeros(1, np.uint64)
    if isinstance(header, IPv4):
        words = int(rows[0, at] & 15)
        stop = min(stop, at + words * 4)
    elif type(header) in _OVER_PSEUDO:
        initial = _pseudo_sums(rows, outer, _OVER_PSEUDO[type(header)], stop - at)
    elif not isinstance(header, (*_OVER_ALL, SCTP)):
        return
    view = type(header).view(rows, at)
    view.checksum[:] = 0
    if isinstance(header, SCTP):
        view.checksum[:] = crc32c_rows(rows, at).byteswap()
        return
    if isinstance(header, UDP):
        view.checksum[:] = finish_udp(sum_rows(rows, at, stop) + initial)
    elif at % 2:
        view.checksum[:] = finish(sum_rows(rows, at, stop) + initial)
    else:
        view.checksum[:] = checksum_rows(rows, at, stop, initial)


def _pseudo_sums(
    rows: Rows, outer: list[Place], protocol: int, length: int
) -> NDArray[np.uint64]:
    """Return the sums of the pseudo-headers of the nearest network header."""
    for at, header in reversed(outer):
        if isinstance(header, IPv4 | IPv6):
            start, size = (at + 12, 8) if isinstance(header, IPv4) else (at + 8, 32)
            fixed = protocol + (length & 0xFFFF) + (length >> 16)
            return sum_rows(rows, start, start + size) + np.uint64(fixed)
    return np.zeros(1, np.uint64)
