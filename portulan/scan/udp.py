"""Ask UDP ports: each in the protocol that is spoken there.

A datagram back is `open`; the target's own ICMP port unreachable is `closed` (RFC 1122 section
4.1.3.1); any other ICMP error, and anybody else's, is `filtered`; silence cannot tell a service
that disliked the question from a filter. What proves a reply: address, port, and our source port,
which tells the try, and the cookie where the protocol echoes an id. What proves an ICMP error: the
length and checksum of the datagram it quotes, which cover that cookie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Column, Instruction, Outgoing, Stamp, find, split
from portulan.scan.paths import Paths, Via
from portulan.scan.payloads import ANYWHERE, BY_PORT, PAYLOADS, UNKNOWN, Mark
from portulan.scan.replies import Heard, UdpReplies
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import Key, cookie
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import UDP as UDP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.bpf import replies_filter
from portulan.wire.checksum import finish_udp, sum_rows, word_sum
from portulan.wire.frames import Frames
from portulan.wire.udp import UDP

#: How far into a reply an id is looked for: past the headers of every text protocol asked.
SEARCHED_BYTES: Final = 512

#: RFC 1350 section 4: a server answers from a port chosen for the transfer. DATA, ERROR, OACK.
TFTP_PORT: Final = 69
TFTP_REPLIES: Final = (3, 5, 6)

#: How often a port is open, and its service silent to what we ask, where we know its protocol and
#: where we don't: guesses that order ports rather than measure them.
OPEN_KNOWN, MUTE_KNOWN = 0.05, 0.3
OPEN_UNKNOWN, MUTE_UNKNOWN = 0.005, 0.9

_DIGITS: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_LOW_64: Final = (1 << 64) - 1

Index = NDArray[np.int64]


class UdpKind:
    """Ask UDP ports; `sport` is the source port of the first try.

    `errors_proven`: the kernel has matched ICMP errors to a socket of ours.
    """

    silent = State.OPEN_FILTERED

    def __init__(
        self, space: Space, paths: Paths, *, key: Key, sport: int, errors_proven: bool = False,
    ) -> None:
        self.space, self._paths, self._key, self._sport = space, paths, key, sport
        self._errors_proven = errors_proven
        self._stamps: dict[tuple[Via, int], Stamp] = {}

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes UDP to our source ports, and ICMP."""
        ports = (self._sport, self._sport + TRIES_MAX - 1)
        return replies_filter(
            link_type=link_type, udp_ports=ports, icmp=True, icmp6=True, arp=False,
        )

    # -- asking ----------------------------------------------------------------------------

    def build(self, index: Index, try_no: int) -> list[Outgoing]:
        """Return the datagrams that ask these probes, those of one payload together."""
        return [
            Outgoing(stamp.via.link, rows, at, stamp.via.ethernet)
            for stamp, rows, at in self._built(index, try_no)
        ]

    def _built(
        self, index: Index, try_no: int
    ) -> Iterator[tuple[Stamp, NDArray[np.uint8], Index]]:
        for via, at, probes, macs in split(self.space, self._paths, index):
            where = np.arange(len(index))[at]
            number = payload_number(probes.port, try_no)
            for one in np.unique(number).tolist():
                chosen = np.flatnonzero(number == one)
                mac = macs if isinstance(macs, int) else macs[chosen]
                stamp = self._stamp(via, one)
                rows = self._rows(stamp, probes.take(chosen), mac, number=one, try_no=try_no)
                yield stamp, rows, where[chosen]

    def _stamp(self, via: Via, number: int) -> Stamp:
        if (via, number) not in self._stamps:
            self._stamps[via, number] = Stamp(
                via, UDP(sport=self._sport) / PAYLOADS[number].body)
        return self._stamps[via, number]

    def _rows(
        self, stamp: Stamp, probes: Probes, macs: NDArray[np.uint64] | int, *,
        number: int, try_no: int,
    ) -> NDArray[np.uint8]:
        rows, added = stamp.rows(probes, macs)
        sport = self._sport + try_no - 1
        datagram = UDP.view(rows, stamp.transport)
        datagram.sport[:], datagram.dport[:], datagram.checksum[:] = sport, probes.port, 0
        mark = PAYLOADS[number].mark
        if mark is not None:
            start = stamp.transport + UDP.size + mark.at
            rows[:, start : start + mark.width] = self._id(mark, probes, sport)
        pseudo = word_sum(stamp.via.source & _LOW_64) + word_sum(stamp.via.source >> 64)
        pseudo += UDP_NUMBER + len(stamp.row) - stamp.transport
        datagram.checksum[:] = finish_udp(
            added + sum_rows(rows, stamp.transport) + np.uint64(pseudo))
        return rows

    def _id(
        self, mark: Mark, probes: Probes, sport: NDArray[np.uint16] | int
    ) -> NDArray[np.uint8]:
        """Return the octets of each probe's id: its cookie, as often as it fits."""
        secret = cookie(self._key, probes, sport)
        return id_octets(secret, mark)

    # -- hearing ---------------------------------------------------------------------------

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames."""
        heard = Heard(frames)
        return Answers.concat([self._read_udp(heard), self._read_errors(heard)])

    def _read_udp(self, heard: Heard) -> Answers:
        udp = heard.udp()
        try_no = udp.dport.astype(np.int64) - self._sport + 1
        fits = (try_no >= 1) & (try_no <= TRIES_MAX)
        udp, try_no = udp.take(fits), try_no[fits]
        probes = udp.asked(UDP_NUMBER)
        index = find(self.space, probes)
        if (index < 0).any():
            probes = _from_aside(heard, udp, probes, index < 0)
            index = find(self.space, probes)
        ours = index >= 0
        ours[ours] = self._proven(heard, udp.take(ours), probes.take(ours), try_no[ours])
        return Answers.of(
            index[ours], state=State.OPEN, reason=Reason.UDP_RESPONSE, ttl=udp.ttl[ours],
            try_no=try_no[ours].astype(np.uint8), time_ns=udp.time_ns[ours], row=udp.row[ours],
        )

    def _proven(
        self, heard: Heard, udp: UdpReplies, probes: Probes, try_no: Index
    ) -> NDArray[np.bool_]:
        """Tell replies that echo our id, or answer a question that has none."""
        proven = np.ones(len(udp.row), np.bool_)
        number = payload_number(probes.port, try_no)
        for one in np.unique(number).tolist():
            mark = PAYLOADS[one].mark
            if mark is not None:
                here = np.flatnonzero(number == one)
                some = udp.take(here)
                wanted = self._id(mark, probes.take(here), some.dport)
                proven[here] = echoes(heard, some, wanted, mark.echo)
        return proven

    def _read_errors(self, heard: Heard) -> Answers:
        error = heard.errors(UDP_NUMBER)
        index = find(self.space, error.probes)
        try_no = error.sport.astype(np.int64) - self._sport + 1
        ours = (index >= 0) & (try_no >= 1) & (try_no <= TRIES_MAX)
        error, index, try_no = error.take(ours), index[ours], try_no[ours]
        if not self._errors_proven:
            ours = error.word == self._words(index, try_no)
            error, index, try_no = error.take(ours), index[ours], try_no[ours]
        closed = error.own & (error.reason == Reason.PORT_UNREACH)
        return Answers.of(
            index, state=np.where(closed, State.CLOSED, State.FILTERED).astype(np.uint8),
            reason=error.reason, ttl=error.ttl, try_no=try_no.astype(np.uint8),
            time_ns=error.time_ns, row=error.row, soft=~closed,
        )

    def _words(self, index: Index, try_no: Index) -> Column:
        """Return length and checksum of each probe as it left, as one 32-bit word."""
        words = np.full(len(index), _LOW_64, np.uint64)
        for one in np.unique(try_no).tolist():
            here = np.flatnonzero(try_no == one)
            for stamp, rows, at in self._built(index[here], one):
                datagram = UDP.view(rows, stamp.transport)
                length = datagram.length.astype(np.uint64) << np.uint64(16)
                words[here[at]] = length | datagram.checksum
        return words


def _from_aside(
    heard: Heard, udp: UdpReplies, probes: Probes, strange: NDArray[np.bool_]
) -> Probes:
    """Return the probes that datagrams answer: TFTP answers from a port of its own choice."""
    opcode = np.zeros((len(udp.row), 2), np.uint8)
    whole = strange & (udp.size >= 2)
    opcode[whole] = heard.octets(udp.at[whole], 2)
    aside = (opcode[:, 0] == 0) & np.isin(opcode[:, 1], TFTP_REPLIES)
    return replace(probes, port=np.where(aside, np.uint16(TFTP_PORT), probes.port))


def payload_number(port: NDArray[np.uint16], try_no: Index | int) -> Index:
    """Return which of `PAYLOADS` asks each port at this try; they take turns."""
    turn = (np.asarray(try_no, np.int64) - 1) % _COUNT[port]
    number: Index = _ORDER[_FIRST[port] + turn]
    return number


def id_octets(secret: Column, mark: Mark) -> NDArray[np.uint8]:
    """Return each secret as `mark.width` octets: big-endian, or as hexadecimal digits."""
    word = secret.astype(">u4").view(np.uint8).reshape(-1, 4)
    if mark.hexadecimal:
        word = _DIGITS[np.stack([word >> 4, word & 15], axis=2).reshape(-1, 8)]
    # Short ids are the low end, which every bit of the hash reaches as well.
    repeated = np.tile(word, (1, -(-mark.width // word.shape[1])))
    return repeated[:, repeated.shape[1] - mark.width :]


def echoes(
    heard: Heard, udp: UdpReplies, wanted: NDArray[np.uint8], echo: int
) -> NDArray[np.bool_]:
    """Tell replies that have the wanted octets at an offset, or `ANYWHERE` near their start."""
    width = wanted.shape[1]
    start = np.zeros(1, np.int64) + max(echo, 0)
    if echo == ANYWHERE:
        start = np.arange(SEARCHED_BYTES - width + 1)
    at = udp.at[:, None] + start
    same = start + width <= udp.size[:, None]
    buffer = heard.frames.buffer
    for octet in range(width):
        same &= buffer[np.minimum(at + octet, len(buffer) - 1)] == wanted[:, octet, None]
    found: NDArray[np.bool_] = same.any(axis=1)
    return found


def likelihood(port: NDArray[np.uint16], silent: int, asked: int) -> NDArray[np.float64]:
    """Return how likely silent ports of one host are open (0..1), by Bayes' rule.

    A port is silent because a filter drops what it is asked, as often as `silent` of the `asked`
    ports of this host are, or because a service is there that disliked our question.
    """
    known = _FIRST[port] > 0
    service = np.where(known, OPEN_KNOWN * MUTE_KNOWN, OPEN_UNKNOWN * MUTE_UNKNOWN)
    filtered = (silent + 1) / (asked + 2)
    found: NDArray[np.float64] = service / (service + filtered)
    return found


_LISTS: Final = [UNKNOWN, *BY_PORT.values()]
_ORDER: Final = np.array([number for each in _LISTS for number in each], np.int64)
_COUNT: Final = np.full(65_536, len(UNKNOWN), np.int64)
_FIRST: Final = np.zeros(65_536, np.int64)
_COUNT[list(BY_PORT)] = [len(each) for each in BY_PORT.values()]
_FIRST[list(BY_PORT)] = np.cumsum([len(each) for each in _LISTS])[:-1]
