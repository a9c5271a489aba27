"""Ask TCP ports by other flags than SYN: ACK, Window, FIN, NULL, Xmas.

What a stack must answer is RFC 9293 section 3.10.7: a segment for no connection is reset, and the
reset repeats the acknowledgement number it was sent, or acknowledges the sequence number where
there was none. Both are our cookie. A listening port drops what has neither SYN nor ACK.

Deviations are known, and they are why these scans only ever say `open|filtered` of silence:
Windows, and some embedded stacks, reset every FIN, NULL and Xmas probe, so all ports look closed;
some BSDs put a window into the reset of an open port (what the Window scan looks at), while most
stacks put 0 into both, so all ports look closed to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Stamp, find
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard, TcpReplies
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import Key, SynKind
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import TCP as TCP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.checksum import finish, word_sum
from portulan.wire.tcp import TCP, TcpFlags

_LOW_32: Final = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Manner:
    """One scan's flags and what answers to them mean."""

    flags: str
    reset: State
    """A reset with window 0."""
    reset_window: State
    """A reset that has a window."""
    silent: State


#: The verdict table, by method. An ICMP error is `filtered` for all of them.
MANNERS: Final = {
    "ack": Manner("A", State.UNFILTERED, State.UNFILTERED, State.FILTERED),
    "window": Manner("A", State.CLOSED, State.OPEN, State.FILTERED),
    "fin": Manner("F", State.CLOSED, State.CLOSED, State.OPEN_FILTERED),
    "null": Manner("", State.CLOSED, State.CLOSED, State.OPEN_FILTERED),
    "xmas": Manner("FPU", State.CLOSED, State.CLOSED, State.OPEN_FILTERED),
}


class FlagKind(SynKind):
    """Ask TCP ports in one of `MANNERS`; `sport` is the source port of the first try."""

    def __init__(
        self, space: Space, paths: Paths, *, key: Key, sport: int, manner: Manner,
    ) -> None:
        super().__init__(space, paths, key=key, sport=sport)
        self._manner = manner
        self.silent = manner.silent
        flags = int(TCP(flags=manner.flags).flags)
        self._acks = bool(flags & TcpFlags.ACK)
        self._length = np.uint64(bool(flags & TcpFlags.FIN))

    def _stamp(self, via: Via) -> Stamp:
        if via not in self._stamps:
            segment = TCP(sport=self._sport, flags=self._manner.flags) / b""
            self._stamps[via] = Stamp(via, segment)
        return self._stamps[via]

    def _rows(
        self, via: Via, probes: Probes, macs: NDArray[np.uint64] | int, *, try_no: int
    ) -> NDArray[np.uint8]:
        rows = super()._rows(via, probes, macs, try_no=try_no)
        if self._acks:
            segment = TCP.view(rows, self._stamp(via).transport)
            secret = segment.seq.astype(np.uint64)
            before = np.uint64(0xFFFF) - segment.checksum.astype(np.uint64)
            segment.ack[:] = secret
            segment.checksum[:] = finish(before + word_sum(secret))
        return rows

    def _read_tcp(self, heard: Heard) -> Answers:
        tcp = heard.tcp()
        try_no = tcp.dport.astype(np.int64) - self._sport + 1
        fits = ((tcp.flags & TcpFlags.RST) != 0) & (try_no >= 1) & (try_no <= TRIES_MAX)
        tcp, try_no = tcp.take(fits), try_no[fits]
        probes = tcp.asked(TCP_NUMBER)
        index = find(self.space, probes)
        ours = self._proven(tcp, probes) & (index >= 0)
        state = np.where(tcp.window > 0, self._manner.reset_window, self._manner.reset)
        return Answers.of(
            index[ours], state=state[ours].astype(np.uint8), reason=Reason.RESET,
            ttl=tcp.ttl[ours], try_no=try_no[ours].astype(np.uint8), time_ns=tcp.time_ns[ours],
            row=tcp.row[ours],
        )

    def _proven(self, tcp: TcpReplies, probes: Probes) -> NDArray[np.bool_]:
        """Tell resets that repeat our cookie as RFC 9293 section 3.10.7.1 has it."""
        secret = self._cookie(probes, tcp.dport)
        proven: NDArray[np.bool_]
        if self._acks:
            proven = tcp.seq == secret
        else:
            # As with SYN, some old stacks don't count the FIN.
            proven = (tcp.ack == ((secret + self._length) & _LOW_32)) | (tcp.ack == secret)
        return proven
