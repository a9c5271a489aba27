"""What an answer means: states, reasons, and which answer may replace which.

Numbers are kept in progress logs; they never change their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.record import OpenGrade, PortState


class State(IntEnum):
    """What a probe found out."""

    SILENT = 0
    OPEN = 1
    CLOSED = 2
    FILTERED = 3
    UNFILTERED = 4
    OPEN_FILTERED = 5
    UP = 6


class Reason(IntEnum):
    """Why we say so, in the words nmap's users know."""

    NO_RESPONSE = 0
    SYN_ACK = 1
    RESET = 2
    CONN_REFUSED = 3
    NET_UNREACH = 4
    HOST_UNREACH = 5
    PROTO_UNREACH = 6
    PORT_UNREACH = 7
    NET_PROHIBITED = 8
    HOST_PROHIBITED = 9
    ADMIN_PROHIBITED = 10
    TIME_EXCEEDED = 11
    ECHO_REPLY = 12
    TIMESTAMP_REPLY = 13
    ARP_RESPONSE = 14
    ND_RESPONSE = 15
    LOCALHOST_RESPONSE = 16
    USER_SET = 17
    ACCEPT_RESET = 18
    NO_ROUTE = 19
    NO_NEIGHBOUR = 20
    LOCAL_DENIED = 21
    DEST_UNREACH = 22
    UDP_RESPONSE = 23
    INIT_ACK = 24
    ABORT = 25
    PROTO_RESPONSE = 26
    PARAM_PROBLEM = 27

    @property
    def text(self) -> str:
        """The reason as events spell it: `syn-ack`."""
        return self.name.lower().replace("_", "-")


STATE_TEXT: Final[Mapping[int, PortState]] = {
    State.SILENT: "filtered",
    State.OPEN: "open",
    State.CLOSED: "closed",
    State.FILTERED: "filtered",
    State.UNFILTERED: "unfiltered",
    State.OPEN_FILTERED: "open|filtered",
}
REASON_TEXT: Final = tuple(reason.text for reason in Reason)

#: What an open port showed by each reason; the others show nothing by themselves.
GRADES: Final[Mapping[int, OpenGrade]] = {
    Reason.SYN_ACK: "handshake", Reason.INIT_ACK: "handshake", Reason.ACCEPT_RESET: "handshake",
    Reason.UDP_RESPONSE: "data", Reason.PROTO_RESPONSE: "data",
}

#: Listed one by one even without `--all`; the rest is counted per host.
LISTED: Final = (State.OPEN, State.UNFILTERED, State.OPEN_FILTERED)


class Hold(IntEnum):
    """How firmly a probe is answered."""

    NONE = 0
    SOFT = 1
    FIRM = 2


#: NEXT_HOLD[what we hold, what arrives]: a reply of the target itself is firm and the first one
#: wins, since middleboxes send late resets; an ICMP error is somebody's opinion about the target,
#: so it stops further tries but gives way to the target's own late reply.
#:             arrives: NONE       SOFT       FIRM
NEXT_HOLD: Final = (
    (Hold.NONE, Hold.SOFT, Hold.FIRM),  # holding NONE
    (Hold.SOFT, Hold.SOFT, Hold.FIRM),  # holding SOFT
    (Hold.FIRM, Hold.FIRM, Hold.FIRM),  # holding FIRM
)

#: ICMP destination unreachable codes (RFC 792, RFC 1812 section 5.2.7.1) as reasons.
ICMP4_UNREACHABLE: Final = (
    Reason.NET_UNREACH, Reason.HOST_UNREACH, Reason.PROTO_UNREACH, Reason.PORT_UNREACH,
    Reason.DEST_UNREACH, Reason.DEST_UNREACH, Reason.NET_UNREACH, Reason.HOST_UNREACH,
    Reason.HOST_UNREACH, Reason.NET_PROHIBITED, Reason.HOST_PROHIBITED, Reason.NET_UNREACH,
    Reason.HOST_UNREACH, Reason.ADMIN_PROHIBITED, Reason.ADMIN_PROHIBITED, Reason.ADMIN_PROHIBITED,
)
#: ICMPv6 destination unreachable codes (RFC 4443 section 3.1).
ICMP6_UNREACHABLE: Final = (
    Reason.NET_UNREACH, Reason.ADMIN_PROHIBITED, Reason.NET_UNREACH, Reason.HOST_UNREACH,
    Reason.PORT_UNREACH, Reason.ADMIN_PROHIBITED, Reason.ADMIN_PROHIBITED,
)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Replies matched to probes; one value a reply in each column.

    `row` is the reply's place in the batch of frames it came in (-1: no frame), `time_ns` is on
    the machine's clock, `try_no` counts from 1, `soft` marks what only a third party said.
    """

    index: NDArray[np.int64]
    state: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    try_no: NDArray[np.uint8]
    time_ns: NDArray[np.int64]
    row: NDArray[np.int64]
    soft: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Answers:
        """Return no answers."""
        long, byte = np.empty(0, np.int64), np.empty(0, np.uint8)
        return cls(long, byte, byte, byte, byte, long, long, np.empty(0, np.bool_))

    @classmethod
    def of(
        cls, index: NDArray[np.int64], *, state: NDArray[np.uint8] | int,
        reason: NDArray[np.uint8] | int, time_ns: NDArray[np.int64] | int,
        ttl: NDArray[np.uint8] | int = 0, try_no: NDArray[np.uint8] | int = 1,
        row: NDArray[np.int64] | int = -1, soft: NDArray[np.bool_] | bool = False,
    ) -> Answers:
        """Return answers to `index`, single values standing for all rows."""
        size = len(index)

        def byte(value: NDArray[np.uint8] | int) -> NDArray[np.uint8]:
            return np.broadcast_to(np.asarray(value, np.uint8), size)

        def long(value: NDArray[np.int64] | int) -> NDArray[np.int64]:
            return np.broadcast_to(np.asarray(value, np.int64), size)

        return cls(
            index, byte(state), byte(reason), byte(ttl), byte(try_no), long(time_ns), long(row),
            np.broadcast_to(np.asarray(soft, np.bool_), size),
        )

    def __len__(self) -> int:
        return len(self.index)

    def take(self, selection: NDArray[np.bool_] | NDArray[np.int64]) -> Answers:
        """Return the selected answers."""
        return Answers(
            self.index[selection], self.state[selection], self.reason[selection],
            self.ttl[selection], self.try_no[selection], self.time_ns[selection],
            self.row[selection], self.soft[selection],
        )

    @classmethod
    def concat(cls, parts: list[Answers]) -> Answers:
        """Return the answers of all parts in order."""
        full = [part for part in parts if len(part)]
        if len(full) <= 1:
            return full[0] if full else cls.none()
        return cls(
            np.concatenate([p.index for p in full]), np.concatenate([p.state for p in full]),
            np.concatenate([p.reason for p in full]), np.concatenate([p.ttl for p in full]),
            np.concatenate([p.try_no for p in full]), np.concatenate([p.time_ns for p in full]),
            np.concatenate([p.row for p in full]), np.concatenate([p.soft for p in full]),
        )
