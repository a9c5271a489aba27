"""How much the path takes: a rate that grows while what is known to answer answers.

Some probes that were answered (sentinels) are asked again all the time; their silence is loss. A
path loses some by itself, whatever the rate, and what is above its capacity: the losses seen at
several rates tell which, as the likeliest pair of both. The rate begins low and doubles, so that
there are such rates; then it stays a little above what arrives.

The same contract as a sweep's: all times are ns of one clock, nothing is drawn at random.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .pace import SECOND

#: The first rate; it doubles every `DOUBLE_NS` until a loss is seen or the cap is reached.
START_PPS: Final = 2_500.0
DOUBLE_NS: Final = 80_000_000
#: Sentinels are asked so often, at the beginning and then, and this share of the rate, within these
#: bounds.
EVERY_FIRST_NS: Final = 20_000_000
EVERY_NS: Final = 40_000_000
FIRST: Final = 8
SHARE: Final = 0.02
LEAST: Final = 2
MOST: Final = 32
#: A pause longer than this, or less sent than this share of the rate, and nothing is measured.
PAUSE_NS: Final = 200_000_000
ACTIVE: Final = 0.3
#: Sentinels known at a time.
KNOWN_MAX: Final = 256
#: Outcomes between two decisions, those that a decision looks at, and when one counts half.
OUTCOMES: Final = 24
AGE_OUTCOMES: Final = 400
HALVED_OUTCOMES: Final = 100
#: A little faster than what arrives, or more room would never be seen.
AHEAD: Final = 1.03
GROWTH: Final = 1.25
#: No decision makes it slower than this share of what it was: if all is lost, none tells how far.
DROP: Final = 0.2
#: The rate is never brought below this by losses: a path that takes less is not usable.
RATE_MIN_PPS: Final = 20.0
#: What is tried as an explanation: losses at any rate, and capacities in packets a second.
OWN: Final = np.linspace(0, 0.7, 36)
CAPACITIES: Final = np.append(np.geomspace(20, 1e6, 220), np.inf)
#: Rates whose logarithms differ by less are one.
NEARLY: Final = 0.06
#: No chance is nothing or certain.
CHANCE_MIN: Final = 1e-3
#: What speaks against them beforehand, in units of log-likelihood: a loss of 1, any limit.
OWN_RARE: Final = 6.0
CAPACITY_RARE: Final = 3.0


@dataclass(slots=True)
class Asked:
    """Sentinels asked together, and which of them were silent so far."""

    time_ns: int
    rate_pps: float
    waiting: set[int]
    count: int


@dataclass(slots=True)
class Capacity:
    """The rate that the path takes, between two bounds; `most_pps` 0 for no bound above."""

    most_pps: float
    least_pps: float = 0.0
    rate_pps: float = 0.0
    own_loss: float = 0.0
    """What the path loses whatever the rate."""
    capacity_pps: float = np.inf
    """What the path takes; infinite if it was not felt."""
    _known: list[int] = field(default_factory=list)
    _place: int = 0
    _asked: deque[Asked] = field(default_factory=deque)
    _next_ns: int = 0
    _sent_at: tuple[int, int] = (-1, 0)
    _doubled_ns: int = -1
    _growing: bool = True
    _outcomes: int = 0
    _points: list[tuple[float, int, int]] = field(default_factory=list)
    """Rate, sentinels lost at it, sentinels asked."""

    def __post_init__(self) -> None:
        self.least_pps = min(max(self.least_pps, RATE_MIN_PPS), self.most_pps or np.inf)
        self.rate_pps = self._within(START_PPS)

    def _within(self, rate: float) -> float:
        return max(min(rate, self.most_pps or rate), self.least_pps)

    # -- asking ----------------------------------------------------------------------------

    def choose(self, now: int, wait_ns: int, sent: int) -> NDArray[np.int64]:
        """Return the sentinels to ask now, none most of the time; judge those asked before.

        Call it while there is something to send; `sent` counts all probes so far.
        """
        self._grow(now)
        self._judge(now, wait_ns)
        if now < self._next_ns:
            return np.empty(0, np.int64)
        passed, (then, before) = now - self._sent_at[0], self._sent_at
        self._sent_at = (now, sent)
        first = self._growing or now - self._doubled_ns < DOUBLE_NS
        self._next_ns = now + (EVERY_FIRST_NS if first else EVERY_NS)
        rate = (sent - before) * SECOND / max(passed, 1)
        if then < 0 or passed > PAUSE_NS or rate < self.rate_pps * ACTIVE:
            return np.empty(0, np.int64)
        wanted = int(self.rate_pps * SHARE * EVERY_NS / SECOND)
        chosen = self._pick(FIRST if first else min(max(wanted, LEAST), MOST))
        if chosen:
            self._asked.append(Asked(now, rate, set(chosen), len(chosen)))
        return np.array(chosen, np.int64)

    def _pick(self, wanted: int) -> list[int]:
        """Return the next sentinels that no answer is waited for of."""
        waiting = {probe for each in self._asked for probe in each.waiting}
        chosen: list[int] = []
        for _ in range(min(len(self._known), 4 * wanted)):
            probe = self._known[self._place % len(self._known)]
            self._place += 1
            if probe not in waiting and len(chosen) < wanted:
                chosen.append(probe)
        return chosen

    def _grow(self, now: int) -> None:
        if self._doubled_ns < 0:
            self._doubled_ns = now
        while self._growing and now - self._doubled_ns >= DOUBLE_NS:
            self._doubled_ns += DOUBLE_NS
            self.rate_pps = self._within(2 * self.rate_pps)
            if self.rate_pps >= (self.most_pps or np.inf):
                self._growing = False

    # -- hearing ---------------------------------------------------------------------------

    def know(self, index: NDArray[np.int64]) -> None:
        """Take in probes that answered: sentinels from now on, if some are wanted."""
        room = KNOWN_MAX - len(self._known)
        if room > 0:
            self._known += index[:room].tolist()

    def hear(self, index: NDArray[np.int64]) -> None:
        """Take in that sentinels answered."""
        for probe in index.tolist():
            for each in self._asked:
                if probe in each.waiting:
                    each.waiting.discard(probe)
                    break

    def _judge(self, now: int, wait_ns: int) -> None:
        while self._asked and self._asked[0].time_ns + wait_ns <= now:
            each = self._asked.popleft()
            self._points.append((each.rate_pps, len(each.waiting), each.count))
            self._outcomes += each.count
        if self._outcomes >= OUTCOMES:
            self._outcomes = 0
            self._decide()

    def _decide(self) -> None:
        """Find the likeliest capacity and own loss, and go to the rate that fits."""
        points = np.array(self._points, np.float64)
        age = np.cumsum(points[::-1, 2])[::-1] - points[:, 2]
        points = points[age < AGE_OUTCOMES]
        self._points = [(float(rate), int(lost), int(count)) for rate, lost, count in points]
        weight = 0.5 ** (age[age < AGE_OUTCOMES] / HALVED_OUTCOMES)
        rate, lost, count = points.T * np.stack([np.ones(len(weight)), weight, weight])
        self.own_loss, self.capacity_pps = likeliest(*_merged(rate, lost, count))
        if self.capacity_pps < np.inf:
            self._growing = False
            fits = max(AHEAD * self.capacity_pps, DROP * self.rate_pps)
            self.rate_pps = self._within(min(fits, GROWTH * self.rate_pps))
        elif not self._growing:
            self.rate_pps = self._within(GROWTH * self.rate_pps)


def _merged(
    rate: NDArray[np.float64], lost: NDArray[np.float64], count: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what was seen at rates that are nearly the same as one: a few rows instead of all."""
    _, first, row = np.unique(
        np.round(np.log(rate) / NEARLY), return_index=True, return_inverse=True)
    merged = [np.bincount(row, each).astype(np.float64) for each in (lost, count)]
    return rate[first], merged[0], merged[1]


def likeliest(
    rate: NDArray[np.float64], lost: NDArray[np.float64], count: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the own loss and the capacity (infinite: none felt) that explain losses best.

    Of a rate r, a path of capacity C that loses p by itself lets (1 - p) min(1, C / r) through.
    """
    through = (1 - OWN[:, None, None]) * np.minimum(1, CAPACITIES[:, None] / rate)
    through = np.clip(through, CHANCE_MIN, 1 - CHANCE_MIN)
    fit = ((count - lost) * np.log(through) + lost * np.log1p(-through)).sum(axis=2)
    fit -= OWN_RARE * OWN[:, None] + CAPACITY_RARE * np.isfinite(CAPACITIES)
    own, capacity = np.unravel_index(int(fit.argmax()), fit.shape)
    return float(OWN[own]), float(CAPACITIES[capacity])
