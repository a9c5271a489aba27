"""What an earlier run knew, from two records that may be at odds.

The journal has every event that was shown, the progress log has the answers; events are kept first.
So after a kill the log may lack answers that have events: they must not be found a second time.
After damage the journal may lack events of answers in the log: they must be found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.drive.step import Known
from portulan.record import Port
from portulan.scan.sweep import Mark
from portulan.scan.verdict import REASON_TEXT, STATE_TEXT, Answers, Reason, State
from portulan.target.address import address_value
from portulan.target.space import IP, SCTP, TCP, UDP, Space

BEGINNING: Final = Mark(1, 0)
_PROTOCOL: Final = {"ip": IP, "tcp": TCP, "udp": UDP, "sctp": SCTP}
_STATE: Final = {text: state for state, text in STATE_TEXT.items() if state != State.SILENT}
_REASON: Final = {text: code for code, text in enumerate(REASON_TEXT)}


def agree(
    known: Known, space: Space, *, up: NDArray[np.int64], ports: Sequence[Port],
    listed: NDArray[np.bool_],
) -> Known:
    """Return what log and journal say together.

    `up` are the numbers of hosts that have an event, `ports` the ports that have one, `listed`
    tells by state whether an answer has an event of its own.
    """
    shown = _answers(space, ports)
    logged = known.answers.take(last_of_each(known.answers.index))
    has_host = np.zeros(space.host_count, np.bool_)
    has_host[up] = True
    lost = listed[logged.state] & ~np.isin(logged.index, shown.index)
    lost |= ~logged.soft & ~has_host[space.host_of(logged.index)]
    logged = logged.take(~lost)
    more = shown.take(~np.isin(shown.index, logged.index))
    # What was lost lies anywhere in the order: go through it from the beginning.
    mark = BEGINNING if lost.any() else known.mark
    return Known(Answers.concat([logged, more]), mark, known.sent)


def host_numbers(space: Space, addresses: Iterable[str]) -> NDArray[np.int64]:
    """Return the number of each address in the space, -1 where it is not in it."""
    family, hi, lo = _columns(addresses)
    return space.host_number(family, hi, lo)


def last_of_each(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each index stands last: a late firm answer replaces a soft one."""
    _, last = np.unique(index[::-1], return_index=True)
    return len(index) - 1 - last


def _answers(space: Space, ports: Sequence[Port]) -> Answers:
    """Return port events as the answers they came from."""
    known = [port for port in ports if port.protocol in _PROTOCOL]
    family, hi, lo = _columns(port.addr for port in known)
    index = space.index_of(
        family, hi, lo, np.array([port.port for port in known], np.uint16),
        np.array([_PROTOCOL[port.protocol] for port in known], np.uint8),
    )
    state = np.array([_STATE[port.state] for port in known], np.uint8)
    answers = Answers.of(
        index, state=state,
        reason=np.array([_REASON.get(p.reason, Reason.NO_RESPONSE) for p in known], np.uint8),
        ttl=np.array([port.ttl for port in known], np.uint8),
        # Silence has no try that was answered, and must prove none.
        try_no=np.array([max(port.tries, 1) for port in known], np.uint8),
        time_ns=0, soft=state == State.FILTERED,
    )
    answers = answers.take(answers.index >= 0)
    return answers.take(last_of_each(answers.index))


def _columns(
    addresses: Iterable[str],
) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64]]:
    values = np.array([address_value(text) for text in addresses], np.uint64).reshape(-1, 3)
    return values[:, 0].astype(np.uint8), values[:, 1], values[:, 2]
