"""When was a probe sent? Known from its place in the order, without a table of probes.

Probes leave in the order of the permutation, batch by batch: the log keeps one row a batch, and
the position of a probe names its batch. Within a batch the time is interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class SentLog:
    """The batches of one pass: positions [first, end) left between `start_ns` and `end_ns`."""

    def __init__(self) -> None:
        self._rows = np.empty((4, 64), np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, first: int, end: int, start_ns: int, end_ns: int) -> None:
        """Note a batch; batches come in the order of their positions."""
        if self._size == self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)], axis=1)
        self._rows[:, self._size] = (first, end, start_ns, end_ns)
        self._size += 1

    def time_of(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when each position was sent (ns); -1 where it was not."""
        if not self._size:
            return np.full(len(position), -1, np.int64)
        first, end, start, stop = self._rows[:, : self._size]
        batch = np.searchsorted(first, position, side="right") - 1
        known = (batch >= 0) & (position < end[batch])
        span = np.maximum(end[batch] - first[batch], 1)
        time = start[batch] + (stop[batch] - start[batch]) * (position - first[batch]) // span
        return np.where(known, time, -1)

    def overdue_until(self, horizon_ns: int) -> int:
        """Return the position before which every batch left at or before `horizon_ns`."""
        done = int(np.searchsorted(self._rows[3, : self._size], horizon_ns, side="right"))
        return int(self._rows[1, done - 1]) if done else 0

    def next_after(self, horizon_ns: int) -> int | None:
        """Return when (ns) the first batch after `horizon_ns` left, None if there is none."""
        done = int(np.searchsorted(self._rows[3, : self._size], horizon_ns, side="right"))
        return int(self._rows[3, done]) if done < self._size else None

    def last(self) -> int | None:
        """Return when (ns) the last batch left, None if none did."""
        return int(self._rows[3, self._size - 1]) if self._size else None
