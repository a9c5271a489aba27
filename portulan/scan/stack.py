"""Ask a host's TCP/IP stack: questions that standards leave open, so that systems differ.

The questions are those that Fyodor published as nmap's second-generation tests; their names are
kept, since people know them. Each is a probe of the space under a protocol number of its own, and
has a source port of its own: a reply's destination port says which test and which try it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Instruction, Outgoing, split
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Errors, Heard
from portulan.scan.syn import Key, cookie
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.craft import refresh
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames
from portulan.wire.header import Header, Packet
from portulan.wire.icmp import ICMP
from portulan.wire.icmpv6 import ICMPv6
from portulan.wire.ipv4 import IpProtocol, IPv4
from portulan.wire.ipv6 import IPv6
from portulan.wire.tcp import (
    EOL,
    NOP,
    SACK_OK,
    TCP,
    TcpFlags,
    mss,
    tcp_options,
    timestamps,
    wscale,
)
from portulan.wire.udp import UDP

QUESTION: Final = 253
"""The protocol number of these probes in a space: one for experiments (RFC 3692 section 2.1)."""
TRIES: Final = 4
"""Tries that have a source port each; later ones share the last."""
NAME_BITS: Final = 2
UDP_BODY: Final = b"C" * 300
"""Long enough to see how much of it an error quotes."""
ECHO_SEQ: Final = 295


class Test(IntEnum):
    """One question."""

    __test__ = False  # pytest takes it for a test of ours

    SEQ1 = 1
    SEQ2 = 2
    SEQ3 = 3
    SEQ4 = 4
    SEQ5 = 5
    SEQ6 = 6
    ECN = 7
    T2 = 8
    T3 = 9
    T4 = 10
    T5 = 11
    T6 = 12
    T7 = 13
    IE1 = 14
    IE2 = 15
    U1 = 16


SEQUENCE: Final = (Test.SEQ1, Test.SEQ2, Test.SEQ3, Test.SEQ4, Test.SEQ5, Test.SEQ6)
"""Asked one after the other, so that counters and clocks show how they run."""
OPEN: Final = (*SEQUENCE, Test.ECN, Test.T2, Test.T3, Test.T4)
"""Asked of an open TCP port."""
CLOSED: Final = (Test.T5, Test.T6, Test.T7)
"""Asked of a closed TCP port."""
ECHO: Final = (Test.IE1, Test.IE2)
ONCE: Final = tuple(test for test in Test if test not in SEQUENCE)
"""Asked together."""

_ODD = timestamps(0xFFFF_FFFF), SACK_OK
_USUAL: Final = (wscale(10), NOP, mss(265), *_ODD)


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP question: flags, window, options, and whether it may be fragmented."""

    flags: str
    window: int
    options: tuple[bytes, ...]
    dont_fragment: bool = True
    urgent: int = 0


TCP_TESTS: Final = {
    Test.SEQ1: Segment("S", 1, (wscale(10), NOP, mss(1460), *_ODD)),
    Test.SEQ2: Segment("S", 63, (mss(1400), wscale(0), SACK_OK, _ODD[0], EOL)),
    Test.SEQ3: Segment("S", 4, (_ODD[0], NOP, NOP, wscale(5), NOP, mss(640))),
    Test.SEQ4: Segment("S", 4, (SACK_OK, _ODD[0], wscale(10), EOL)),
    Test.SEQ5: Segment("S", 16, (mss(536), SACK_OK, _ODD[0], wscale(10), EOL)),
    Test.SEQ6: Segment("S", 512, (mss(265), SACK_OK, _ODD[0])),
    Test.ECN: Segment("SEC", 3, (wscale(10), NOP, mss(1460), SACK_OK, NOP, NOP), urgent=0xF7F5),
    Test.T2: Segment("", 128, _USUAL),
    Test.T3: Segment("SFUP", 256, _USUAL, dont_fragment=False),
    Test.T4: Segment("A", 1024, _USUAL),
    Test.T5: Segment("S", 31_337, _USUAL, dont_fragment=False),
    Test.T6: Segment("A", 32_768, _USUAL),
    Test.T7: Segment("FPU", 65_535, (wscale(15), NOP, mss(265), *_ODD), dont_fragment=False),
}


def questions(*, family: int, is_open: bool) -> tuple[int, ...]:
    """Return the tests that a host can be asked, as keys of a segment of a space."""
    tests = [*(OPEN if is_open else ()), *CLOSED, *ECHO, Test.U1]
    chosen = [test for test in tests if family == 4 or test != Test.IE2]
    return tuple(QUESTION << 16 | test for test in sorted(chosen))


