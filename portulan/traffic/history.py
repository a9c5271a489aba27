"""What happened to a connection, in the words that Zeek made common.

A history has a letter for the first time that something happened, in order; capitals are what the
forward side did: s SYN, h SYN-ACK, a pure ACK, d data, f FIN, r RST, t retransmission, w empty
window, i FIN with RST, q SYN with FIN or RST. The state sums it up: S0 no answer, S1 goes on, SF
closed, REJ refused, RSTO and RSTR reset by the forward or the other side, ...
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.rows import Blank, Rows
from portulan.traffic.sequence import ACK, FIN, RST, SYN, Mark
from portulan.wire.ipv4 import IpProtocol

LETTERS: Final = "shadfrtwiq"
"""In the order that events of one packet are told; a retransmission's follows its data."""
_COUNT = len(LETTERS)


class History:
    """First times of all that can happen, by flow."""

    def __init__(self) -> None:
        self.rows = Rows(
            rank=Blank(np.uint8, 2 * _COUNT), seen=Blank(np.uint32), told=Blank(np.uint8))

    def see(self, parcel: Parcel, marks: NDArray[np.uint8]) -> None:
        """Take packets in."""
        events = _events(parcel, marks) << (parcel.rev * _COUNT).astype(np.uint32)
        flows = parcel.flow[parcel.starts]
        both = np.bitwise_or.reduceat(events, parcel.starts)
        new = both & ~self.rows["seen"][flows]
        if not new.any():
            return
        lengths = np.diff([*parcel.starts, len(parcel)])
        some = np.flatnonzero(np.repeat(new != 0, lengths))
        fresh = events[some] & np.repeat(new, lengths)[some]
        some, fresh = some[fresh != 0], fresh[fresh != 0]
        self.rows["seen"][flows] |= both
        self._rank(parcel.flow[some], fresh)

    def _rank(self, flow: Index, fresh: NDArray[np.uint32]) -> None:
        """Give numbers to first times, in order of packets, then of letters."""
        places, bits = [], []
        for bit in range(2 * _COUNT):
            rows = np.flatnonzero(fresh >> np.uint32(bit) & np.uint32(1))
            if len(rows):
                first = np.concatenate([[True], flow[rows[1:]] != flow[rows[:-1]]])
                places.append(rows[first])
                bits.append(np.full(int(first.sum()), bit))
        place, bit_of = np.concatenate(places), np.concatenate(bits)
        order = np.lexsort((bit_of % _COUNT, place))
        place, bit_of = place[order], bit_of[order]
        whose = flow[place]
        starts = np.concatenate([[0], np.flatnonzero(whose[1:] != whose[:-1]) + 1])
        lengths = np.diff([*starts, len(whose)])
        within = np.arange(len(whose)) - np.repeat(starts, lengths)
        told = self.rows["told"]
        self.rows["rank"][whose, bit_of] = told[whose] + within + 1
        told[whose[starts]] += lengths.astype(np.uint8)

    def texts(self, rows: Index) -> NDArray[Any]:
        """Return histories."""
        ranks = self.rows["rank"][rows]
        letters = np.array([*LETTERS.upper(), *LETTERS])
        distinct, places = np.unique(ranks, axis=0, return_inverse=True)
        made = np.empty(len(distinct), object)
        made[:] = [
            "".join(letters[np.argsort(rank)[np.sort(rank) > 0]]) or None for rank in distinct]
        found: NDArray[Any] = made[places.reshape(-1)]
        return found

    def states(self, rows: Index, protocol: NDArray[Any]) -> NDArray[Any]:
        """Return Zeek's states; None for what is neither TCP nor UDP."""
        ranks = self.rows["rank"][rows]
        at = {letter: ranks[:, place] for place, letter in enumerate(LETTERS.upper() + LETTERS)}
        found = np.full(len(rows), None, object)
        tcp, udp = protocol == IpProtocol.TCP, protocol == IpProtocol.UDP
        found[udp] = np.where(at["d"] > 0, np.where(at["D"] > 0, "SF", "SHR"), "S0")[udp]
        found[tcp] = _tcp_states(at)[tcp]
        return found


def _events(parcel: Parcel, marks: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return each packet's letters as bits."""
    flags = parcel.tcp_flags
    tcp = parcel.at.protocol == IpProtocol.TCP
    syn, fin, rst = (flags & bit != 0 for bit in (SYN, FIN, RST))
    ack = flags & ACK != 0
    many = syn.astype(np.int8) + fin + rst > 1
    data = parcel.size > 0
    happened = {
        "s": syn & ~ack & ~many, "h": syn & ack & ~many,
        "a": tcp & ack & ~data & ~(syn | fin | rst),
        "d": data & (tcp | (parcel.at.protocol == IpProtocol.UDP)),
        "f": fin & ~many, "r": rst & ~many, "t": marks & Mark.RETRANSMISSION != 0,
        "w": marks & Mark.ZERO_WINDOW != 0, "i": fin & rst & ~syn, "q": syn & (fin | rst)}
    found = np.zeros(len(parcel), np.uint32)
    for place, letter in enumerate(LETTERS):
        found |= np.where(happened[letter], np.uint32(1 << place), np.uint32(0))
    return found


def _tcp_states(at: dict[str, NDArray[np.uint8]]) -> NDArray[Any]:
    """Return states from the ranks of events; the first case that holds counts."""
    there = {letter: rank > 0 for letter, rank in at.items()}
    last_fin = np.maximum(at["F"], at["f"])
    closed = there["F"] & there["f"]
    # A RST behind both FINs changes nothing any more: many end so, in a hurry.
    reset_fwd = there["R"] & ~(closed & (at["R"] > last_fin))
    reset_rev = there["r"] & ~(closed & (at["r"] > last_fin))
    first_rev = reset_rev & (~reset_fwd | (at["r"] < at["R"]))
    first_fwd = reset_fwd & ~first_rev
    answered = there["h"]
    asked = there["S"]
    cases = (
        (first_rev & asked & ~answered, "REJ"), (first_rev & ~asked & ~there["H"], "RSTRH"),
        (first_rev, "RSTR"), (first_fwd & asked & ~answered & ~there["d"], "RSTOS0"),
        (first_fwd, "RSTO"), (closed, "SF"), (there["F"] & asked & ~answered, "SH"),
        (there["F"], "S2"), (there["f"] & ~asked & ~there["D"], "SHR"), (there["f"], "S3"),
        (asked & answered, "S1"), (asked & ~there["d"] & ~there["a"], "S0"))
    found = np.full(len(last_fin), "OTH", object)
    for where, name in reversed(cases):
        found[where] = name
    return found
