"""What a batch of frames holds that could answer a probe: TCP, UDP, ICMP, ICMP errors, ARP.

One walk over the batch (`wire.locate`) serves all kinds. Columns only: which of them answer *our*
probes is the kind's business.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from portulan.scan.verdict import ICMP4_UNREACHABLE, ICMP6_UNREACHABLE, Reason
from portulan.target.space import IP, Probes
from portulan.wire.arp import ARP
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.locate import Located, locate, quoted
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

Index = NDArray[np.int64]
Word = NDArray[np.uint64]

#: Codes beyond the registered ones say nothing more than that it did not arrive.
_REASONS4: Final = np.full(256, Reason.DEST_UNREACH, np.uint8)
_REASONS4[: len(ICMP4_UNREACHABLE)] = ICMP4_UNREACHABLE
_REASONS6: Final = np.full(256, Reason.DEST_UNREACH, np.uint8)
_REASONS6[: len(ICMP6_UNREACHABLE)] = ICMP6_UNREACHABLE
#: ICMPv6 parameter problem: "unrecognized Next Header type encountered" (RFC 4443 section 3.4).
UNKNOWN_NEXT_HEADER: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Columns of one length, selectable together."""

    def take(self, selection: NDArray[np.bool_] | Index) -> Self:
        """Return the selected rows."""
        values = (getattr(self, column.name) for column in fields(self))
        return type(self)(*(
            value.take(np.flatnonzero(selection) if selection.dtype == np.bool_ else selection)
            if isinstance(value, Probes) else value[selection] for value in values
        ))


@dataclass(frozen=True, slots=True, eq=False)
class PortReplies(Rows):
    """Packets of a protocol that has ports: who sent them, from which port to which of ours."""

    row: Index
    family: NDArray[np.uint8]
    hi: Word
    lo: Word
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]

    def asked(self, protocol: int) -> Probes:
        """Return the probes that these packets would answer."""
        return Probes(
            self.family, self.hi, self.lo, self.sport,
            np.full(len(self.row), protocol, np.uint8),
        )


@dataclass(frozen=True, slots=True, eq=False)
class TcpReplies(PortReplies):
    """TCP segments: who sent them, and what they say."""

    seq: Word
    ack: Word
    flags: NDArray[np.uint8]
    window: NDArray[np.uint16]
    ttl: NDArray[np.uint8]
    time_ns: Index


@dataclass(frozen=True, slots=True, eq=False)
class UdpReplies(PortReplies):
    """UDP datagrams: who sent them, where their payload lies, how long it is."""

    ttl: NDArray[np.uint8]
    time_ns: Index
    at: Index
    size: Index


@dataclass(frozen=True, slots=True, eq=False)
class SctpReplies(PortReplies):
    """SCTP packets: who sent them, their verification tag, type and flags of their first chunk."""

    tag: Word
    chunk: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    time_ns: Index


