"""What replies show of the stack that sent them, as named texts that rules can look at.

A trait is told only where it was seen: a test that was asked and not answered is "none", one that
was not asked has no trait. Numbers that the path changes (TTL) are rounded to what was sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.stack import CLOSED, ECHO, ECHO_SEQ, OPEN, SEQUENCE, TCP_TESTS, Test
from portulan.wire.dissect import Dissection, Layer, dissect
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.ipv4 import IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.option import Option
from portulan.wire.tcp import TCP, TcpFlags, TcpOption

FIRST_TTLS: Final = (32, 64, 128, 255)
"""What systems begin with; each router takes one off."""
LETTERS: Final[Mapping[int, str]] = {
    TcpOption.EOL: "E", TcpOption.NOP: "N", TcpOption.MSS: "M", TcpOption.WSCALE: "W",
    TcpOption.SACK_OK: "S", TcpOption.TIMESTAMPS: "T",
}
STEADY: Final = 0.2
"""Relative spread up to which a counter is said to run evenly."""
CLOCKS_HZ: Final = (2, 10, 100, 200, 250, 500, 1000)
SMALL_STEP: Final = 2_000
"""Between two of our replies an IP id that counts packets moves by no more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to one test."""

    octets: bytes
    link_type: int
    time_ns: int


Traits = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Segment:
    """A TCP reply with the header of IP before it."""

    ip: IPv4 | IPv6
    tcp: TCP
    options: tuple[Option, ...]
    time_ns: int

    @property
    def layout(self) -> str:
        """The order of its options, a letter each."""
        return "".join(LETTERS.get(option.kind, "?") for option in self.options)

    def number(self, kind: TcpOption) -> int | None:
        """Return the value of an option."""
        return next((int.from_bytes(o.data, "big") for o in self.options if o.kind == kind), None)


def traits(asked: Collection[int], replies: Mapping[int, Reply]) -> Traits:
    """Return the traits that the replies to some tests show; none where nothing answered."""
    told: Traits = {}
    segments: dict[int, _Segment] = {}
    for test, reply in replies.items():
        found = dissect(reply.octets, reply.link_type)
        ip = _ip(found)
        if ip is None:
            continue
        if test in TCP_TESTS:
            if (segment := _segment(reply, found, ip)) is not None:
                segments[test] = segment
        elif test in ECHO:
            told |= _echo(test, found, ip)
        else:
            told |= _unreachable(found, ip)
    accepted = [segments[test] for test in SEQUENCE if test in segments
                and segments[test].tcp.flags & TcpFlags.SYN]
    for test in SEQUENCE:
        if test in segments and segments[test].tcp.flags & TcpFlags.SYN:
            told[f"{test.name.lower()}.options"] = segments[test].layout
            told[f"{test.name.lower()}.window"] = str(segments[test].tcp.window)
    if accepted:
        told |= _accepting(accepted)
    if Test.ECN in segments:
        told["ecn"] = _ecn(segments[Test.ECN].tcp.flags)
    resets = [segments[test] for test in (Test.T5, Test.T6, Test.T7, Test.T4) if test in segments]
    if resets:
        told |= _ip_traits("rst", resets[0].ip)
    told |= _manners(asked, segments, answers_open=bool(accepted))
    if Test.U1 in asked and Test.U1 not in replies and told:
        told["u1"] = "none"
    return told


def signature(octets: bytes, link_type: int) -> Traits:
    """Return the traits of one SYN or SYN-ACK, as any capture has them; empty for others.

    Both are told as a SYN-ACK's, since stacks write their options alike; but what a client puts
    into the IP id of its first packet says nothing about what a server puts into its answer.
    """
    found = dissect(octets, link_type)
    ip = _ip(found)
    segment = _segment(Reply(octets, link_type, 0), found, ip) if ip is not None else None
    if segment is None or segment.tcp.flags & (TcpFlags.SYN | TcpFlags.RST) != TcpFlags.SYN:
        return {}
    told = _accepting([segment]) | {"synack.options": segment.layout}
    if not segment.tcp.flags & TcpFlags.ACK:
        told.pop("synack.id", None)
    return told


def first_ttl(ttl: int) -> int:
    """Return the TTL that a packet most likely left with."""
    return next(each for each in FIRST_TTLS if ttl <= each)


def _ip(found: Dissection) -> IPv4 | IPv6 | None:
    return next((layer.header for layer in found.layers
                 if isinstance(layer.header, IPv4 | IPv6)), None)


def _segment(reply: Reply, found: Dissection, ip: IPv4 | IPv6) -> _Segment | None:
    for layer in found.layers:
        if isinstance(layer.header, TCP):
            options = tuple(layer.header.options(reply.octets, layer.at))
            return _Segment(ip, layer.header, options, reply.time_ns)
    return None


def _ip_traits(name: str, ip: IPv4 | IPv6) -> Traits:
    if isinstance(ip, IPv6):
        return {f"{name}.ttl": str(first_ttl(ip.hop_limit))}
    return {
        f"{name}.ttl": str(first_ttl(ip.ttl)),
        f"{name}.df": "yes" if ip.flags & 2 else "no",
        f"{name}.id": "zero" if ip.identification == 0 else "set",
    }


def _accepting(accepted: Sequence[_Segment]) -> Traits:
    """Return what SYN-ACKs show together."""
    first = accepted[0]
    told = _ip_traits("synack", first.ip)
    told["synack.window"] = str(first.tcp.window)
    size, scale = first.number(TcpOption.MSS), first.number(TcpOption.WSCALE)
    if size:
        told["synack.mss"] = str(size)
        told["synack.segments"] = str(round(first.tcp.window / size))
    if scale is not None:
        told["synack.wscale"] = str(scale)
    if len(accepted) < len(SEQUENCE) - 2:
        return told
    times = np.array([each.time_ns for each in accepted]) / 1e9
    told["isn"] = _run_of([each.tcp.seq for each in accepted], times, 32)
    clocks = [each.number(TcpOption.TIMESTAMPS) for each in accepted]
    known = [at for at, clock in enumerate(clocks) if clock is not None]
    if len(known) >= 4:
        values = [(clocks[at] or 0) >> 32 for at in known]
        told["timestamps"] = _clock(values, times[known])
    else:
        told["timestamps"] = "none"
    if isinstance(first.ip, IPv4):
        ids = [each.ip.identification for each in accepted if isinstance(each.ip, IPv4)]
        told["ids"] = _ids(ids)
    return told


def _steps(values: Sequence[int], bits: int) -> NDArray[np.int64]:
    """Return by how much a counter of so many bits moved each time."""
    later, sooner = np.array(values[1:], np.int64), np.array(values[:-1], np.int64)
    return (later - sooner) & np.int64((1 << bits) - 1)


def _run_of(values: Sequence[int], times: NDArray[np.float64], bits: int) -> str:
    """Return how a counter runs: constant, steady with the time, in equal steps, or random."""
    steps = _steps(values, bits)
    if not steps.any():
        return "constant"
    if (steps == steps[0]).all():
        return "steps"
    rates = steps / np.maximum(np.diff(times), 1e-6)
    even = float(rates.std()) <= STEADY * float(rates.mean())
    return "clock" if even and int(steps.max()) < 1 << (bits - 4) else "random"


def _clock(values: Sequence[int], times: NDArray[np.float64]) -> str:
    if not any(values):
        return "zero"
    rates = _steps(values, 32) / np.maximum(np.diff(times), 1e-6)
    middle = float(np.median(rates))
    nearest = min(CLOCKS_HZ, key=lambda hz: abs(hz - middle))
    even = np.abs(rates - nearest) <= np.maximum(0.35 * nearest, 10)
    return f"{nearest} Hz" if even.sum() >= len(rates) - 1 else "random"


def _ids(ids: Sequence[int]) -> str:
    if not any(ids):
        return "zero"
    most = int(_steps(ids, 16).max())
    # Some count in the byte order of their processor, and send it as it is.
    swapped = int(_steps([(each & 0xFF) << 8 | each >> 8 for each in ids], 16).max())
    if not most:
        return "constant"
    if min(most, swapped) > SMALL_STEP:
        return "random"
    return "count" if most <= swapped else "count, bytes swapped"


def _ecn(flags: int) -> str:
    if not flags & TcpFlags.SYN:
        return "reset"
    return "yes" if flags & TcpFlags.ECE and not flags & TcpFlags.CWR else (
        "reflected" if flags & TcpFlags.ECE else "no")


def _manners(
    asked: Collection[int], segments: Mapping[int, _Segment], *, answers_open: bool
) -> Traits:
    """Return how odd segments are answered, where it is known that the port answers at all."""
    told: Traits = {}
    closed_answers = any(test in segments for test in CLOSED)
    for test in (Test.T2, Test.T3, Test.T4, *CLOSED):
        if test in segments:
            told[test.name.lower()] = _manner(segments[test].tcp)
        elif test in asked and (answers_open if test in OPEN else closed_answers):
            told[test.name.lower()] = "none"
    return told


def _manner(tcp: TCP) -> str:
    """Return flags, sequence and acknowledgement numbers and window of an answer, as words."""
    names = "".join(letter for letter, flag in _FLAG_LETTERS if tcp.flags & flag)
    seq = "seq 0" if tcp.seq == 0 else "seq"
    ack = "ack 0" if tcp.ack == 0 else "ack"
    return f"{names} {seq} {ack} window {'set' if tcp.window else 0}"


_FLAG_LETTERS: Final = (
    ("S", TcpFlags.SYN), ("A", TcpFlags.ACK), ("R", TcpFlags.RST), ("F", TcpFlags.FIN),
    ("E", TcpFlags.ECE),
)


def _echo(test: int, found: Dissection, ip: IPv4 | IPv6) -> Traits:
    header = next((layer.header for layer in found.layers
                   if isinstance(layer.header, ICMP | ICMPv6)), None)
    if header is None or header.seq != ECHO_SEQ + test - Test.IE1:
        return {}
    told = {"echo.ttl": _ip_traits("echo", ip)["echo.ttl"]}
    if test == Test.IE1:
        told["echo.code"] = {9: "same", 0: "zero"}.get(header.code, "other")
        if isinstance(ip, IPv4):
            told["echo.df"] = "yes" if ip.flags & 2 else "no"
    elif isinstance(ip, IPv4):
        told["echo.tos"] = "same" if ip.dscp == 1 else "zero" if ip.dscp == 0 else "other"
    return told


def _unreachable(found: Dissection, ip: IPv4 | IPv6) -> Traits:
    """Return what an ICMP error shows: its service bits, and how much it quotes."""
    layer: Layer | None = next(
        (each for each in found.layers if isinstance(each.header, ICMP | ICMPv6)), None)
    if layer is None:
        return {}
    told = {"u1": "answered", "u1.ttl": _ip_traits("u1", ip)["u1.ttl"]}
    whole = (20 if isinstance(ip, IPv4) else 40) + 8 + 300
    end = ip_end(found, ip)
    quoted = end - layer.at - 8
    told["u1.quoted"] = "all" if quoted >= whole else str(quoted)
    if isinstance(ip, IPv4):
        told["u1.tos"] = f"0x{ip.dscp << 2 | ip.ecn:02x}"
        told["u1.df"] = "yes" if ip.flags & 2 else "no"
    return told


def ip_end(found: Dissection, ip: IPv4 | IPv6) -> int:
    """Return the offset behind the last octet of the packet, by the header of IP."""
    at = next(layer.at for layer in found.layers if layer.header is ip)
    return at + (ip.total_length if isinstance(ip, IPv4) else IPv6.size + ip.payload_length)
