"""TCP's numbers of whole batches: what was sent again, out of order, how long answers took.

Each packet is judged by what came before it, with the rules that tshark 4 follows, so that both
say the same: octets below the highest number seen are a retransmission, unless they come so soon
after it that they were overtaken on their way (within the handshake's round trip, or 3 ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.rows import Blank, Rows
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol

OVERTAKEN_NS: Final = 3_000_000
"""How late an overtaken segment may be while the round trip is not known."""
FAST_NS: Final = 20_000_000
"""How soon after duplicate ACKs a retransmission counts as fast."""
FAST_DUPLICATES: Final = 2
"""How many duplicates; one may be missing in the capture (RFC 5681 section 3.2 has three)."""

FIN, SYN, RST, ACK = 1, 2, 4, 16
_SPAN = 1 << 40
"""Octets by which numbers of one side may differ within a batch; more is nonsense, and clipped."""

Bits = NDArray[np.bool_]


class Mark(IntFlag):
    """What a segment is, beside its data."""

    RETRANSMISSION = 1
    """Of any kind: by timeout, fast or spurious."""
    OUT_OF_ORDER = 2
    ZERO_WINDOW = 4
    DUPLICATE_ACK = 8
    FAST = 16
    SPURIOUS = 32
    KEEP_ALIVE = 64
    BEYOND_GAP = 128
    """Octets before it were not seen."""


class Sequence:
    """What the connections' numbers said so far."""

    def __init__(self) -> None:
        self.rows = Rows(
            known=Blank(np.bool_, 2), at=Blank(np.int64, 2), next=Blank(np.int64, 2),
            next_ns=Blank(np.int64, 2), ack=Blank(np.int64, 2, fill=-1),
            ack_ns=Blank(np.int64, 2), window=Blank(np.int32, 2, fill=-1),
            duplicates=Blank(np.int32, 2), data_end=Blank(np.int64, 2, fill=-1),
            data_ns=Blank(np.int64, 2), syn_ns=Blank(np.int64, fill=-1),
            syn_ack_ns=Blank(np.int64, fill=-1), syn_ack_rev=Blank(np.int8),
            rtt=Blank(np.int64, fill=-1), rtt_server=Blank(np.int64, fill=-1),
            rtt_client=Blank(np.int64, fill=-1), retransmissions=Blank(np.int32, 2),
            out_of_order=Blank(np.int32, 2), zero_windows=Blank(np.int32, 2),
            rtt_sum=Blank(np.int64, 2), rtt_count=Blank(np.int32, 2))

    def marks(self, parcel: Parcel) -> NDArray[np.uint8]:
        """Take packets in; return each one's marks."""
        found = np.zeros(len(parcel), np.uint8)
        tcp = parcel.sound & (parcel.at.protocol == IpProtocol.TCP)
        rows = np.flatnonzero(tcp & (parcel.tcp_flags & RST == 0))
        if len(rows):
            found[rows] = _Look(_segments(parcel, rows), self.rows).marks()
        return found


@dataclass(frozen=True, eq=False)
class Segments:
    """TCP segments, those of a flow next to each other."""

    flow: Index
    rev: Index
    seq: Index
    ack: Index
    """-1 without the ACK flag."""
    flags: NDArray[np.uint8]
    window: Index
    size: Index
    time_ns: Index

    @cached_property
    def begins(self) -> Bits:
        """Where another flow begins."""
        return np.concatenate([[True], self.flow[1:] != self.flow[:-1]])

    @cached_property
    def floor(self) -> Index:
        """Where each one's flow begins."""
        found: Index = np.maximum.accumulate(np.where(self.begins, np.arange(len(self.flow)), 0))
        return found


def _segments(parcel: Parcel, rows: Index) -> Segments:
    head = octets_at(parcel.frames.buffer, parcel.at.transport_offset[rows] + 4, 12)
    words = np.ascontiguousarray(head[:, :8]).view(">u4").astype(np.int64)
    window = np.ascontiguousarray(head[:, 10:12]).view(">u2")[:, 0].astype(np.int64)
    flags = parcel.tcp_flags[rows]
    return Segments(
        parcel.flow[rows], parcel.rev[rows], words[:, 0],
        np.where(flags & ACK, words[:, 1], -1), flags, window, parcel.size[rows],
        parcel.frames.time_ns[rows].astype(np.int64))


