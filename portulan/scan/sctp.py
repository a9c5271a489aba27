"""Ask SCTP ports by INIT, half open as the SYN scan: the initiate tag proves that a reply is ours.

The verdict table is RFC 9260 sections 5.1 and 8.4: whoever listens answers INIT ACK (`open`),
whoever does not answers ABORT (`closed`); both carry our initiate tag as their verification tag. A
stack that reflects the packet's own tag instead (0 for an INIT), with the T bit set, proves nothing
and is not believed. The target's own word that it has no SCTP at all (ICMP protocol unreachable,
ICMPv6 unrecognized next header) makes all its ports `closed`, where nmap says `filtered`; a
firewall that lies so about some ports only is believed. Every other ICMP error, and silence, is
`filtered`. An ICMP error counts if it quotes our initiate tag (RFC 9260 section
10); those that quote 8 octets only say nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Column, Instruction, Outgoing, Stamp, find, split
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import Key, cookie
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import SCTP as SCTP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.crc32c import crc32c_rows
from portulan.wire.frames import Frames
from portulan.wire.header import Packet
from portulan.wire.sctp import SCTP

#: Chunk types (RFC 9260 section 3.2).
INIT, INIT_ACK, ABORT = 1, 2, 6
#: Where an INIT's initiate tag lies in its packet.
TAG_AT: Final = SCTP.size + 4
#: What an INIT offers: window, streams out and in, first transmission number (section 3.3.2).
_OFFER: Final = (65_535, 1, 1, 1)


class SctpKind:
    """Ask SCTP ports by INIT; `sport` is the source port of the first try."""

    silent = State.FILTERED

    def __init__(self, space: Space, paths: Paths, *, key: Key, sport: int) -> None:
        self.space, self._paths, self._key, self._sport = space, paths, key, sport
        self._stamps: dict[Via, Stamp] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes SCTP to our source ports, and ICMP."""
        ports = (self._sport, self._sport + TRIES_MAX - 1)
        return replies_filter(link_type=link_type, sctp_ports=ports, icmp=True, icmp6=True)

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the INITs that ask these probes."""
        return [
            Outgoing(via.link, self._rows(via, probes, macs, try_no=try_no), at, via.ethernet)
            for via, at, probes, macs in split(self.space, self._paths, index)
        ]

    def _rows(
        self, via: Via, probes: Probes, macs: NDArray[np.uint64] | int, *, try_no: int
    ) -> NDArray[np.uint8]:
        if via not in self._stamps:
            self._stamps[via] = Stamp(via, init_packet())
        stamp = self._stamps[via]
        rows, _ = stamp.rows(probes, macs)
        sport = self._sport + try_no - 1
        packet = SCTP.view(rows, stamp.transport)
        packet.sport[:], packet.dport[:] = sport, probes.port
        stamp_init(rows, stamp.transport, self._tag(probes, sport))
        return rows

    def _tag(self, probes: Probes, sport: NDArray[np.uint16] | int) -> Column:
        return initiate_tag(self._key, probes, sport)

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames."""
        heard = Heard(frames)
        return Answers.concat([self._read_sctp(heard), self._read_errors(heard)])

    def _read_sctp(self, heard: Heard) -> Answers:
        sctp = heard.sctp()
        accept = sctp.chunk == INIT_ACK
        try_no = sctp.dport.astype(np.int64) - self._sport + 1
        fits = (accept | (sctp.chunk == ABORT)) & (try_no >= 1) & (try_no <= TRIES_MAX)
        sctp, try_no, accept = sctp.take(fits), try_no[fits], accept[fits]
        probes = sctp.asked(SCTP_NUMBER)
        index = find(self.space, probes)
        ours = (index >= 0) & (sctp.tag == self._tag(probes, sctp.dport))
        return Answers.of(
            index[ours],
            state=np.where(accept, State.OPEN, State.CLOSED)[ours].astype(np.uint8),
            reason=np.where(accept, Reason.INIT_ACK, Reason.ABORT)[ours].astype(np.uint8),
            ttl=sctp.ttl[ours], try_no=try_no[ours].astype(np.uint8),
            time_ns=sctp.time_ns[ours], row=sctp.row[ours],
        )

    def _read_errors(self, heard: Heard) -> Answers:
        error = heard.errors(SCTP_NUMBER, word_at=TAG_AT)
        index = find(self.space, error.probes)
        try_no = error.sport.astype(np.int64) - self._sport + 1
        ours = (index >= 0) & (try_no >= 1) & (try_no <= TRIES_MAX)
        ours &= error.word == self._tag(error.probes, error.sport)
        error, index, try_no = error.take(ours), index[ours], try_no[ours]
        closed = error.own & (error.reason == Reason.PROTO_UNREACH)
        told = Answers.of(
            index, state=np.where(closed, State.CLOSED, State.FILTERED).astype(np.uint8),
            reason=error.reason, ttl=error.ttl, try_no=try_no.astype(np.uint8),
            time_ns=error.time_ns, row=error.row, soft=~closed,
        )
        return Answers.concat([told, self._other_ports(told.take(closed))])

    def _other_ports(self, told: Answers) -> Answers:
        """Return what hosts without SCTP say of their other ports: one error is about all of them.

        To hear it for each would take a second a port: such errors are limited.
        """
        hosts, first = np.unique(self.space.host_of(told.index), return_index=True)
        found = []
        for host, row in zip(hosts.tolist(), first.tolist(), strict=True):
            start, count = self.space.host_span(host)
            index = np.setdiff1d(np.arange(start, start + count), told.index)
            found.append(Answers.of(
                index, state=State.CLOSED, reason=Reason.PROTO_UNREACH, ttl=int(told.ttl[row]),
                time_ns=int(told.time_ns[row]),
            ))
        return Answers.concat(found)


def init_packet() -> Packet:
    """Return a packet with an INIT, without its ports, tag and checksum."""
    return SCTP() / struct.pack(">BBHIIHHI", INIT, 0, 20, 0, *_OFFER)


def initiate_tag(key: Key, probes: Probes, sport: NDArray[np.uint16] | int) -> Column:
    """Return each probe's initiate tag: its cookie, which must not be 0 (section 3.3.2)."""
    return np.maximum(cookie(key, probes, sport), np.uint64(1))


def stamp_init(rows: NDArray[np.uint8], transport: int, tag: Column) -> None:
    """Write initiate tags and checksums into rows whose INIT begins at `transport`."""
    at = transport + TAG_AT
    rows[:, at : at + 4] = tag.astype(">u4").view(np.uint8).reshape(-1, 4)
    view = SCTP.view(rows, transport)
    view.checksum[:] = 0  # the sum is made over zeros, and a template has one of its own
    view.checksum[:] = crc32c_rows(rows, transport).byteswap()
