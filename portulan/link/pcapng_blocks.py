"""The blocks of pcapng that are not packets, and the options that any block may carry.

Source: draft-ietf-opsawg-pcapng. Numbers are in the byte order of their section: `<` or `>`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal, TypeAlias

Order: TypeAlias = Literal["<", ">"]
Option: TypeAlias = tuple[int, bytes]

BYTE_ORDER_MAGIC = 0x1A2B3C4D
OPTION_BYTES_MAX = 65_535
"""An option's length is 16 bits wide."""
OPTIONS_MAX = 1_024
"""Options read of one block: writers use a handful, a hostile block could hold 4 million."""
NAMES_MAX = 65_536
"""Records read of one name resolution block, for the same reason."""


class BlockType(IntEnum):
    """What a block holds (section 11.1 of the draft)."""

    INTERFACE = 1
    PACKET = 2
    """Obsolete, but found in old files."""
    SIMPLE_PACKET = 3
    NAME_RESOLUTION = 4
    INTERFACE_STATISTICS = 5
    ENHANCED_PACKET = 6
    SYSTEMD_JOURNAL = 9
    DECRYPTION_SECRETS = 10
    CUSTOM = 0x0BAD
    CUSTOM_NO_COPY = 0x40000BAD
    SECTION = 0x0A0D0D0A


COMMENT = 1


class SectionOption(IntEnum):
    """Options of a section header block."""

    HARDWARE = 2
    OS = 3
    APPLICATION = 4


class InterfaceOption(IntEnum):
    """Options of an interface description block."""

    NAME = 2
    DESCRIPTION = 3
    IPV4 = 4
    IPV6 = 5
    MAC = 6
    EUI = 7
    SPEED = 8
    TIME_RESOLUTION = 9
    TIME_ZONE = 10
    FILTER = 11
    OS = 12
    FCS_LENGTH = 13
    TIME_OFFSET = 14
    HARDWARE = 15


class PacketOption(IntEnum):
    """Options of an enhanced packet block."""

    FLAGS = 2
    DROP_COUNT = 4


class StatisticsOption(IntEnum):
    """Options of an interface statistics block."""

    START = 2
    END = 3
    RECEIVED = 4
    DROPPED = 5
    FILTER_ACCEPTED = 6
    OS_DROPPED = 7
    DELIVERED = 8


@dataclass(frozen=True, slots=True)
class Section:
    """A section header: who wrote what follows, on what machine."""

    order: Order
    major: int
    minor: int
    hardware: str = ""
    os: str = ""
    application: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that packets were captured on."""

    link_type: int
    snaplen: int = 0
    """0 = no limit."""
    name: str = ""
    description: str = ""
    filter: str = ""
    os: str = ""
    hardware: str = ""
    addresses: tuple[str, ...] = ()
    """IPv4 with its netmask, IPv6 with its prefix length, after a slash."""
    mac: bytes = b""
    speed_bps: int = 0
    time_resolution: int = 6
    """if_tsresol: 10^-n seconds, or 2^-n with the top bit set."""
    time_offset_s: int = 0
    fcs_length: int = 0
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the capturing side counted on an interface; None = it did not say."""

    interface: int
    ticks: int
    """The time of counting, in the interface's own units."""
    received: int | None = None
    dropped: int | None = None
    filter_accepted: int | None = None
    os_dropped: int | None = None
    delivered: int | None = None
    comments: tuple[str, ...] = ()

    def counted_from(self, first: int) -> Statistics:
        """Return the same counts with `interface` counted through all sections."""
        return replace(self, interface=self.interface + first)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys that open encrypted packets, such as a TLS key log; `kind` is `TLSK`, `WGKL`, ..."""

    kind: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A block we have no words for, custom ones among them; `position` is its byte in the file."""

    kind: int
    position: int
    body: bytes = field(repr=False)
    order: Order = "<"

    @property
    def enterprise(self) -> int | None:
        """The private enterprise number of a custom block."""
        custom = self.kind in (BlockType.CUSTOM, BlockType.CUSTOM_NO_COPY) and len(self.body) >= 4
        return number(self.body[:4], self.order) if custom else None


def pack_block(kind: int, body: bytes) -> bytes:
    """Return a whole little-endian block around `body`, padded to 32 bits."""
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def pack_options(options: Iterable[Option]) -> bytes:
    """Return options with their end marker; nothing if there are none."""
    packed = b"".join(
        struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in options
    )
    return packed + bytes(4) if packed else b""


def text_option(code: int, text: str) -> Option:
    """Return a text option, cut to what an option can hold."""
    raw = text.encode("utf-8", "replace")
    if len(raw) > OPTION_BYTES_MAX:
        raw = raw[:OPTION_BYTES_MAX].decode("utf-8", "ignore").encode()
    return code, raw