@dataclass(frozen=True, slots=True, eq=False)
class IcmpReplies(Rows):
    """ICMP messages of one type: who sent them, their id and seq, where they lie, how long."""

    row: Index
    family: NDArray[np.uint8]
    hi: Word
    lo: Word
    id: Word
    seq: Word
    ttl: NDArray[np.uint8]
    time_ns: Index
    at: Index
    size: Index

    def probes(self, protocol: int, port: int) -> Probes:
        """Return the probes that these messages would answer."""
        count = len(self.row)
        return Probes(
            self.family, self.hi, self.lo, np.full(count, port, np.uint16),
            np.full(count, protocol, np.uint8),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Errors(Rows):
    """ICMP errors about packets of ours: the probe quoted, its source port, 32 bits behind."""

    row: Index
    from_hi: Word
    from_lo: Word
    probes: Probes
    sport: NDArray[np.uint16]
    word: Word
    """For TCP the sequence number, for UDP length << 16 | checksum, for SCTP the initiate tag."""
    reason: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    time_ns: Index

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which errors the target itself sent."""
        itself: NDArray[np.bool_] = (self.from_lo == self.probes.lo) & (
            self.from_hi == self.probes.hi)
        return itself


@dataclass(frozen=True, slots=True, eq=False)
class IpPackets(Rows):
    """IP packets as protocol scans name them: address and protocol number, and what marks them."""

    row: Index
    probes: Probes
    """The protocol's number in place of a port."""
    mark: Word
    """IPv4's identification, the lower 16 bits of IPv6's flow label."""
    ttl: NDArray[np.uint8]
    time_ns: Index


@dataclass(frozen=True, slots=True, eq=False)
class Quotes(IpPackets):
    """Packets of ours that ICMP errors quote; TTL and time are the errors'."""

    from_hi: Word
    from_lo: Word
    reason: NDArray[np.uint8]

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which errors the target itself sent."""
        itself: NDArray[np.bool_] = (self.from_lo == self.probes.lo) & (
            self.from_hi == self.probes.hi)
        return itself


class Heard:
    """A batch of frames, walked once."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self._at = locate(frames)

    def octets(self, at: Index, count: int) -> NDArray[np.uint8]:
        """Return `count` octets from each offset; they must lie inside the buffer."""
        return octets_at(self.frames.buffer, at, count)

    def _source(self, row: Index) -> tuple[NDArray[np.uint8], Word, Word, NDArray[np.uint8]]:
        """Return family, hi, lo of the sender, and the TTL or hop limit, of each row."""
        return _addresses(self.frames, self._at.take(row), destination=False)

    def tcp(self) -> TcpReplies:
        """Return the TCP segments."""
        row = self._at.of(IpProtocol.TCP)
        segment = TCP.gather(self.frames.buffer, self._at.transport_offset[row])
        family, hi, lo, ttl = self._source(row)
        return TcpReplies(
            row, family, hi, lo, segment.sport, segment.dport, segment.seq.astype(np.uint64),
            segment.ack.astype(np.uint64), segment.flags, segment.window, ttl,
            self.frames.time_ns[row],
        )

    def udp(self) -> UdpReplies:
        """Return the UDP datagrams."""
        row = self._at.of(IpProtocol.UDP)
        datagram = UDP.gather(self.frames.buffer, self._at.transport_offset[row])
        family, hi, lo, ttl = self._source(row)
        at = self._at.payload_offset[row]
        return UdpReplies(
            row, family, hi, lo, datagram.sport, datagram.dport, ttl, self.frames.time_ns[row],
            at, self._at.payload_end[row] - at,
        )

    def sctp(self) -> SctpReplies:
        """Return the SCTP packets that carry a chunk."""
        row = self._at.of(IpProtocol.SCTP)
        at = self._at.transport_offset[row]
        whole = self._at.payload_end[row] - at >= SCTP.size + 4
        row, at = row[whole], at[whole]
        packet = SCTP.gather(self.frames.buffer, at)
        chunk = self.octets(at + SCTP.size, 2)
        family, hi, lo, ttl = self._source(row)
        return SctpReplies(
            row, family, hi, lo, packet.sport, packet.dport, packet.tag.astype(np.uint64),
            chunk[:, 0], chunk[:, 1], ttl, self.frames.time_ns[row],
        )

    def icmp(self, family: int, kind: int) -> IcmpReplies:
        """Return the ICMP (family 4) or ICMPv6 (6) messages of one type."""
        row = self._at.of(IpProtocol.ICMP if family == 4 else IpProtocol.ICMPV6)
        row = row[self._at.family[row] == family]
        at = self._at.transport_offset[row]
        here = self.frames.buffer[at] == kind
        row, at = row[here], at[here]
        message: Any = (ICMP if family == 4 else ICMPv6).gather(self.frames.buffer, at)
        families, hi, lo, ttl = self._source(row)
        return IcmpReplies(
            row, families, hi, lo, message.id.astype(np.uint64), message.seq.astype(np.uint64),
            ttl, self.frames.time_ns[row], at, self._at.payload_end[row] - at,
        )

    def errors(self, protocol: int, *, word_at: int = 4) -> Errors:
        """Return the ICMP errors that quote a packet of this protocol, its `word` included."""
        row, inner = self._quoted
        chosen = inner.of(protocol)
        size = max(8, word_at + 4)
        quoted_size = inner.payload_end[chosen] - inner.transport_offset[chosen]
        chosen = chosen[quoted_size >= size]
        chosen = chosen[inner.family[chosen] == self._at.family[row[chosen]]]
        row, inner = row[chosen], inner.take(chosen)
        reason, known = self._reasons(row)
        row, inner, reason = row[known], inner.take(known), reason[known]
        head = self.octets(inner.transport_offset, size)
        family, hi, lo, _ = _addresses(self.frames, inner, destination=True)
        probes = Probes(
            family, hi, lo, head[:, 2:4].copy().view(">u2")[:, 0].astype(np.uint16),
            inner.protocol,
        )
        _, from_hi, from_lo, ttl = self._source(row)
        return Errors(
            row, from_hi, from_lo, probes, head[:, 0:2].copy().view(">u2")[:, 0].astype(np.uint16),
            head[:, word_at : word_at + 4].copy().view(">u4")[:, 0].astype(np.uint64), reason, ttl,
            self.frames.time_ns[row],
        )

    def packets(self) -> IpPackets:
        """Return all IP packets, by their sender."""
        row = np.flatnonzero(self._at.family != 0)
        at = self._at.take(row)
        family, hi, lo, ttl = _addresses(self.frames, at, destination=False)
        number, mark = _marks(self.frames, at)
        probes = Probes(family, hi, lo, number, np.full(len(row), IP, np.uint8))
        return IpPackets(row, probes, mark, ttl, self.frames.time_ns[row])

    def quotes(self) -> Quotes:
        """Return the packets that ICMP errors quote, whatever their protocol."""
        row, inner = self._quoted
        chosen = np.flatnonzero((inner.family != 0) & (inner.family == self._at.family[row]))
        row, inner = row[chosen], inner.take(chosen)
        reason, known = self._reasons(row)
        row, inner, reason = row[known], inner.take(known), reason[known]
        family, hi, lo, _ = _addresses(self.frames, inner, destination=True)
        number, mark = _marks(self.frames, inner)
        _, from_hi, from_lo, ttl = self._source(row)
        probes = Probes(family, hi, lo, number, np.full(len(row), IP, np.uint8))
        return Quotes(
            row, probes, mark, ttl, self.frames.time_ns[row], from_hi, from_lo, reason)

    def _reasons(self, row: Index) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the reason of each error, and which of them speak about delivery."""
        at = self._at.transport_offset[row]
        kind, code = self.frames.buffer[at], self.frames.buffer[at + 1]
        six = self._at.family[row] == 6
        unreachable = np.where(six, kind == Icmp6Type.UNREACHABLE, kind == IcmpType.UNREACHABLE)
        expired = np.where(six, kind == Icmp6Type.TIME_EXCEEDED, kind == IcmpType.TIME_EXCEEDED)
        # ICMP has a code of its own for unknown protocols; its parameter problems are on options.
        problem = six & (kind == Icmp6Type.PARAMETER_PROBLEM)
        reason = np.where(six, _REASONS6[code], _REASONS4[code])
        reason = np.where(expired, np.uint8(Reason.TIME_EXCEEDED), reason)
        # RFC 4443 section 3.4: code 1 is what an unreachable protocol is in ICMP.
        unknown = six & (code == UNKNOWN_NEXT_HEADER)
        told = np.where(unknown, np.uint8(Reason.PROTO_UNREACH), np.uint8(Reason.PARAM_PROBLEM))
        reason = np.where(problem, told, reason)
        return reason.astype(np.uint8), unreachable | expired | problem

    @cached_property
    def _quoted(self) -> tuple[Index, Located]:
        return quoted(self.frames, self._at)

    def arp(self) -> tuple[Index, Index]:
        """Return where whole ARP packets lie, and their rows."""
        row = np.flatnonzero(self._at.ethertype == EtherType.ARP)
        at = self._at.network_offset[row]
        whole = at + ARP.size <= self.frames.offset[row] + self.frames.length[row]
        return at[whole], row[whole]


def _marks(frames: Frames, at: Located) -> tuple[NDArray[np.uint16], Word]:
    """Return protocol and mark of network headers that `locate` found whole."""
    number, mark = np.zeros(len(at), np.uint16), np.zeros(len(at), np.uint64)
    four, six = at.family == 4, at.family == 6
    if four.any():
        packet = IPv4.gather(frames.buffer, at.network_offset[four])
        number[four], mark[four] = packet.protocol, packet.identification
    if six.any():
        packet = IPv6.gather(frames.buffer, at.network_offset[six])
        number[six], mark[six] = packet.next_header, packet.flow_label & 0xFFFF
    return number, mark


def _addresses(
    frames: Frames, at: Located, *, destination: bool
) -> tuple[NDArray[np.uint8], Word, Word, NDArray[np.uint8]]:
    """Return family, hi, lo and TTL of network headers that `locate` found whole."""
    count = len(at)
    hi, lo, ttl = np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.zeros(count, np.uint8)
    side = "dst" if destination else "src"
    four = at.family == 4
    if four.any():
        packet = IPv4.gather(frames.buffer, at.network_offset[four])
        lo[four], ttl[four] = getattr(packet, side), packet.ttl
    six = at.family == 6
    if six.any():
        packet = IPv6.gather(frames.buffer, at.network_offset[six])
        hi[six], lo[six] = getattr(packet, f"{side}_hi"), getattr(packet, f"{side}_lo")
        ttl[six] = packet.hop_limit
    return at.family, hi, lo, ttl
