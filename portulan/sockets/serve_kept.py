"""Answers kept ready: the same request for the same file costs a look-up and a `stat`.

The key is the request's head as it came in, so that whatever a client says about ranges, versions
or connections is part of the question. The file is looked at every time: nothing stale is sent.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from portulan.sockets.serve_http import Source

BODY_MAX_BYTES: Final = 64 * 1024
"""Larger files go by sendfile, where copying them out of here would cost more."""

TOTAL_MAX_BYTES: Final = 16 * 1024 * 1024
ENTRY_BYTES: Final = 512
"""What an entry costs beside its bytes, about."""


class Kept(NamedTuple):
    """A response in two pieces with the date between; `status` and `length` are for the log."""

    before: bytes
    after: bytes
    source: Source
    keep_alive: bool
    status: int
    length: int

    def fresh(self) -> bool:
        """Tell whether the path still leads to the same file in the same state."""
        try:
            # A Path would cost more than the call.
            return stamp_of(os.stat(self.source.path)) == self.source.stamp  # noqa: PTH116
        except OSError:
            return False


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what tells one state of a file from another."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev)


class Answers:
    """Kept answers by request head, bounded; the oldest give way."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._bytes = 0

    def get(self, head: bytes) -> Kept | None:
        """Return a fresh answer, None if there is none."""
        kept = self._kept.get(head)
        if kept is None or kept.fresh():
            return kept
        self._drop(head)
        return None

    def put(self, head: bytes, kept: Kept) -> None:
        """Keep an answer."""
        self._drop(head)
        self._kept[head] = kept
        self._bytes += _cost(head, kept)
        while self._bytes > TOTAL_MAX_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, head: bytes) -> None:
        kept = self._kept.pop(head, None)
        if kept is not None:
            self._bytes -= _cost(head, kept)


def _cost(head: bytes, kept: Kept) -> int:
    return len(head) + len(kept.before) + len(kept.after) + ENTRY_BYTES
