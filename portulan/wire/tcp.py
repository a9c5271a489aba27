"""TCP, its flags and its options."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Annotated, Any, Self, TypeAlias

from portulan.errors import UsageError
from portulan.wire.checksum import finish, transport_sum
from portulan.wire.header import Buffer, Header, Options, Place, on_ports, port_of
from portulan.wire.inside import Inside, Told, Value
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.layout import Coded, Wire, auto, u4, u16, u32
from portulan.wire.option import Option, walk_options

OPTIONS_MAX_BYTES = 40
"""`data_offset` counts to 15 words, 5 of which are the fixed header."""


class TcpFlags(IntFlag):
    """The control bits (RFC 9293 section 3.1)."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32
    ECE = 64
    CWR = 128

    def __str__(self) -> str:
        return "".join(letter for bit, letter in enumerate(_LETTERS) if self >> bit & 1)


_LETTERS = "FSRPAUEC"


def _encode_flags(value: str | int) -> int:
    if not isinstance(value, str):
        return int(value)
    if unknown := set(value) - set(_LETTERS):
        hint = f"the letters are {_LETTERS}"
        raise UsageError("not a TCP flag", text="".join(sorted(unknown)), hint=hint)
    return sum(1 << _LETTERS.index(letter) for letter in set(value))


tcp_flags: TypeAlias = Annotated[
    Coded[TcpFlags, str | int], Wire("tcp_flags", 8, TcpFlags, _encode_flags)
]
_SYN: Any = TcpFlags.SYN


class TCP(Header, protocol=IpProtocol.TCP):
    """TCP (RFC 9293).

    sport: port of the sender
    dport: port of the receiver
    seq: sequence number of the first octet
    ack: sequence number expected next
    data_offset: header with its options [32-bit words]
    reserved: zero; the lowest bit is accurate ECN (RFC 9768)
    flags: control bits, as letters FSRPAUEC
    window: what the sender will take, before scaling [bytes]
    checksum: of pseudo-header, header and payload
    urgent: where urgent data ends
    """

    sport: u16 = 0
    dport: u16 = 0
    seq: u32 = 0
    ack: u32 = 0
    data_offset: u4 = auto(5)
    reserved: u4 = 0
    flags: tcp_flags = _SYN
    window: u16 = 64240
    checksum: u16 = auto()
    urgent: u16 = 0

    mss = Told("largest segment the sender will take", int, "bytes")
    wscale = Told("window scale", int, "bits")
    ts_value = Told("timestamp of the sender", int)
    ts_echo = Told("timestamp echoed", int)
    payload_length = Told("octets behind the header", int, "bytes")

    def fill(self, place: Place) -> Self:
        """Fill data offset, checksum, and the port of what is carried."""
        port = port_of(IpProtocol.TCP, place.inner)
        header = self.filled(data_offset=5 + len(place.options) // 4, **port)
        total = transport_sum(place.outer, IpProtocol.TCP, header.pack() + place.body)
        return header.filled(checksum=finish(total))

    def options(self, buffer: Buffer, at: int = 0) -> Iterator[Option]:
        """Yield the options of this header, parsed from byte `at` of the same buffer."""
        start, end = at + self.size, at + max(self.data_offset, 5) * 4
        yield from walk_options(bytes(buffer[start:end]), start)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the common options, and what the ports or the octets announce."""
        start = at + self.data_offset * 4
        if self.data_offset < 5 or start > end:
            left = end - at
            reason = f"data offset is {self.data_offset} with {left} bytes there"
            return Inside(at + self.size, end, defect=reason)
        told: dict[str, Value] = {"payload_length": end - start}
        for option in self.options(octets, at) if self.data_offset > 5 else ():
            if option.defect:
                return Inside(start, end, told=told, defect=f"option: {option.defect}")
            told.update(_told_option(option))
        kind = on_ports(IpProtocol.TCP, (self.sport, self.dport), octets, start, end)
        return Inside(start, end, kind, told)


def _told_option(option: Option) -> dict[str, Value]:
    number, size = int.from_bytes(option.data, "big"), len(option.data)
    if (option.kind, size) == (TcpOption.TIMESTAMPS, 8):
        return {"ts_value": number >> 32, "ts_echo": number & 0xFFFF_FFFF}
    if (option.kind, size) == (TcpOption.MSS, 2):
        return {"mss": number}
    return {"wscale": number} if (option.kind, size) == (TcpOption.WSCALE, 1) else {}


class TcpOption(IntEnum):
    """Option kinds (IANA, tcp-parameters)."""

    EOL = 0
    NOP = 1
    MSS = 2
    WSCALE = 3
    SACK_OK = 4
    SACK = 5
    TIMESTAMPS = 8
    MD5 = 19
    TCP_AO = 29
    MPTCP = 30
    FAST_OPEN = 34


def mss(octets: int) -> bytes:
    """Return the maximum segment size option [bytes] (RFC 9293 section 3.7.1)."""
    return struct.pack(">BBH", TcpOption.MSS, 4, octets)


def wscale(shift: int) -> bytes:
    """Return the window scale option (RFC 7323 section 2.2)."""
    return bytes((TcpOption.WSCALE, 3, shift))


def timestamps(value: int, echo: int = 0) -> bytes:
    """Return the timestamps option (RFC 7323 section 3.2)."""
    return struct.pack(">BBII", TcpOption.TIMESTAMPS, 10, value, echo)


EOL = bytes((TcpOption.EOL,))
NOP = bytes((TcpOption.NOP,))
SACK_OK = bytes((TcpOption.SACK_OK, 2))


def tcp_options(*options: bytes) -> Options:
    """Return an option area in the given order, padded with end-of-list to whole words.

    >>> tcp_options(mss(1460), SACK_OK, NOP, wscale(7)).hex(" ", 4)
    '020405b4 04020103 03070000'
    """
    area = b"".join(options)
    area += bytes(-len(area) % 4)
    if len(area) > OPTIONS_MAX_BYTES:
        raise UsageError(f"TCP options take {len(area)} bytes, {OPTIONS_MAX_BYTES} fit")
    return Options(area)