def pack_section(texts: Mapping[int, str]) -> bytes:
    """Return a section header of unknown length with the given option texts."""
    options = pack_options(text_option(code, text) for code, text in texts.items() if text)
    return pack_block(
        BlockType.SECTION, struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + options
    )


def pack_interface(interface: Interface) -> bytes:
    """Return an interface description with all that is known of it."""
    known = {
        InterfaceOption.NAME: interface.name, InterfaceOption.DESCRIPTION: interface.description,
        InterfaceOption.OS: interface.os, InterfaceOption.HARDWARE: interface.hardware,
    }
    options = [text_option(COMMENT, text) for text in interface.comments]
    options += [text_option(code, text) for code, text in known.items() if text]
    options += [_address_option(text) for text in interface.addresses]
    options.append((InterfaceOption.TIME_RESOLUTION, bytes([interface.time_resolution])))
    if interface.mac:
        kind = InterfaceOption.MAC if len(interface.mac) == 6 else InterfaceOption.EUI
        options.append((kind, interface.mac))
    if interface.speed_bps:
        options.append((InterfaceOption.SPEED, struct.pack("<Q", interface.speed_bps)))
    if interface.filter:  # kind 0: the text of a filter
        code, text = text_option(InterfaceOption.FILTER, "\0" + interface.filter)
        options.append((code, text))
    if interface.fcs_length:
        options.append((InterfaceOption.FCS_LENGTH, bytes([interface.fcs_length])))
    if interface.time_offset_s:
        options.append((InterfaceOption.TIME_OFFSET, struct.pack("<q", interface.time_offset_s)))
    body = struct.pack("<HHI", interface.link_type, 0, interface.snaplen)
    return pack_block(BlockType.INTERFACE, body + pack_options(options))


def _address_option(text: str) -> Option:
    address, _, rest = text.partition("/")
    kind, packed = _packed_address(address)
    if kind == 1:
        return InterfaceOption.IPV4, packed + socket.inet_aton(rest)
    return InterfaceOption.IPV6, packed + bytes([int(rest)])


def pack_statistics(statistics: Statistics) -> bytes:
    """Return an interface statistics block with the counts that are known."""
    counts = {
        StatisticsOption.RECEIVED: statistics.received,
        StatisticsOption.DROPPED: statistics.dropped,
        StatisticsOption.FILTER_ACCEPTED: statistics.filter_accepted,
        StatisticsOption.OS_DROPPED: statistics.os_dropped,
        StatisticsOption.DELIVERED: statistics.delivered,
    }
    options = [(code, struct.pack("<Q", n)) for code, n in counts.items() if n is not None]
    high, low = divmod(statistics.ticks, 1 << 32)
    body = struct.pack("<III", statistics.interface, high, low)
    return pack_block(BlockType.INTERFACE_STATISTICS, body + pack_options(options))


def pack_names(names: Mapping[str, Sequence[str]]) -> bytes:
    """Return a name resolution block of addresses and their names; ValueError for a bad address."""
    return pack_block(BlockType.NAME_RESOLUTION, _name_records(names) + bytes(4))


def _name_records(names: Mapping[str, Sequence[str]]) -> bytes:
    records = []
    for address, known in names.items():
        try:
            kind, packed = _packed_address(address)
        except OSError:
            raise ValueError(f"not an IP address: {address!r}") from None
        value = packed + b"".join(name.encode("utf-8", "replace") + b"\0" for name in known)
        if len(value) > OPTION_BYTES_MAX:
            raise ValueError(f"the names of {address} take more than {OPTION_BYTES_MAX} bytes")
        records.append((kind, value))
    return pack_options(records)[:-4]


def _packed_address(address: str) -> Option:
    if ":" in address:
        return 2, socket.inet_pton(socket.AF_INET6, address)
    return 1, socket.inet_pton(socket.AF_INET, address)


def parse_options(data: bytes, order: Order) -> list[Option]:
    """Return the options of a block; what does not hold together ends the list."""
    return list(fields_of(data, order, OPTIONS_MAX))


def fields_of(data: bytes, order: Order, limit: int) -> Iterator[Option]:
    """Yield at most `limit` records of type, length and value; type 0 ends them."""
    at, unpack = 0, struct.Struct(order + "HH").unpack_from
    for _ in range(limit):
        if at + 4 > len(data):
            return
        code, size = unpack(data, at)
        value = data[at + 4 : at + 4 + size]
        if not code or len(value) < size:
            return
        yield code, value
        at += 4 + size + -size % 4


