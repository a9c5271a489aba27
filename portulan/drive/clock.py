"""The real clock: one that never jumps for machines, and what it means in Unix time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Monotonic ns, and its present distance from Unix ns."""

    @staticmethod
    def now() -> int:
        """Return monotonic time (ns)."""
        return time.monotonic_ns()

    @staticmethod
    def offset() -> int:
        """Return what must be added to monotonic time to get Unix time (ns)."""
        return time.time_ns() - time.monotonic_ns()

    @staticmethod
    def unix() -> int:
        """Return Unix time (ns)."""
        return time.time_ns()


def rfc3339(unix_ns: int) -> str:
    """Return Unix ns as UTC text with microseconds: 2026-11-21T09:41:00.000000Z."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1000:06d}Z"
