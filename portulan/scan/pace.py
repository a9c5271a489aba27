"""How fast: a cap on the rate, and how long to wait for an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

SECOND: Final = 1_000_000_000

#: Probes that may leave at once after a pause, in time at the capped rate: so late may a busy
#: machine wake us without being slower. Short enough not to look like a burst to a policer.
BURST_NS: Final = 25_000_000
#: The share of it that is worth waking up for: each batch costs some 300 calls into NumPy.
WORTH: Final = 0.4
#: Waits without any sample (RFC 6298 section 2.1) and the box nmap uses, FACTS of the field.
FIRST_WAIT_NS: Final = SECOND
WAIT_MIN_NS: Final = 100_000_000
WAIT_MAX_NS: Final = 10 * SECOND


@dataclass(slots=True)
class Pace:
    """A token bucket: at most `rate_pps` probes a second, 0 for no cap."""

    rate_pps: float
    _level: float = 1.0
    _last_ns: int | None = None

    @property
    def _depth(self) -> float:
        return max(1.0, self.rate_pps * BURST_NS / SECOND)

    def _fill(self, now: int) -> None:
        if self._last_ns is not None and now > self._last_ns:
            earned = (now - self._last_ns) * self.rate_pps / SECOND
            self._level = min(self._depth, self._level + earned)
        self._last_ns = now if self._last_ns is None else max(now, self._last_ns)

    def allowance(self, now: int, room: int) -> int:
        """Return how many of `room` probes may leave at `now` (ns)."""
        if not self.rate_pps:
            return room
        self._fill(now)
        return max(0, min(room, int(self._level)))

    def spend(self, count: int) -> None:
        """Count probes as sent."""
        self._level -= count

    def ready_at(self, now: int) -> int:
        """Return when (ns) the next probes may leave, enough of them to be worth it, or one."""
        if not self.rate_pps:
            return now
        self._fill(now)
        missing = max(1.0, self._depth * WORTH) - self._level
        return now if missing <= 0 else now + int(missing * SECOND / self.rate_pps) + 1


@dataclass(slots=True)
class RoundTrip:
    """The round trip as replies show it: smoothed, with its variation (RFC 6298 section 2)."""

    wait_min_ns: int = WAIT_MIN_NS
    wait_max_ns: int = WAIT_MAX_NS
    first_wait_ns: int = FIRST_WAIT_NS
    srtt_ns: float = 0.0
    rttvar_ns: float = 0.0
    samples: int = field(default=0)

    def feed(self, rtt_ns: NDArray[np.int64]) -> None:
        """Learn from a batch of round trips: its mean, then its slowest, as two samples.

        A whole batch as one mean would hide the far hosts of a mixed range, whose answers are
        the ones a short wait would lose.
        """
        if not len(rtt_ns):
            return
        self._sample(float(rtt_ns.mean()))
        self._sample(float(rtt_ns.max()))
        self.samples += len(rtt_ns)

    def _sample(self, rtt: float) -> None:
        if not self.samples and not self.srtt_ns:
            self.srtt_ns, self.rttvar_ns = rtt, rtt / 2
            return
        off = rtt - self.srtt_ns
        self.srtt_ns += off / 8
        self.rttvar_ns += (abs(off) - self.rttvar_ns) / 4

    @property
    def wait_ns(self) -> int:
        """How long to wait for an answer before a probe counts as unanswered."""
        if not self.samples:
            return min(max(self.first_wait_ns, self.wait_min_ns), self.wait_max_ns)
        wait = int(self.srtt_ns + 4 * self.rttvar_ns)
        return min(max(wait, self.wait_min_ns), self.wait_max_ns)


@dataclass(frozen=True, slots=True)
class Timing:
    """One of nmap's templates; a `rate_pps` or `host_timeout_s` of 0 leaves that open."""

    rate_pps: float
    retries: int
    first_wait_ms: int
    wait_min_ms: int
    wait_max_ms: int
    host_timeout_s: float = 0.0


#: By number, as nmap documents them. The pauses of 0 to 2 are serial delays: one probe at a time,
#: whatever the host; 3 leaves everything to the learner.
TIMING: Final = {
    0: Timing(1 / 300, 10, 300_000, 100, 300_000),
    1: Timing(1 / 15, 10, 15_000, 100, 15_000),
    2: Timing(2.5, 10, 1_000, 100, 10_000),
    3: Timing(0.0, 10, 1_000, 100, 10_000),
    4: Timing(0.0, 6, 500, 100, 1_250),
    5: Timing(0.0, 2, 250, 50, 300, host_timeout_s=900.0),
}
