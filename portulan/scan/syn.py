"""The half-open probe: a TCP SYN whose sequence number proves that a reply is one to us.

The number is a keyed hash of both addresses' and ports' columns (SipHash), so a reply is checked
without a table. The source port tells the try, which gives exact round trips to retries too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Instruction, Outgoing, Stamp, find, split
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import TCP as TCP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.checksum import finish, word_sum
from portulan.wire.cookie import SIPHASH_1_3, siphash
from portulan.wire.frames import Frames
from portulan.wire.tcp import TCP, TcpFlags, mss, tcp_options

#: What a host of Ethernet's MTU announces; some middleboxes drop a SYN without the option.
MSS_BYTES = 1460

Key = tuple[int, int]
_LOW_32 = np.uint64(0xFFFF_FFFF)


class SynKind:
    """Ask TCP ports by SYN; `sport` is the source port of the first try."""

    silent = State.FILTERED

    def __init__(self, space: Space, paths: Paths, *, key: Key, sport: int) -> None:
        self.space, self._paths, self._key, self._sport = space, paths, key, sport
        self._stamps: dict[Via, Stamp] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes TCP to our source ports, and ICMP."""
        ports = (self._sport, self._sport + TRIES_MAX - 1)
        return replies_filter(
            link_type=link_type, tcp_ports=ports, icmp=True, icmp6=True, arp=False,
        )

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the SYNs that ask these probes."""
        return [
            Outgoing(via.link, self._rows(via, probes, macs, try_no=try_no), at, via.ethernet)
            for via, at, probes, macs in split(self.space, self._paths, index)
        ]

    def _stamp(self, via: Via) -> Stamp:
        if via not in self._stamps:
            segment = TCP(sport=self._sport, flags="S") / tcp_options(mss(MSS_BYTES))
            self._stamps[via] = Stamp(via, segment)
        return self._stamps[via]

    def _rows(
        self, via: Via, probes: Probes, macs: NDArray[np.uint64] | int, *, try_no: int
    ) -> NDArray[np.uint8]:
        stamp = self._stamp(via)
        rows, added = stamp.rows(probes, macs)
        sport = self._sport + try_no - 1
        seq = self._cookie(probes, sport)
        segment = TCP.view(rows, stamp.transport)
        segment.sport[:], segment.dport[:], segment.seq[:] = sport, probes.port, seq
        added += np.uint64(stamp.transport_sum(TCP) + try_no - 1)
        added += probes.port
        added += word_sum(seq)
        segment.checksum[:] = finish(added)
        return rows

    def _cookie(self, probes: Probes, sport: NDArray[np.uint16] | int) -> NDArray[np.uint64]:
        return cookie(self._key, probes, sport)

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames."""
        heard = Heard(frames)
        return Answers.concat([self._read_tcp(heard), self._read_errors(heard)])

    def _read_tcp(self, heard: Heard) -> Answers:
        tcp = heard.tcp()
        flags = tcp.flags
        reset = (flags & TcpFlags.RST) != 0
        both = TcpFlags.SYN | TcpFlags.ACK
        accept = ~reset & ((flags & both) == both)
        try_no = tcp.dport.astype(np.int64) - self._sport + 1
        fits = (reset | accept) & (try_no >= 1) & (try_no <= TRIES_MAX)
        tcp, try_no, accept = tcp.take(fits), try_no[fits], accept[fits]
        probes = tcp.asked(TCP_NUMBER)
        index = find(self.space, probes)
        expected = (self._cookie(probes, tcp.dport) + np.uint64(1)) & np.uint64(0xFFFF_FFFF)
        # Some old stacks acknowledge a refused SYN without counting it (seen by every scanner).
        proven = (tcp.ack == expected) | (~accept & (tcp.ack + np.uint64(1) == expected))
        ours = proven & (index >= 0)
        return Answers.of(
            index[ours],
            state=np.where(accept, State.OPEN, State.CLOSED)[ours].astype(np.uint8),
            reason=np.where(accept, Reason.SYN_ACK, Reason.RESET)[ours].astype(np.uint8),
            ttl=tcp.ttl[ours], try_no=try_no[ours].astype(np.uint8),
            time_ns=tcp.time_ns[ours], row=tcp.row[ours],
        )

    def _read_errors(self, heard: Heard) -> Answers:
        error = heard.errors(TCP_NUMBER)
        if not len(error.row):
            return Answers.none()
        index = find(self.space, error.probes)
        try_no = error.sport.astype(np.int64) - self._sport + 1
        ours = (index >= 0) & (try_no >= 1) & (try_no <= TRIES_MAX)
        ours &= error.word == self._cookie(error.probes, error.sport)
        return Answers.of(
            index[ours], state=State.FILTERED, reason=error.reason[ours], ttl=error.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=error.time_ns[ours],
            row=error.row[ours], soft=True,
        )


def cookie(key: Key, probes: Probes, sport: NDArray[np.uint16] | int) -> NDArray[np.uint64]:
    """Return 32 bits that only we can know for a probe and its source port.

    SipHash-1-3, not 2-4: a key lives for one run, forging a reply takes guessing 32 bits within
    it, and hashing is the largest part of building a probe.
    """
    ports = (probes.port.astype(np.uint64) << np.uint64(16)) | np.asarray(sport, np.uint64)
    six = probes.family == 6
    short = (probes.lo << np.uint64(32)) | ports
    if not six.any():
        return siphash(key, short, rounds=SIPHASH_1_3) & _LOW_32
    long = siphash(key, probes.hi, probes.lo, ports, rounds=SIPHASH_1_3) & _LOW_32
    if six.all():
        return long
    return np.where(six, long, siphash(key, short, rounds=SIPHASH_1_3) & _LOW_32)
