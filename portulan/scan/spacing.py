"""No host is asked again before some time has passed (`--scan-delay`).

A stretch of the order is taken apart: of each host, the next probe leaves as soon as it may.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Probes of each host in a stretch. Hosts have more or fewer of them by chance, and the stretch
#: ends with the last; a scan that is killed asks the silent ones of a stretch again.
PROBES: Final = 256
STRETCH_MAX: Final = 1 << 20
#: Spaces beyond have no exact times of leaving (9 bytes a probe), and no round trips.
TIMED_MAX: Final = 1 << 24
NEVER: Final = -(1 << 62)


class Spacing:
    """When hosts were asked last; `spacing_ns` has to pass before the next time."""

    def __init__(self, hosts: int, size: int, spacing_ns: int) -> None:
        self.stretch = min(max(hosts, 1) * PROBES, STRETCH_MAX)
        self._spacing_ns = spacing_ns
        self._asked_ns = np.full(max(hosts, 1), NEVER, np.int64)
        timed = size if size <= TIMED_MAX else 0
        self._left_ns = np.zeros(timed, np.int64)
        self._left_try = np.zeros(timed, np.uint8)

    def ready(self, host: NDArray[np.int64], now: int) -> NDArray[np.int64]:
        """Return the rows that may be asked now: the first of each host that waited enough."""
        _, first = np.unique(host, return_index=True)
        ready: NDArray[np.int64] = np.sort(
            first[self._asked_ns[host[first]] + self._spacing_ns <= now])
        return ready

    def ready_at(self, host: NDArray[np.int64]) -> int:
        """Return when (ns) the first of these hosts may be asked."""
        return int(self._asked_ns[host].min()) + self._spacing_ns

    def ask(self, host: NDArray[np.int64], now: int) -> None:
        """Note that hosts are asked now."""
        self._asked_ns[host] = now

    def left(self, index: NDArray[np.int64], try_no: int, time_ns: int) -> None:
        """Note when probes left."""
        if len(self._left_ns):
            self._left_ns[index], self._left_try[index] = time_ns, try_no

    def left_at(self, index: NDArray[np.int64], try_no: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return when (ns) each probe's given try left, -1 where unknown."""
        if not len(self._left_ns):
            return np.full(len(index), -1, np.int64)
        return np.where(self._left_try[index] == try_no, self._left_ns[index], -1)
