"""Ask which IP protocols a host speaks: a packet of each, its proper header where we have one.

A protocol's number takes the place of the port. The verdict table:

- the target's answer in that protocol, or its ICMP error from behind it (a port unreachable to
  our UDP datagram, a parameter problem within the header): `open`;
- the target's protocol unreachable (RFC 1122 section 3.2.2.1), or ICMPv6's unrecognized next
  header (RFC 4443 section 3.4): `closed`;
- any other ICMP error, and anybody else's: `filtered`;
- silence: `open|filtered`, for most protocols drop what is no valid packet of theirs.

TCP, UDP, SCTP and ICMP are asked what they must answer, and so are IPv6's extension headers; all
others are bare headers of IP. What proves an ICMP error is the quoted identification, or flow
label, whose upper bits are a cookie (RFC 6864 section 4.1: that of an atomic datagram is free) and
whose last four tell the try. An answer in TCP, SCTP or ICMP repeats the cookie; in any other
protocol the answering address is all the proof there can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Column, Instruction, Outgoing, Stamp, find, split
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard, Index, Quotes
from portulan.scan.sctp import ABORT, INIT_ACK, init_packet, initiate_tag, stamp_init
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import Key, cookie
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import IP as IP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.checksum import finish, finish_udp, sum_rows, word_sum
from portulan.wire.frames import Frames
from portulan.wire.header import Header, Packet
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import TCP, TcpFlags
from portulan.wire.udp import UDP

#: A port that every stack answers for: an ACK to it is reset whether anybody listens or not.
TCP_PORT: Final = 80
#: A dynamic port (RFC 6335 section 6) that nothing is known to use.
UDP_PORT: Final = 40_125
SCTP_PORT: Final = 9
#: IPv6's extension headers, each with what RFC 8200 says must be answered by a parameter problem:
#: an unknown option whose type begins with 10 (section 4.2), an unknown routing type with a segment
#: left (4.4), a first fragment whose length is no multiple of 8 (4.5). The option and the routing
#: type are those for experiments (RFC 4727 section 3).
EXTENSIONS: Final[dict[int, bytes]] = {
    IpProtocol.HOPOPT: bytes([IpProtocol.NONE, 0, 0x9E, 4, 0, 0, 0, 0]),
    IpProtocol.DESTINATION: bytes([IpProtocol.NONE, 0, 0x9E, 4, 0, 0, 0, 0]),
    IpProtocol.ROUTING: bytes([IpProtocol.NONE, 0, 253, 1, 0, 0, 0, 0]),
    IpProtocol.FRAGMENT: bytes([IpProtocol.NONE, 0, 0, 1, 0, 0, 0, 1, 0]),
}
UDP_LITE: Final = 136
_ECHO: Final = {
    (4, int(IpProtocol.ICMP)): IcmpType.ECHO_REPLY,
    (6, int(IpProtocol.ICMPV6)): Icmp6Type.ECHO_REPLY,
}
_WITH_PORTS: Final[dict[int, type[Header]]] = {
    IpProtocol.TCP: TCP, IpProtocol.UDP: UDP, IpProtocol.SCTP: SCTP,
}
#: Protocols that get more than a header of IP, by family.
_WITH_BODY: Final = {
    4: (*_WITH_PORTS, int(IpProtocol.ICMP)),
    6: (*_WITH_PORTS, int(IpProtocol.ICMPV6), *EXTENSIONS),
}
#: The form of all others, beyond every number; its lowest octet is 0.
BARE: Final = 256
#: Protocols whose answers are looked at by themselves.
_SPOKEN_TO: Final = (
    IpProtocol.TCP, IpProtocol.UDP, IpProtocol.SCTP, IpProtocol.ICMP, IpProtocol.ICMPV6,
)
_TRY_BITS: Final = TRIES_MAX - 1
_UPPER_12: Final = np.uint64(0xFFF0)
_LOW_64: Final = (1 << 64) - 1


class ProtocolKind:
    """Ask IP protocols; `sport` is the source port of the first try, where there are ports."""

    silent = State.OPEN_FILTERED

    def __init__(self, space: Space, paths: Paths, *, key: Key, sport: int) -> None:
        self.space, self._paths, self._key, self._sport = space, paths, key, sport
        self._stamps: dict[tuple[Via, int], Stamp] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes all that is not somebody else's TCP, UDP or SCTP."""
        ports = (self._sport, self._sport + TRIES_MAX - 1)
        return replies_filter(
            link_type=link_type, tcp_ports=ports, udp_ports=ports, sctp_ports=ports, icmp=True,
            icmp6=True, others=True,
        )

    # -- asking ----------------------------------------------------------------------------

    def build(self, index: Index, try_no: int) -> list[Outgoing]:
        """Return the packets that ask these probes, in their order but for those with a body."""
        return list(self._built(index, try_no))

    def _built(self, index: Index, try_no: int) -> Iterator[Outgoing]:
        for via, at, probes, macs in split(self.space, self._paths, index):
            where = np.arange(len(index))[at]
            # Bare headers leave together and in order: by it limits on refusals are recognised.
            has_body = np.isin(probes.port, _WITH_BODY[via.family])
            form = np.where(has_body, probes.port, BARE)
            for number in np.unique(form)[::-1].tolist():
                chosen = np.flatnonzero(form == number)
                mac = macs if isinstance(macs, int) else macs[chosen]
                rows = self._rows(self._stamp(via, number), probes.take(chosen), mac, try_no=try_no)
                yield Outgoing(via.link, rows, where[chosen], via.ethernet)

    def _stamp(self, via: Via, number: int) -> Stamp:
        if (via, number) not in self._stamps:
            self._stamps[via, number] = Stamp(
                via, self._message(via.family, number), number=number & 0xFF)
        return self._stamps[via, number]

    def _message(self, family: int, number: int) -> Packet | bytes:
        made: dict[tuple[int, int], Packet] = {
            (4, IpProtocol.ICMP): ICMP.echo() / b"", (6, IpProtocol.ICMPV6): ICMPv6.echo() / b"",
        }
        for each in (4, 6):
            made[each, IpProtocol.TCP] = TCP(dport=TCP_PORT, flags="A") / b""
            made[each, IpProtocol.UDP] = UDP(dport=UDP_PORT) / b""
            made[each, IpProtocol.SCTP] = SCTP(dport=SCTP_PORT) / init_packet().layers[-1]
        bare = EXTENSIONS.get(number, b"") if family == 6 else b""
        return made.get((family, number), bare)

    def _rows(
        self, stamp: Stamp, probes: Probes, macs: NDArray[np.uint64] | int, *, try_no: int
    ) -> NDArray[np.uint8]:
        rows, added = stamp.rows(probes, macs)
        mark = self._mark(probes, try_no)
        if stamp.via.family == 4:
            header = IPv4.view(rows, stamp.network)
            before = np.uint64(0xFFFF) - header.checksum.astype(np.uint64)
            header.identification[:] = mark
            added_here = mark + probes.port - header.protocol
            header.protocol[:] = probes.port
            header.checksum[:] = finish(before + added_here)
        else:
            six = IPv6.view(rows, stamp.network)
            six.flow_label[:], six.next_header[:] = mark, probes.port
        number = int(probes.port[0])
        if number in _WITH_PORTS:
            self._fill_ports(rows, stamp, probes, added=added, try_no=try_no)
        elif (stamp.via.family, number) in _ECHO:
            self._fill_echo(rows, stamp, probes, added=added, try_no=try_no)
        return rows

    def _fill_ports(
        self, rows: NDArray[np.uint8], stamp: Stamp, probes: Probes, *, added: Column, try_no: int
    ) -> None:
        number, sport = int(probes.port[0]), self._sport + try_no - 1
        header: Any = _WITH_PORTS[number].view(rows, stamp.transport)
        header.sport[:] = sport
        if number == IpProtocol.SCTP:
            stamp_init(rows, stamp.transport, initiate_tag(self._key, probes, sport))
            return
        if number == IpProtocol.TCP:
            header.seq[:] = header.ack[:] = cookie(self._key, probes, sport)
        header.checksum[:] = 0
        total = added + sum_rows(rows, stamp.transport) + _pseudo(stamp, number)
        header.checksum[:] = finish_udp(total) if number == IpProtocol.UDP else finish(total)

    def _fill_echo(
        self, rows: NDArray[np.uint8], stamp: Stamp, probes: Probes, *, added: Column, try_no: int
    ) -> None:
        six = stamp.via.family == 6
        header: type[ICMP] | type[ICMPv6] = ICMPv6 if six else ICMP
        message: Any = header.view(rows, stamp.transport)
        message.id[:], message.seq[:] = self._ids(probes, try_no)
        message.checksum[:] = 0
        total = sum_rows(rows, stamp.transport)
        # Only ICMPv6 counts the addresses in its checksum (RFC 4443 section 2.3).
        if six:
            total = total + added + _pseudo(stamp, int(IpProtocol.ICMPV6))
        message.checksum[:] = finish(total)

    def _mark(self, probes: Probes, try_no: NDArray[np.uint64] | int) -> Column:
        """Return each probe's identification or flow label; its last bits tell the try."""
        tries = np.asarray(try_no, np.uint64) - np.uint64(1)
        return (cookie(self._key, probes, 0) & _UPPER_12) | tries

    def _ids(self, probes: Probes, try_no: NDArray[np.uint64] | int) -> tuple[Column, Column]:
        return cookie(self._key, probes, 0) >> np.uint64(16), self._mark(probes, try_no)

    # -- hearing ---------------------------------------------------------------------------

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames."""
        heard = Heard(frames)
        return Answers.concat([
            self._read_ports(heard), self._read_echo(heard), self._read_others(heard),
            self._read_errors(heard),
        ])

    def _read_ports(self, heard: Heard) -> Answers:
        """Return what TCP, SCTP and UDP say to our source ports."""
        tcp, sctp, udp = heard.tcp(), heard.sctp(), heard.udp()
        reset = (tcp.flags & TcpFlags.RST) != 0
        whole = (sctp.chunk == INIT_ACK) | (sctp.chunk == ABORT)
        asked_tcp = _named(tcp.family, tcp.hi, tcp.lo, IpProtocol.TCP)
        asked_sctp = _named(sctp.family, sctp.hi, sctp.lo, IpProtocol.SCTP)
        right = sctp.tag == initiate_tag(self._key, asked_sctp, sctp.dport)
        secret = cookie(self._key, asked_tcp, tcp.dport)
        return Answers.concat([
            self._open(asked_tcp, tcp, reset & (tcp.seq == secret) & (tcp.sport == TCP_PORT)),
            self._open(asked_sctp, sctp, whole & right & (sctp.sport == SCTP_PORT)),
            self._open(_named(udp.family, udp.hi, udp.lo, IpProtocol.UDP), udp,
                       udp.sport == UDP_PORT),
        ])

    def _open(self, probes: Probes, heard: Any, proven: NDArray[np.bool_]) -> Answers:  # noqa: ANN401 - rows of any protocol with ports
        index = find(self.space, probes)
        try_no = heard.dport.astype(np.int64) - self._sport + 1
        ours = (index >= 0) & proven & (try_no >= 1) & (try_no <= TRIES_MAX)
        return Answers.of(
            index[ours], state=State.OPEN, reason=Reason.PROTO_RESPONSE, ttl=heard.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=heard.time_ns[ours], row=heard.row[ours],
        )

    def _read_echo(self, heard: Heard) -> Answers:
        found = []
        for (family, number), reply in _ECHO.items():
            icmp = heard.icmp(family, reply)
            probes = icmp.probes(IP_NUMBER, number)
            try_no = (icmp.seq & np.uint64(_TRY_BITS)) + np.uint64(1)
            identifier, sequence = self._ids(probes, try_no)
            index = find(self.space, probes)
            ours = (index >= 0) & (icmp.id == identifier) & (icmp.seq == sequence)
            found.append(Answers.of(
                index[ours], state=State.OPEN, reason=Reason.PROTO_RESPONSE, ttl=icmp.ttl[ours],
                try_no=try_no[ours].astype(np.uint8), time_ns=icmp.time_ns[ours],
                row=icmp.row[ours],
            ))
        return Answers.concat(found)

    def _read_others(self, heard: Heard) -> Answers:
        """Return what says something in a protocol without ids; not our own packets on loopback."""
        packet = heard.packets()
        index = find(self.space, packet.probes)
        ours = (index >= 0) & ~np.isin(packet.probes.port, _SPOKEN_TO)
        packet, index = packet.take(ours), index[ours]
        sent = (packet.mark | np.uint64(_TRY_BITS)) == self._mark(packet.probes, TRIES_MAX)
        packet, index = packet.take(~sent), index[~sent]
        # Which try it answers cannot be told: the first, as far as anybody knows.
        return Answers.of(
            index, state=State.OPEN, reason=Reason.PROTO_RESPONSE, ttl=packet.ttl,
            time_ns=packet.time_ns, row=packet.row,
        )

    def _read_errors(self, heard: Heard) -> Answers:
        quote = heard.quotes()
        index = find(self.space, quote.probes)
        try_no = (quote.mark & np.uint64(_TRY_BITS)) + np.uint64(1)
        ours = (index >= 0) & (quote.mark == self._mark(quote.probes, try_no))
        quote, index, try_no = quote.take(ours), index[ours], try_no[ours]
        state = _verdict(quote)
        return Answers.of(
            index, state=state, reason=quote.reason, ttl=quote.ttl,
            try_no=try_no.astype(np.uint8), time_ns=quote.time_ns, row=quote.row,
            soft=state == State.FILTERED,
        )


def _verdict(quote: Quotes) -> NDArray[np.uint8]:
    """Return the state that each ICMP error says of its protocol."""
    # Firewalls refuse anything with "port unreachable": it is telling where there are ports only.
    has_ports = np.isin(quote.probes.port, (IpProtocol.UDP, UDP_LITE))
    inside = (quote.reason == Reason.PARAM_PROBLEM) | (quote.reason == Reason.TIME_EXCEEDED)
    read = quote.own & (inside | (has_ports & (quote.reason == Reason.PORT_UNREACH)))
    closed = quote.own & (quote.reason == Reason.PROTO_UNREACH)
    state = np.where(closed, State.CLOSED, State.FILTERED)
    return np.where(read, State.OPEN, state).astype(np.uint8)


def _named(family: NDArray[np.uint8], hi: Column, lo: Column, number: int) -> Probes:
    count = len(family)
    return Probes(
        family, hi, lo, np.full(count, number, np.uint16), np.full(count, IP_NUMBER, np.uint8))


def _pseudo(stamp: Stamp, number: int) -> np.uint64:
    """Return what a pseudo-header adds to a sum, its destination left out."""
    source = word_sum(stamp.via.source & _LOW_64) + word_sum(stamp.via.source >> 64)
    return np.uint64(source + number + len(stamp.row) - stamp.transport)