@dataclass(frozen=True, slots=True, eq=False)
class Doors:
    """Whom to ask: a column each of an open and a closed TCP port and a closed UDP port a host."""

    open: NDArray[np.uint16]
    closed: NDArray[np.uint16]
    udp: NDArray[np.uint16]

    def of(self, host: NDArray[np.int64], test: int) -> NDArray[np.uint16]:
        """Return the port that a test asks, for each of some hosts; 0 for ICMP."""
        if test in OPEN:
            return self.open[host]
        if test in CLOSED:
            return self.closed[host]
        return self.udp[host] if test == Test.U1 else np.zeros(len(host), np.uint16)


class StackKind:
    """Ask stacks; `sport` is the first of `SPORTS` source ports."""

    SPORTS = (max(Test) + 1) << NAME_BITS
    silent = State.FILTERED

    def __init__(
        self, space: Space, paths: Paths, *, key: Key, sport: int, doors: Doors,
    ) -> None:
        self.space, self._paths, self._key = space, paths, key
        self._sport, self._doors = sport, doors
        self._made: dict[tuple[Via, int], tuple[Packet, NDArray[np.uint8]]] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes TCP to our source ports, and ICMP."""
        ports = (self._sport, self._sport + self.SPORTS - 1)
        return replies_filter(link_type=link_type, tcp_ports=ports, icmp=True, icmp6=True)

    # -- asking ----------------------------------------------------------------------------

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the frames that ask these questions."""
        outgoing = []
        for via, at, probes, macs in split(self.space, self._paths, index):
            where = np.arange(len(index))[at]
            for test in np.unique(probes.port).tolist():
                chosen = np.flatnonzero(probes.port == test)
                mac = macs if isinstance(macs, int) else macs[chosen]
                host = self.space.host_of(index[where[chosen]])
                rows = self._rows(via, test, probes.take(chosen), host, mac=mac, try_no=try_no)
                outgoing.append(Outgoing(via.link, rows, where[chosen], via.ethernet))
        return outgoing

    def _rows(
        self, via: Via, test: int, probes: Probes, host: NDArray[np.int64], *,
        mac: NDArray[np.uint64] | int, try_no: int,
    ) -> NDArray[np.uint8]:
        packet, row = self._template(via, test)
        rows = np.tile(row, (len(probes), 1))
        at = Ethernet.size if via.ethernet else 0
        if via.ethernet:
            Ethernet.view(rows).dst[:] = mac
        if via.family == 4:
            IPv4.view(rows, at).dst[:] = probes.lo
            at += IPv4.size
        else:
            six = IPv6.view(rows, at)
            six.dst_hi[:], six.dst_lo[:] = probes.hi, probes.lo
            at += IPv6.size
        secret, sport = cookie(self._key, probes, 0), self._port(test, try_no)
        if test in TCP_TESTS:
            segment = TCP.view(rows, at)
            segment.sport[:], segment.dport[:] = sport, self._doors.of(host, test)
            segment.seq[:] = secret
            if TCP_TESTS[Test(test)].flags == "A":
                segment.ack[:] = secret
        elif test == Test.U1:
            datagram = UDP.view(rows, at)
            datagram.sport[:], datagram.dport[:] = sport, self._doors.of(host, test)
        else:
            echo = (ICMP if via.family == 4 else ICMPv6).view(rows, at)
            echo.id[:] = secret & np.uint64(0xFFFF)
        refresh(rows, packet)
        return rows

    def _template(self, via: Via, test: int) -> tuple[Packet, NDArray[np.uint8]]:
        if (via, test) not in self._made:
            packet = _network(via, test) / _transport(via.family, test)
            if via.ethernet:
                source = int.from_bytes(via.source_mac, "big")
                packet = Ethernet(dst=via.next_mac, src=source) / packet
            self._made[via, test] = packet, np.frombuffer(packet.pack(), np.uint8)
        return self._made[via, test]

    def _port(self, test: int, try_no: int) -> int:
        return self._sport + (test << NAME_BITS) + min(try_no, TRIES) - 1

    # -- hearing ---------------------------------------------------------------------------

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames."""
        heard = Heard(frames)
        return Answers.concat([
            self._read_tcp(heard), self._read_echo(heard, 4), self._read_echo(heard, 6),
            self._read_errors(heard),
        ])

    def _read_tcp(self, heard: Heard) -> Answers:
        tcp = heard.tcp()
        test, try_no = self._asked(tcp.dport)
        index = self._find(tcp.family, tcp.hi, tcp.lo, test=test)
        known = index >= 0
        tcp, test, index, try_no = tcp.take(known), test[known], index[known], try_no[known]
        host = self.space.host_of(index)
        port = np.zeros(len(test), np.uint16)
        for one in np.unique(test).tolist():
            port[test == one] = self._doors.of(host[test == one], one)
        secret = cookie(self._key, self.space.probes(index), 0)
        both = TcpFlags.SYN | TcpFlags.ACK
        accept = (tcp.flags & (both | TcpFlags.RST)) == both
        counted = (tcp.ack - secret) & np.uint64(0xFFFF_FFFF)
        # An acceptance counts our SYN. What a reset counts differs from stack to stack, which is
        # what is asked: it proves itself by our port alone, and by being one.
        reset = (tcp.flags & TcpFlags.RST) != 0
        ours = (tcp.sport == port) & (reset | (accept & (counted <= np.uint64(1))))
        reason = np.where(accept, Reason.SYN_ACK, Reason.RESET).astype(np.uint8)
        return Answers.of(
            index[ours], state=State.UP, reason=reason[ours], ttl=tcp.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=tcp.time_ns[ours], row=tcp.row[ours],
        )

    def _read_echo(self, heard: Heard, family: int) -> Answers:
        icmp = heard.icmp(family, 0 if family == 4 else 129)
        test = icmp.seq.astype(np.int64) - ECHO_SEQ + Test.IE1
        index = self._find(np.full(len(test), family, np.uint8), icmp.hi, icmp.lo, test=test)
        known = index >= 0
        icmp, index = icmp.take(known), index[known]
        secret = cookie(self._key, self.space.probes(index), 0)
        ours = icmp.id == (secret & np.uint64(0xFFFF))
        return Answers.of(
            index[ours], state=State.UP, reason=Reason.ECHO_REPLY, ttl=icmp.ttl[ours],
            time_ns=icmp.time_ns[ours], row=icmp.row[ours],
        )

    def _read_errors(self, heard: Heard) -> Answers:
        error: Errors = heard.errors(IpProtocol.UDP)
        test, try_no = self._asked(error.sport)
        probes = error.probes
        index = self._find(probes.family, probes.hi, probes.lo, test=test)
        ours = (index >= 0) & (test == Test.U1) & error.own
        ours &= error.reason == Reason.PORT_UNREACH
        return Answers.of(
            index[ours], state=State.UP, reason=Reason.PORT_UNREACH, ttl=error.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=error.time_ns[ours],
            row=error.row[ours],
        )

    def _asked(self, port: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return test and try of each of our source ports; test 0 for ports not ours."""
        number = port.astype(np.int64) - self._sport
        inside = (number >= 0) & (number < self.SPORTS)
        return np.where(inside, number >> NAME_BITS, 0), (number & (TRIES - 1)) + 1

    def _find(
        self, family: NDArray[np.uint8], hi: NDArray[np.uint64], lo: NDArray[np.uint64], *,
        test: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        named = (test > 0) & (test <= max(Test))
        return self.space.index_of(
            family, hi, lo, np.where(named, test, 0).astype(np.uint16),
            np.full(len(test), QUESTION, np.uint8),
        )


def _network(via: Via, test: int) -> Header:
    """Return the header of IP, with the service and fragment bits that the test asks about."""
    if via.family == 6:
        return IPv6(src=via.source)
    fragment = test in TCP_TESTS and not TCP_TESTS[Test(test)].dont_fragment
    fragment |= test in (Test.IE2, Test.U1)
    return IPv4(
        src=via.source, flags=0 if fragment else 2, identification=0x1042,
        dscp=1 if test == Test.IE2 else 0)


def _transport(family: int, test: int) -> Packet:
    if test in TCP_TESTS:
        asked = TCP_TESTS[Test(test)]
        header = TCP(flags=asked.flags, window=asked.window, urgent=asked.urgent)
        return header / tcp_options(*asked.options)
    if test == Test.U1:
        return UDP() / UDP_BODY
    echo: ICMP | ICMPv6 = ICMP.echo() if family == 4 else ICMPv6.echo()
    # Code 9 means nothing in an echo request: some return it, some put 0.
    code = 9 if test == Test.IE1 else 0
    return echo.replace(code=code, seq=ECHO_SEQ + test - Test.IE1) / bytes(
        120 if test == Test.IE1 else 150)
