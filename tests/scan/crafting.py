"""Spaces, ways and replies for the tests of probe kinds, made with scalar headers only.

Probes are parsed and replies stacked header by header, so that the columns under test are
checked by other code than their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import portulan.wire as wire
from portulan.scan.paths import NO_WAY, Paths, Via
from portulan.target.space import Segment, Space
from portulan.wire.checksum import transport_sum
from portulan.wire.crc32c import crc32c

OURS4, OURS6 = 0x0A09_0001, 0xFD09 << 112 | 1
MAC, NEXT = bytes.fromhex("02aabbccdd01"), 0x02AA_BBCC_DD02
NET4, NET6 = 0x0A09_0100, 0xFD09 << 112 | 0x0001_FFF0
KEY = (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)
SPORT = 61_008

ETHER4 = Via(0, 4, OURS4, MAC, NEXT)
ETHER6 = Via(0, 6, OURS6, MAC, NEXT)
RAW4 = Via(1, 4, OURS4 + 1)
RAW6 = Via(1, 6, OURS6 + 1)


def keys(probes):
    return tuple(sorted(protocol << 16 | port for protocol, port in probes))


def mixed_space(probes4, probes6, hosts=12):
    return Space([
        Segment(4, NET4, hosts, keys(probes4)), Segment(6, NET6, hosts, keys(probes6)),
    ])


def mixed_paths(space):
    """Hosts of each family take turns: Ethernet by a router, raw, and one without any way."""
    family, *_ = space.host_address(np.arange(space.host_count))
    turn = np.arange(space.host_count) % 4
    of_host = np.where(family == 4, 0, 2).astype(np.uint8) + (turn % 2).astype(np.uint8)
    of_host[turn == 3] = NO_WAY
    return Paths((ETHER4, RAW4, ETHER6, RAW6), of_host)


@dataclass(frozen=True)
class Sent:
    """A probe as parsed from its bytes."""

    octets: bytes
    ethernet: wire.Ethernet | None
    ip: wire.IPv4 | wire.IPv6
    head: wire.TCP | wire.UDP | wire.ICMP | wire.ICMPv6 | wire.SCTP
    body: bytes

    @classmethod
    def parse(cls, octets: bytes, *, ethernet: bool) -> Sent:
        at = 14 if ethernet else 0
        six = octets[at] >> 4 == 6
        ip = (wire.IPv6 if six else wire.IPv4).parse(octets, at)
        number = ip.next_header if six else ip.protocol
        kind = {6: wire.TCP, 17: wire.UDP, 1: wire.ICMP, 58: wire.ICMPv6, 132: wire.SCTP}[number]
        start = at + ip.size
        head = kind.parse(octets, start)
        return cls(
            octets, wire.Ethernet.parse(octets) if ethernet else None, ip, head,
            octets[start + head.size :],
        )

    @property
    def packet(self) -> bytes:
        """The probe from its IP header on: what an ICMP error quotes."""
        return self.octets[14:] if self.ethernet else self.octets

    def sums_are_right(self) -> bool:
        """Every checksum of the packet, computed anew by scalar code."""
        at = (14 if self.ethernet else 0) + self.ip.size
        segment = self.octets[at:]
        if isinstance(self.ip, wire.IPv4):
            header = self.octets[at - 20 : at]
            if wire.checksum.internet_checksum(header) != 0:
                return False
            if self.ip.total_length != 20 + len(segment):
                return False
        elif self.ip.payload_length != len(segment):
            return False
        if isinstance(self.head, wire.ICMP):
            return wire.checksum.internet_checksum(segment) == 0
        if isinstance(self.head, wire.SCTP):
            zeroed = segment[:8] + bytes(4) + segment[12:]
            return crc32c(zeroed).to_bytes(4, "little") == segment[8:12]
        number = {wire.TCP: 6, wire.UDP: 17, wire.ICMPv6: 58}[type(self.head)]
        return wire.checksum.finish(transport_sum((self.ip,), number, segment)) == 0

    def wrap(self, inner, *, source=None, ttl=61):
        """Stack a reply's link and network headers in front of `inner`."""
        back = dict(src=self.ip.dst if source is None else source, dst=self.ip.src)
        six = isinstance(self.ip, wire.IPv6)
        ip = wire.IPv6(hop_limit=ttl, **back) if six else wire.IPv4(ttl=ttl, **back)
        packet = ip / inner
        if self.ethernet:
            packet = wire.Ethernet(dst=self.ethernet.src, src=self.ethernet.dst) / packet
        return packet.pack()

    def tcp(self, flags="SA", **changes):
        """What a host would answer to this SYN."""
        words = dict(
            sport=self.head.dport, dport=self.head.sport, seq=77,
            ack=(self.head.seq + 1) & 0xFFFF_FFFF, flags=flags, window=1024,
        )
        return wire.TCP(**{**words, **changes}) / b""

    def udp(self, body, **changes):
        """A datagram from the port that was asked."""
        words = dict(sport=self.head.dport, dport=self.head.sport)
        return wire.UDP(**{**words, **changes}) / body

    def sctp(self, chunk, *, flags=0, **changes):
        """A packet of one chunk from the port that was asked."""
        tag = int.from_bytes(self.body[4:8], "big")
        words = dict(sport=self.head.dport, dport=self.head.sport, tag=tag)
        return wire.SCTP(**{**words, **changes}) / bytes([chunk, flags, 0, 4])

    def echo_reply(self, **changes):
        """What a host would answer to this echo request."""
        words = dict(id=self.head.id, seq=self.head.seq)
        return type(self.head).echo_reply(**{**words, **changes}) / self.body

    def timestamp_reply(self, **changes):
        words = dict(type=wire.IcmpType.TIMESTAMP_REPLY, id=self.head.id, seq=self.head.seq)
        return wire.ICMP(**{**words, **changes}) / bytes(12)

    def unreachable(self, code, *, quote=None):
        six = isinstance(self.ip, wire.IPv6)
        kind = wire.ICMPv6 if six else wire.ICMP
        return kind.unreachable(code, self.packet if quote is None else quote)

    def time_exceeded(self):
        six = isinstance(self.ip, wire.IPv6)
        if six:
            return wire.ICMPv6(type=wire.Icmp6Type.TIME_EXCEEDED) / self.packet
        return wire.ICMP.time_exceeded(self.packet)


def sent_by(kind, index, try_no=1):
    """Build probes and parse them: {index: Sent}; probes without a way are not there."""
    index = np.asarray(index, np.int64)
    found = {}
    for out in kind.build(index, try_no):
        assert len(out.rows) == len(index[out.at])
        for at, row in zip(index[out.at].tolist(), out.rows, strict=True):
            assert at not in found
            found[at] = Sent.parse(row.tobytes(), ethernet=out.ethernet)
    return found


def frames_of(replies, *, ethernet=True):
    """A batch as a link would hand it over, each frame with a time of its own."""
    kind = wire.LinkType.ETHERNET if ethernet else wire.LinkType.RAW
    return wire.Frames.of(replies, time_ns=[1000 + n for n in range(len(replies))], link_type=kind)


def columns(answers):
    """Answers as comparable rows: (index, state, reason, try, row)."""
    return list(zip(
        answers.index.tolist(), answers.state.tolist(), answers.reason.tolist(),
        answers.try_no.tolist(), answers.row.tolist(), strict=True,
    ))
