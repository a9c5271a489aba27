"""Blocks of pcapng written in the other byte order: numbers turned, everything else as it was.

Known blocks and options are those of draft-ietf-opsawg-pcapng. What a custom block holds is its
maker's business: only the enterprise number is turned. Blocks of unknown kinds cannot be turned.
"""

from __future__ import annotations

import struct
from typing import Final

from .pcapng_blocks import (
    NAMES_MAX,
    BlockType,
    InterfaceOption,
    Option,
    Order,
    PacketOption,
    StatisticsOption,
    fields_of,
    pack_options,
    parse_options,
)

CUSTOM_OPTIONS: Final = frozenset({2988, 2989, 19372, 19373})
"""They begin with a private enterprise number."""
_SPEEDS = (16, 17)
_PACKET_ID, _QUEUE = 5, 6
_TIMES = (StatisticsOption.START, StatisticsOption.END)
"""Two words, the high one first, whatever the byte order."""
NUMBERS: Final[dict[int, frozenset[int]]] = {
    BlockType.INTERFACE: frozenset({
        InterfaceOption.SPEED, InterfaceOption.TIME_ZONE, InterfaceOption.TIME_OFFSET, *_SPEEDS}),
    BlockType.ENHANCED_PACKET: frozenset({
        PacketOption.FLAGS, PacketOption.DROP_COUNT, _PACKET_ID, _QUEUE}),
    BlockType.PACKET: frozenset({PacketOption.FLAGS}),
    BlockType.INTERFACE_STATISTICS: frozenset(set(StatisticsOption) - set(_TIMES)),
}
"""Options of each kind of block that are one number."""
_HEADS: Final = {
    BlockType.INTERFACE: "HHI", BlockType.INTERFACE_STATISTICS: "III",
    BlockType.DECRYPTION_SECRETS: "II", BlockType.CUSTOM: "I", BlockType.CUSTOM_NO_COPY: "I",
    BlockType.NAME_RESOLUTION: "", BlockType.SYSTEMD_JOURNAL: "",
}
"""The numbers that a block's body begins with."""
_OPTIONS = (BlockType.INTERFACE, BlockType.INTERFACE_STATISTICS)


def little(kind: int, body: bytes, order: Order) -> bytes | None:
    """Return a block's body in little-endian order; None if nobody knows how."""
    if order == "<":
        return body
    head = _HEADS.get(BlockType(kind)) if kind in set(BlockType) else None
    if head is None or len(body) < struct.calcsize(">" + head):
        return None
    size = struct.calcsize(">" + head)
    packed = struct.pack("<" + head, *struct.unpack_from(">" + head, body))
    rest = body[size:]
    if kind in _OPTIONS:
        rest = little_options(kind, rest, order)
    elif kind == BlockType.NAME_RESOLUTION:
        rest = _names(rest)
    return packed + rest


def little_options(kind: int, data: bytes, order: Order) -> bytes:
    """Return the options of a block of a kind in little-endian order."""
    if order == "<":
        return data
    return pack_options(_turned(kind, option) for option in parse_options(data, order))


def _turned(kind: int, option: Option) -> Option:
    code, value = option
    if code in CUSTOM_OPTIONS:
        return code, value[3::-1] + value[4:]
    if code in NUMBERS.get(kind, ()):
        return code, value[::-1]
    if kind == BlockType.INTERFACE_STATISTICS and code in _TIMES:
        return code, value[3::-1] + value[7:3:-1]
    return code, value


def _names(data: bytes) -> bytes:
    """Return name records, whose heads alone are numbers, and the options behind them."""
    records = list(fields_of(data, ">", NAMES_MAX))
    end = sum(4 + len(value) + -len(value) % 4 for _, value in records) + 4
    packed = pack_options(records) or bytes(4)
    return packed + little_options(BlockType.NAME_RESOLUTION, data[end:], ">")