def parse_section(body: bytes, order: Order) -> Section:
    """Return the section header of a block's body, at least 16 bytes."""
    major, minor = struct.unpack_from(order + "HH", body, 4)
    options = parse_options(body[16:], order)
    texts = _last_texts(options)
    return Section(
        order, major, minor, texts.get(SectionOption.HARDWARE, ""),
        texts.get(SectionOption.OS, ""), texts.get(SectionOption.APPLICATION, ""),
        comments_of(options),
    )


def parse_interface(body: bytes, order: Order) -> Interface:
    """Return the interface of a block's body, at least 8 bytes."""
    link_type, _, snaplen = struct.unpack_from(order + "HHI", body)
    options = parse_options(body[8:], order)
    last, texts = dict(options), _last_texts(options)
    resolution = last.get(InterfaceOption.TIME_RESOLUTION, b"")[:1] or b"\x06"
    offset = last.get(InterfaceOption.TIME_OFFSET, b"")
    return Interface(
        link_type=link_type,
        snaplen=snaplen,
        name=texts.get(InterfaceOption.NAME, ""),
        description=texts.get(InterfaceOption.DESCRIPTION, ""),
        filter=_filter(last.get(InterfaceOption.FILTER, b"")),
        os=texts.get(InterfaceOption.OS, ""),
        hardware=texts.get(InterfaceOption.HARDWARE, ""),
        addresses=tuple(filter(None, (_interface_address(option) for option in options))),
        mac=last.get(InterfaceOption.MAC, last.get(InterfaceOption.EUI, b"")),
        speed_bps=number(last.get(InterfaceOption.SPEED, b""), order),
        time_resolution=resolution[0],
        time_offset_s=number(offset, order, signed=True) if len(offset) == 8 else 0,
        fcs_length=number(last.get(InterfaceOption.FCS_LENGTH, b"")[:1], order),
        comments=comments_of(options),
    )


def parse_statistics(body: bytes, order: Order) -> Statistics:
    """Return the counts of a block's body, at least 12 bytes; interfaces count by section."""
    interface, high, low = struct.unpack_from(order + "III", body)
    options = parse_options(body[12:], order)
    counts = {code: number(value, order) for code, value in options if len(value) == 8}
    return Statistics(
        interface, high << 32 | low, counts.get(StatisticsOption.RECEIVED),
        counts.get(StatisticsOption.DROPPED), counts.get(StatisticsOption.FILTER_ACCEPTED),
        counts.get(StatisticsOption.OS_DROPPED), counts.get(StatisticsOption.DELIVERED),
        comments_of(options),
    )


def parse_names(body: bytes, order: Order) -> dict[str, list[str]]:
    """Return the names of each address in a name resolution block."""
    names: dict[str, list[str]] = {}
    for kind, value in fields_of(body, order, NAMES_MAX):
        size = {1: 4, 2: 16}.get(kind, 0)
        if size and len(value) >= size:
            family = socket.AF_INET if size == 4 else socket.AF_INET6
            known = [_text(name) for name in value[size:].split(b"\0") if name]
            names.setdefault(socket.inet_ntop(family, value[:size]), []).extend(known)
    return names


def parse_secrets(body: bytes, order: Order) -> Secrets:
    """Return the secrets of a block's body, at least 8 bytes."""
    kind, size = struct.unpack_from(order + "II", body)
    # The kinds are four letters read as a big-endian number: 0x544c534b is TLSK.
    return Secrets(_text(kind.to_bytes(4, "big")), body[8 : 8 + size])


def comments_of(options: Sequence[Option]) -> tuple[str, ...]:
    """Return the comments among the options of any block."""
    return tuple(_text(value) for code, value in options if code == COMMENT)


def _last_texts(options: Sequence[Option]) -> dict[int, str]:
    return {code: _text(value) for code, value in options}


def _text(value: bytes) -> str:
    # Some writers count a closing NUL in, though the draft forbids it.
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _filter(value: bytes) -> str:
    """Return a filter's text; kind 0 is text, other kinds are code we cannot show."""
    return _text(value[1:]) if value[:1] == b"\0" else ""


def _interface_address(option: Option) -> str:
    code, value = option
    if code == InterfaceOption.IPV4 and len(value) == 8:
        return "/".join(socket.inet_ntoa(part) for part in (value[:4], value[4:]))
    if code == InterfaceOption.IPV6 and len(value) == 17:
        return f"{socket.inet_ntop(socket.AF_INET6, value[:16])}/{value[16]}"
    return ""


def number(value: bytes, order: Order, *, signed: bool = False) -> int:
    """Return an option's value as a number, whatever its width."""
    return int.from_bytes(value, "little" if order == "<" else "big", signed=signed)
