"""Who is there: ICMP echo and timestamp, a SYN to 443, an ACK to 80, a datagram to a closed port.

Five ways because each is dropped somewhere: the first answer says that the host is up. A probe is
named in the space by (protocol, port), where an ICMP probe's port is its message type. The
contact string, if there is one, travels as the data of echo requests. The datagram carries our
cookie, so that its checksum, which an ICMP error quotes, is proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Column, Instruction, Outgoing, Stamp, find, split
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Errors, Heard, TcpReplies
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import MSS_BYTES, Key, cookie
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import TCP as TCP_NUMBER
from portulan.target.space import UDP as UDP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.checksum import finish, finish_udp, word_sum
from portulan.wire.frames import Frames
from portulan.wire.header import Packet
from portulan.wire.icmp import ICMP, IcmpType
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.tcp import TCP, TcpFlags, mss, tcp_options
from portulan.wire.udp import UDP

SYN_PORT: Final = 443
ACK_PORT: Final = 80
#: As nmap's users know it: no service is registered there, and hardly one uses it.
UDP_PORT: Final = 40_125
ECHO: Final = (int(IpProtocol.ICMP), int(IcmpType.ECHO))
TIMESTAMP: Final = (int(IpProtocol.ICMP), int(IcmpType.TIMESTAMP))
ECHO6: Final = (int(IpProtocol.ICMPV6), int(Icmp6Type.ECHO))
SYN: Final = (TCP_NUMBER, SYN_PORT)
ACK: Final = (TCP_NUMBER, ACK_PORT)
DATAGRAM: Final = (UDP_NUMBER, UDP_PORT)

#: The probes of each family, as `Space.hosts` takes them.
PROBES: Final = {
    4: (ECHO, TIMESTAMP, SYN, ACK, DATAGRAM), 6: (ECHO6, SYN, ACK, DATAGRAM),
}
#: Echo data: enough for any contact string people use, short enough for every path.
CONTACT_MAX_BYTES: Final = 200
_COOKIE_BYTES: Final = 4

#: Errors that the host itself sends prove that it is there.
_OWN_ERRORS: Final = (Reason.PORT_UNREACH, Reason.PROTO_UNREACH, Reason.ADMIN_PROHIBITED)


class PingKind:
    """Ask whether hosts are up; `sport` is the source port of the first try."""

    silent = State.FILTERED

    def __init__(
        self, space: Space, paths: Paths, *, key: Key, sport: int, contact: bytes = b"",
    ) -> None:
        self.space, self._paths, self._key, self._sport = space, paths, key, sport
        self._contact = contact[:CONTACT_MAX_BYTES]
        self._stamps: dict[tuple[Via, int], Stamp] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes TCP to our source ports, and ICMP."""
        ports = (self._sport, self._sport + TRIES_MAX - 1)
        return replies_filter(
            link_type=link_type, tcp_ports=ports, icmp=True, icmp6=True, arp=False,
        )

    # -- asking ----------------------------------------------------------------------------

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the frames that ask these probes."""
        outgoing = []
        for via, at, probes, macs in split(self.space, self._paths, index):
            where = np.arange(len(index))[at]
            key = probes.protocol.astype(np.uint32) << np.uint32(16) | probes.port
            for one in np.unique(key).tolist():
                chosen = np.flatnonzero(key == one)
                mac = macs if isinstance(macs, int) else macs[chosen]
                rows = self._rows(self._stamp(via, one), probes.take(chosen), mac, try_no=try_no)
                outgoing.append(Outgoing(via.link, rows, where[chosen], via.ethernet))
        return outgoing

    def _stamp(self, via: Via, key: int) -> Stamp:
        if (via, key) not in self._stamps:
            self._stamps[via, key] = Stamp(via, self._message((key >> 16, key & 0xFFFF)))
        return self._stamps[via, key]

    def _message(self, probe: tuple[int, int]) -> Packet:
        if probe == SYN:
            return TCP(sport=self._sport, dport=SYN_PORT, flags="S") / tcp_options(mss(MSS_BYTES))
        if probe == ACK:
            return TCP(sport=self._sport, dport=ACK_PORT, flags="A") / b""
        if probe == DATAGRAM:
            return UDP(sport=self._sport, dport=UDP_PORT) / bytes(_COOKIE_BYTES)
        if probe == TIMESTAMP:
            return ICMP.timestamp()
        return (ICMP.echo() if probe == ECHO else ICMPv6.echo()) / self._contact

    def _rows(
        self, stamp: Stamp, probes: Probes, macs: NDArray[np.uint64] | int, *, try_no: int
    ) -> NDArray[np.uint8]:
        rows, added = stamp.rows(probes, macs)
        if int(probes.protocol[0]) == TCP_NUMBER:
            self._fill_tcp(rows, stamp, probes, added=added, try_no=try_no)
        elif int(probes.protocol[0]) == UDP_NUMBER:
            self._fill_udp(rows, stamp, probes, added=added, try_no=try_no)
        else:
            self._fill_icmp(rows, stamp, probes, added=added, try_no=try_no)
        return rows

    def _fill_tcp(
        self, rows: NDArray[np.uint8], stamp: Stamp, probes: Probes, *, added: Column, try_no: int
    ) -> None:
        sport = self._sport + try_no - 1
        secret = cookie(self._key, probes, sport)
        segment = TCP.view(rows, stamp.transport)
        segment.sport[:] = sport
        segment.seq[:] = secret
        total = added + np.uint64(stamp.transport_sum(TCP) + try_no - 1) + word_sum(secret)
        if int(probes.port[0]) == ACK_PORT:
            # A reset to a stray ACK repeats its acknowledgement number, and nothing else of it.
            segment.ack[:] = secret
            total += word_sum(secret)
        segment.checksum[:] = finish(total)

    def _fill_udp(
        self, rows: NDArray[np.uint8], stamp: Stamp, probes: Probes, *, added: Column, try_no: int
    ) -> None:
        sport = self._sport + try_no - 1
        secret = cookie(self._key, probes, sport)
        datagram = UDP.view(rows, stamp.transport)
        datagram.sport[:] = sport
        at = stamp.transport + UDP.size
        rows[:, at : at + _COOKIE_BYTES] = secret.astype(">u4").view(np.uint8).reshape(-1, 4)
        total = added + np.uint64(stamp.transport_sum(UDP) + try_no - 1) + word_sum(secret)
        datagram.checksum[:] = finish_udp(total)

    def _fill_icmp(
        self, rows: NDArray[np.uint8], stamp: Stamp, probes: Probes, *, added: Column, try_no: int
    ) -> None:
        header = ICMPv6 if stamp.via.family == 6 else ICMP
        message = header.view(rows, stamp.transport)
        identifier, sequence = self._ids(probes, try_no)
        message.id[:], message.seq[:] = identifier, sequence
        # Only ICMPv6 counts the addresses in its checksum (RFC 4443 section 2.3).
        total = np.uint64(stamp.transport_sum(header)) + identifier + sequence
        message.checksum[:] = finish(total + added if stamp.via.family == 6 else total)

    def _ids(self, probes: Probes, try_no: NDArray[np.uint64] | int) -> tuple[Column, Column]:
        secret = cookie(self._key, probes, 0)
        tries = np.asarray(try_no, np.uint64) - np.uint64(1)
        return secret >> np.uint64(16), (secret & np.uint64(0xFFF0)) | tries

    # -- hearing ---------------------------------------------------------------------------

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames: each says that its host is up."""
        heard = Heard(frames)
        return Answers.concat([
            self._read_tcp(heard.tcp()), self._read_icmp(heard),
            *(self._read_errors(heard.errors(number)) for number in (TCP_NUMBER, UDP_NUMBER)),
        ])

    def _read_tcp(self, tcp: TcpReplies) -> Answers:
        try_no = tcp.dport.astype(np.int64) - self._sport + 1
        fits = (try_no >= 1) & (try_no <= TRIES_MAX)
        tcp, try_no = tcp.take(fits), try_no[fits]
        probes = tcp.asked(TCP_NUMBER)
        secret = cookie(self._key, probes, tcp.dport)
        reset = (tcp.flags & TcpFlags.RST) != 0
        accept = (tcp.flags & (TcpFlags.SYN | TcpFlags.ACK)) == TcpFlags.SYN | TcpFlags.ACK
        next_ = (secret + np.uint64(1)) & np.uint64(0xFFFF_FFFF)
        to_syn = (tcp.sport == SYN_PORT) & (reset | accept) & (tcp.ack == next_)
        to_ack = (tcp.sport == ACK_PORT) & reset & (tcp.seq == secret)
        index = find(self.space, probes)
        ours = (to_syn | to_ack) & (index >= 0)
        reason = np.where(accept & ~reset, Reason.SYN_ACK, Reason.RESET).astype(np.uint8)
        return Answers.of(
            index[ours], state=State.UP, reason=reason[ours], ttl=tcp.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=tcp.time_ns[ours], row=tcp.row[ours],
        )

    def _read_icmp(self, heard: Heard) -> Answers:
        found = []
        for family, reply, (protocol, asked), reason in _REPLIES:
            icmp = heard.icmp(family, reply)
            probes = icmp.probes(protocol, asked)
            try_no = (icmp.seq & np.uint64(15)) + np.uint64(1)
            identifier, sequence = self._ids(probes, try_no)
            index = find(self.space, probes)
            ours = (index >= 0) & (icmp.id == identifier) & (icmp.seq == sequence)
            found.append(Answers.of(
                index[ours], state=State.UP, reason=reason, ttl=icmp.ttl[ours],
                try_no=try_no[ours].astype(np.uint8), time_ns=icmp.time_ns[ours],
                row=icmp.row[ours],
            ))
        return Answers.concat(found)

    def _read_errors(self, error: Errors) -> Answers:
        try_no = error.sport.astype(np.int64) - self._sport + 1
        index = find(self.space, error.probes)
        ours = (index >= 0) & (try_no >= 1) & (try_no <= TRIES_MAX) & _own(error)
        error, index, try_no = error.take(ours), index[ours], try_no[ours]
        ours = error.word == self._words(error.probes, index, try_no)
        return Answers.of(
            index[ours], state=State.UP, reason=error.reason[ours], ttl=error.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=error.time_ns[ours], row=error.row[ours],
        )

    def _words(
        self, probes: Probes, index: NDArray[np.int64], try_no: NDArray[np.int64]
    ) -> Column:
        """Return the 32 bits by which each probe is known: TCP's cookie, UDP's size and sum."""
        words = cookie(self._key, probes, (self._sport + try_no - 1).astype(np.uint64))
        udp = np.flatnonzero(probes.protocol == UDP_NUMBER)
        for one in np.unique(try_no[udp]).tolist():
            chosen = udp[try_no[udp] == one]
            for out in self.build(index[chosen], one):
                word = out.rows[:, -UDP.size - _COOKIE_BYTES :][:, 4:8]
                words[chosen[out.at]] = word.copy().view(">u4")[:, 0]
        return words


def _own(error: Errors) -> NDArray[np.bool_]:
    itself: NDArray[np.bool_] = (error.from_lo == error.probes.lo) & (
        error.from_hi == error.probes.hi
    )
    return itself & np.isin(error.reason, _OWN_ERRORS)


#: (family, message type of the reply, probe it answers, reason)
_REPLIES: Final = (
    (4, IcmpType.ECHO_REPLY, ECHO, Reason.ECHO_REPLY),
    (4, IcmpType.TIMESTAMP_REPLY, TIMESTAMP, Reason.TIMESTAMP_REPLY),
    (6, Icmp6Type.ECHO_REPLY, ECHO6, Reason.ECHO_REPLY),
)