class _Look:
    """One batch's segments beside what was known before them."""

    def __init__(self, segments: Segments, rows: Rows) -> None:
        self.of, self.rows = segments, rows
        self.index = np.arange(len(segments.flow))
        key = segments.flow * 2 + segments.rev
        change = np.concatenate([[0], np.cumsum(segments.begins[1:])])
        self.order = np.argsort(change * 2 + segments.rev, kind="stable")
        """Puts those of one side next to each other."""
        key = key[self.order]
        self.starts = np.concatenate([[0], np.flatnonzero(key[1:] != key[:-1]) + 1])
        self.lasts = np.concatenate([self.starts[1:], [len(key)]]) - 1
        self.group = np.repeat(np.arange(len(self.starts)), np.diff([*self.starts, len(key)]))
        self.pair = (key[self.starts] >> 1, key[self.starts] & 1)
        """Flow and side of each group, an index into the state."""

    def marks(self) -> NDArray[np.uint8]:
        """Judge the segments, and keep what the next batch needs."""
        of = self.of
        self._sides()
        known_at = self._handshakes()
        other_ack, other_ns, other_duplicates = self._others()
        control = of.flags & (SYN | FIN) != 0
        consumes = (of.size > 0) | control
        edge = self.next_before
        alive = self.known & ~control & (of.size <= 1) & (self.at == edge - 1)
        old = consumes & self.known & ~alive & (self.at < edge)
        old &= ~((of.size > 1) & (self.at == edge - 1))  # behind a probe of a closed window
        behind = _signed(of.seq + of.size - other_ack)
        spurious = (of.size > 0) & ~alive & (other_ack >= 0) & (behind <= 0)
        fast = old & ~spurious & (other_duplicates >= FAST_DUPLICATES)
        fast &= (other_ack == of.seq) & (of.time_ns - other_ns < FAST_NS)
        rtt = self.rows["rtt"][of.flow]
        patience = np.where((rtt > 0) & (self.index > known_at), rtt, OVERTAKEN_NS)
        late = old & ~spurious & ~fast & (of.time_ns - self.next_ns_before < patience)
        late &= edge != self.at + of.size + control
        again = spurious | fast | (old & ~late)
        empty = (of.window == 0) & ~control
        gap = self.known & (self.at > edge)
        self._data_round_trips(again | late)
        self._keep(again, late, empty)
        marks = (
            (Mark.RETRANSMISSION, again), (Mark.OUT_OF_ORDER, late), (Mark.ZERO_WINDOW, empty),
            (Mark.DUPLICATE_ACK, self.duplicate), (Mark.FAST, fast), (Mark.SPURIOUS, spurious),
            (Mark.KEEP_ALIVE, alive), (Mark.BEYOND_GAP, gap))
        found = np.zeros(len(of.flow), np.uint8)
        for mark, where in marks:
            found |= np.where(where, np.uint8(mark), np.uint8(0))
        return found

    def _state(self, name: str) -> NDArray[Any]:
        """Return what was known of each group."""
        found: NDArray[Any] = self.rows[name][self.pair]
        return found

    def _back(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the sides' order in the flows' order."""
        found = np.empty_like(values)
        found[self.order] = values
        return found

    def _filled(self, where: Bits) -> Index:
        """Return for each segment of a side the last one up to it where that holds; or -1."""
        last = np.maximum.accumulate(np.where(where, self.index, -1))
        found: Index = np.where(last >= self.starts[self.group], last, -1)
        return found

    def _before(self, values: NDArray[Any], first: NDArray[Any]) -> NDArray[Any]:
        """Return the value before each in its side."""
        found = np.empty_like(values)
        found[1:] = values[:-1]
        found[self.starts] = first
        return found

    def _sides(self) -> None:
        """Unwrap the numbers of each side, and follow how far they reached."""
        of, group, starts = self.of, self.group, self.starts
        seq, ack = of.seq[self.order], of.ack[self.order]
        control = of.flags[self.order] & (SYN | FIN) != 0
        size, time_ns = of.size[self.order], of.time_ns[self.order]
        known, at = self._state("known"), self._state("at")
        base = np.where(known, at, seq[starts])
        step = _signed(seq - self._before(seq, base))
        total = np.cumsum(step)
        unwrapped = base[group] + total - (total - step)[starts][group]
        # Side after side in one running maximum: each has a span of its own.
        reach = np.clip(unwrapped + size + control - base[group], -_SPAN, _SPAN)
        carried = np.clip(self._state("next") - base, -_SPAN, _SPAN)
        floor = np.where(known, carried, -_SPAN)
        lifted = reach.copy()
        lifted[starts] = np.maximum(reach[starts], floor)
        spans = group * (4 * _SPAN)
        highest = np.maximum.accumulate(lifted + spans) - spans
        before = self._before(highest, floor)
        first = np.zeros(len(seq), np.bool_)
        first[starts] = ~known
        raised = self._filled((highest > before) | first)
        raised_ns = np.where(raised >= 0, time_ns[raised], self._state("next_ns")[group])
        self.known = self._back(~first)
        self.at = self._back(unwrapped)
        self.next_before = self._back(before + base[group])
        self.next_ns_before = self._back(self._before(raised_ns, self._state("next_ns")))
        self._side_ends = (unwrapped, highest + base[group], raised_ns)
        self._acks(ack, time_ns, size, control=control, edge=(unwrapped == before + base[group]))

    def _acks(
        self, ack: Index, time_ns: Index, size: Index, *, control: Bits, edge: Bits
    ) -> None:
        """Count the ACKs of each side that say the same again."""
        window = self.of.window[self.order]
        changed = ack != self._before(ack, self._state("ack"))
        same = window == self._before(window, self._state("window"))
        again = ~changed & (ack >= 0) & (size == 0) & ~control & same & (window > 0) & edge
        total = np.cumsum(again)
        turn = self._filled(changed)
        opening = total[self.starts] - again[self.starts]
        carried = (self._state("duplicates") - opening)[self.group]
        count = total + np.where(turn >= 0, -total[turn], carried)
        self.duplicate, self.duplicates = self._back(again), self._back(count)
        self.advanced = self._back(changed & (ack >= 0))

    def _last_other(self, where: Bits) -> Index:
        """Return for each segment the last one before it from the other side; or -1."""
        of, found = self.of, np.full(len(self.index), -1, np.int64)
        for side in (0, 1):
            last = np.maximum.accumulate(np.where(where & (of.rev == side), self.index, -1))
            mine = of.rev != side
            found[mine] = last[mine]
        return np.where(found >= of.floor, found, -1)

    def _others(self) -> tuple[Index, Index, Index]:
        """Return what the other side confirmed last, when, and how often again."""
        of = self.of
        last = self._last_other(np.ones(len(self.index), np.bool_))
        now = (of.ack, of.time_ns, self.duplicates)
        then = ("ack", "ack_ns", "duplicates")
        ack, time_ns, count = (
            np.where(last >= 0, values[last], self.rows[name][of.flow, 1 - of.rev])
            for values, name in zip(now, then, strict=True))
        return ack, time_ns, count

    def _handshakes(self) -> Index:
        """Time handshakes; return from where on each flow's round trip is known."""
        of, rows = self.of, self.rows
        known_at = np.where(rows["rtt"][of.flow] >= 0, -1, len(self.index))
        syn, ack = of.flags & SYN != 0, of.ack >= 0
        wanted = (rows["rtt"][of.flow] < 0) & (syn | (rows["syn_ack_ns"][of.flow] >= 0))
        flows = np.unique(of.flow[wanted])
        if not len(flows):
            return known_at
        some = np.flatnonzero(np.isin(of.flow, flows))
        floor = np.searchsorted(some, of.floor[some])
        index, flow, time_ns = np.arange(len(some)), of.flow[some], of.time_ns[some]
        asks, answers = (syn & ~ack)[some], (syn & ack)[some]
        asked = np.maximum.accumulate(np.where(asks, index, -1))
        asked_ns = np.where(asked >= floor, time_ns[asked], rows["syn_ns"][flow])
        answered = np.maximum.accumulate(np.where(answers, index, -1))
        here = answered >= floor
        answered_ns = np.where(here, time_ns[answered], rows["syn_ack_ns"][flow])
        answerer = np.where(here, of.rev[some][answered], rows["syn_ack_rev"][flow])
        server = answers & (asked_ns >= 0) & (rows["rtt_server"][flow] < 0)
        _first(rows["rtt_server"], flow, server, time_ns - asked_ns)
        client = ~syn[some] & ack[some] & (answered_ns >= 0) & (of.rev[some] != answerer)
        client &= (rows["rtt_client"][flow] < 0)
        done = client & (asked_ns >= 0)
        _first(rows["rtt_client"], flow, client, time_ns - answered_ns)
        places = _first(rows["rtt"], flow, done, time_ns - asked_ns)
        lasts = np.flatnonzero(np.concatenate([flow[1:] != flow[:-1], [True]]))
        rows["syn_ns"][flow[lasts]] = asked_ns[lasts]
        rows["syn_ack_ns"][flow[lasts]] = answered_ns[lasts]
        rows["syn_ack_rev"][flow[lasts]] = answerer[lasts]
        begin = np.full(len(self.index), len(self.index))
        begin[of.floor[some[places]]] = some[places]
        return np.where(known_at < 0, known_at, begin[of.floor])

    def _data_round_trips(self, doubtful: Bits) -> None:
        """Time data that are confirmed while nothing newer is on its way (RFC 6298 section 3)."""
        of, rows = self.of, self.rows
        data = of.size > 0
        end = of.seq + of.size + (of.flags & FIN != 0) & 0xFFFFFFFF
        end = np.where(doubtful, -1, end)
        last = self._last_other(data)
        other = (of.flow, 1 - of.rev)
        sent = np.where(last >= 0, end[last], rows["data_end"][other])
        sent_ns = np.where(last >= 0, of.time_ns[last], rows["data_ns"][other])
        met = np.flatnonzero(self.advanced & (sent == of.ack) & (sent >= 0))
        target = (of.flow[met], 1 - of.rev[met])
        np.add.at(rows["rtt_sum"], target, np.maximum(of.time_ns[met] - sent_ns[met], 0))
        np.add.at(rows["rtt_count"], target, 1)
        newest = self._filled(data[self.order])[self.lasts]
        there = newest >= 0
        chosen = self.order[newest[there]]
        pair = (self.pair[0][there], self.pair[1][there])
        rows["data_end"][pair], rows["data_ns"][pair] = end[chosen], of.time_ns[chosen]

    def _keep(self, again: Bits, late: Bits, empty: Bits) -> None:
        rows, pair, lasts = self.rows, self.pair, self.lasts
        unwrapped, highest, raised_ns = self._side_ends
        newest = self.order[lasts]
        rows["known"][pair] = True
        rows["at"][pair], rows["next"][pair] = unwrapped[lasts], highest[lasts]
        rows["next_ns"][pair] = raised_ns[lasts]
        rows["ack"][pair], rows["ack_ns"][pair] = self.of.ack[newest], self.of.time_ns[newest]
        rows["window"][pair] = self.of.window[newest]
        rows["duplicates"][pair] = self.duplicates[newest]
        counts = {"retransmissions": again, "out_of_order": late, "zero_windows": empty}
        for name, where in counts.items():
            rows[name][pair] += np.add.reduceat(where[self.order].astype(np.int32), self.starts)


def _signed(distance: Index) -> Index:
    """Return how far numbers are apart, the short way around (RFC 9293 section 3.4)."""
    found: Index = (distance + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
    return found


def _first(target: NDArray[Any], flow: Index, where: Bits, values: Index) -> Index:
    """Put each flow's first value where that holds into its row; return where those are."""
    rows = np.flatnonzero(where)
    rows = rows[np.concatenate([[True], flow[rows[1:]] != flow[rows[:-1]]])] if len(rows) else rows
    target[flow[rows]] = np.maximum(values[rows], 0)  # times may go back
    return rows
