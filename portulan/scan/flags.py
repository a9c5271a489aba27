"""Ask TCP ports by other flags than SYN alone: ACK, Window, FIN, NULL, Xmas, or what is given.

What a stack must answer is RFC 9293 section 3.10.7: a segment for no connection is reset, and the
reset repeats the acknowledgement number it was sent, or acknowledges the sequence number where
there was none. Both are our cookie. A listening port drops what has neither SYN nor ACK, and
accepts what has SYN without ACK; no port answers a reset.

Deviations are known, and they are why these scans only ever say `open|filtered` of silence:
Windows, and some embedded stacks, reset every FIN, NULL and Xmas probe, so all ports look closed;
some BSDs put a window into the reset of an open port (what the Window scan looks at), while most
stacks put 0 into both, so all ports look closed to it. The Maimon scan (FIN with ACK) finds ports
of old BSDs only, which dropped it where they should have reset it. Linux drops SYN together with
FIN at an open port, where others accept it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.scan.kind import Stamp, find
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard, TcpReplies
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import MSS_BYTES, Key, SynKind
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import TCP as TCP_NUMBER
from portulan.target.space import Probes, Space
from portulan.wire.checksum import finish, word_sum
from portulan.wire.tcp import TCP, TcpFlags, mss, tcp_options

_LOW_32: Final = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Manner:
    """One scan's flags and what answers to them mean; an accepted SYN is `open` for all."""

    flags: TcpFlags
    reset: State
    """A reset with window 0."""
    reset_window: State
    """A reset that has a window."""
    silent: State


#: The verdict table, by method. An ICMP error is `filtered` for all of them.
MANNERS: Final = {
    "ack": Manner(TcpFlags.ACK, State.UNFILTERED, State.UNFILTERED, State.FILTERED),
    "window": Manner(TcpFlags.ACK, State.CLOSED, State.OPEN, State.FILTERED),
    "fin": Manner(TcpFlags.FIN, State.CLOSED, State.CLOSED, State.OPEN_FILTERED),
    "maimon": Manner(
        TcpFlags.FIN | TcpFlags.ACK, State.CLOSED, State.CLOSED, State.OPEN_FILTERED,
    ),
    "null": Manner(TcpFlags(0), State.CLOSED, State.CLOSED, State.OPEN_FILTERED),
    "xmas": Manner(
        TcpFlags.FIN | TcpFlags.PSH | TcpFlags.URG, State.CLOSED, State.CLOSED,
        State.OPEN_FILTERED,
    ),
}
#: What given flags are read by unless another scan's manner is asked for: as a SYN scan reads.
_AS_SYN: Final = Manner(TcpFlags.SYN, State.CLOSED, State.CLOSED, State.FILTERED)
_NAMES: Final = {**TcpFlags.__members__, "ALL": TcpFlags(255), "NONE": TcpFlags(0)}


def manner_of(method: str, flags: int | None = None) -> Manner | None:
    """Return the manner of a TCP method, with flags of one's own; None for a plain SYN scan."""
    if flags is None:
        return MANNERS.get(method)
    return replace(MANNERS.get(method, _AS_SYN), flags=TcpFlags(flags))


def parse_flags(text: str, *, where: str = "--scanflags") -> int:
    """Return the flags that nmap's syntax names: `SYNFIN`, `0x03`, `ALL`; raises `UsageError`."""
    word = text.strip().upper()
    if re.fullmatch(r"0X[0-9A-F]{1,8}|[0-9]{1,8}", word):
        number = int(word, 16 if word[:2] == "0X" else 10)
        if number > 255:
            raise UsageError("the flags are 8 bits", text=text, where=where, hint="0 to 255")
        return number
    names = re.findall("|".join(_NAMES), word)
    if not names or "".join(names) != re.sub(r"[\s,|+]", "", word):
        raise UsageError(
            "not TCP flags", text=text, where=where,
            hint=f"join names as SYNFIN, of {', '.join(_NAMES)}; or give a number",
        )
    flags = TcpFlags(0)
    for name in names:
        flags |= _NAMES[name]
    return int(flags)


class FlagKind(SynKind):
    """Ask TCP ports in one of `MANNERS`; `sport` is the source port of the first try."""

    def __init__(
        self, space: Space, paths: Paths, *, key: Key, sport: int, manner: Manner,
    ) -> None:
        super().__init__(space, paths, key=key, sport=sport)
        self._manner = manner
        self.silent = manner.silent
        self._acks = bool(manner.flags & TcpFlags.ACK)
        self._syn = bool(manner.flags & TcpFlags.SYN)
        self._length = np.uint64(self._syn + bool(manner.flags & TcpFlags.FIN))

    def _stamp(self, via: Via) -> Stamp:
        if via not in self._stamps:
            options = tcp_options(mss(MSS_BYTES)) if self._syn else b""
            segment = TCP(sport=self._sport, flags=self._manner.flags) / options
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
        reset = (tcp.flags & TcpFlags.RST) != 0
        both = TcpFlags.SYN | TcpFlags.ACK
        accept = ~reset & ((tcp.flags & both) == both) & self._syn
        fits = (reset | accept) & (try_no >= 1) & (try_no <= TRIES_MAX)
        tcp, try_no, accept = tcp.take(fits), try_no[fits], accept[fits]
        probes = tcp.asked(TCP_NUMBER)
        index = find(self.space, probes)
        ours = self._proven(tcp, probes, accept) & (index >= 0)
        state = np.where(tcp.window > 0, self._manner.reset_window, self._manner.reset)
        state = np.where(accept, State.OPEN, state)
        return Answers.of(
            index[ours], state=state[ours].astype(np.uint8),
            reason=np.where(accept, Reason.SYN_ACK, Reason.RESET)[ours].astype(np.uint8),
            ttl=tcp.ttl[ours], try_no=try_no[ours].astype(np.uint8), time_ns=tcp.time_ns[ours],
            row=tcp.row[ours],
        )

    def _proven(
        self, tcp: TcpReplies, probes: Probes, accept: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Tell segments that repeat our cookie as RFC 9293 section 3.10.7 has it."""
        secret = self._cookie(probes, tcp.dport)
        # As with SYN, some old stacks don't count what has no octet.
        counted = (tcp.ack - secret) & _LOW_32
        proven: NDArray[np.bool_] = counted <= self._length
        if self._acks:
            proven = np.where(accept, proven, tcp.seq == secret)
        return proven & (~accept | (counted > 0))
