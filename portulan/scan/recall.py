"""How many probes that answer were never heard: an estimate with its interval.

After the last pass, probes known to answer (sentinels) and a sample of the silent ones are asked
once more. The method and what it assumes are in docs/design/recall.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Most probes known to answer that are asked again: tells a return of 95 % to within 3 %.
SENTINELS_MAX: Final = 256
#: Most silent probes asked again: a tenth of a second at the default rate.
SAMPLE_MAX: Final = 1_024
#: Places in the order that are looked at to choose both: bounds the work for a huge space.
PLACES_MAX: Final = 65_536
#: The interval's upper end is passed with the rest of this probability, its lower end likewise.
LEVEL: Final = 0.99
#: Answers that an estimate of the loss at try k leans on those before it: later tries have few.
LEAN: Final = 20.0
#: What is still unanswered may lose this much more than what was seen: hosts differ.
GROWTH: Final = 1.5
#: Beyond this loss nothing can be said of what is still to come.
LOST_MAX: Final = 0.95
#: Round trips without loss that everybody is taken to have seen (as in `loss.py`).
PRIOR_TRIES: Final = 20.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What the last question brought, and what was known before it."""

    silent: int
    """Probes that nobody answered before it."""
    sample: int = 0
    """Silent ones asked again."""
    found: int = 0
    """Of these, answered."""
    sentinels: int = 0
    """Answered ones asked again."""
    returned: int = 0
    """Of these, answered again."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Probes that answer and were not heard, as a number and the interval it lies in."""

    estimate: float
    low: float
    high: float

    def met(self, found: int, recall: float) -> bool:
        """Tell whether even the upper end leaves `recall` of all that answer found."""
        return self.high <= (1 - recall) * (found + self.high)


def choose(
    answered: NDArray[np.bool_], sentinel: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of some probes to ask again: silent ones, and sentinels; both spread evenly."""
    return (_spread(np.flatnonzero(~answered), SAMPLE_MAX),
            _spread(np.flatnonzero(sentinel), SENTINELS_MAX))


def _spread(items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(items) <= most:
        return items
    return items[np.linspace(0, len(items) - 1, most).astype(np.int64)]


def estimate(by_try: NDArray[np.int64], last: int, tally: Tally) -> Estimate:
    """Return what is missed.

    `by_try[k]` are the answers to try k (0 unused), `last` those that came to the last try that
    their host was given.
    """
    left = tally.silent - tally.found
    if left <= 0:
        return Estimate(0.0, 0.0, 0.0)
    lost = loss_late(by_try)
    if tally.sentinels:
        lost = max(lost, 1 - (tally.returned + PRIOR_TRIES * (1 - lost)) / (
            tally.sentinels + PRIOR_TRIES))
        if tally.returned * 2 < tally.sentinels:  # the way has closed: no earlier rate holds
            lost = 1 - tally.returned / tally.sentinels
    if lost >= 1:
        return Estimate(float(left), 0.0, float(left))
    likely = _to_come(lost, last, tally, left)
    wide = _to_come(max(lost, min(GROWTH * lost, LOST_MAX)), last, tally, left)
    return Estimate(likely.estimate, likely.low, wide.high)


def _to_come(lost: float, last: int, tally: Tally, left: int) -> Estimate:
    seen, scale = last, lost / (1 - lost)
    if tally.sample == tally.silent:
        seen = tally.found
    elif tally.found:
        seen, scale = tally.found, tally.silent / (tally.sample * (1 - lost)) - 1
    return _predict(seen, scale, left)


def loss_late(by_try: NDArray[np.int64]) -> float:
    """Return the share of round trips that are lost among probes that lost the most so far.

    Where hosts differ or losses come in bursts, probes still unanswered at try k lose more than
    the average: so each try has a rate of its own, and the worst counts.
    """
    beyond = np.cumsum(by_try[::-1])[::-1]
    tries = float((by_try * np.arange(len(by_try))).sum())
    rate = (tries - float(by_try.sum()) + 0.5) / (tries + PRIOR_TRIES)
    worst = rate
    for k in range(1, len(by_try) - 1):
        rate = (float(beyond[k + 1]) + LEAN * rate) / (float(beyond[k]) + LEAN)
        worst = max(worst, rate)
    return worst


def _predict(seen: int, scale: float, most: int) -> Estimate:
    """Return what follows `seen` answers to a last question when `scale` as many are still to come.

    Seen is a Poisson count; its mean has the posterior Gamma(seen + 1). The count to come is then
    a negative binomial number, whose quantiles are the interval.
    """
    mean = min((seen + 0.5) * scale, float(most))
    chance = 1 / (1 + scale)
    term = math.exp((seen + 1) * math.log(chance))
    total, low, count = term, None, 0
    while total < LEVEL and count < most:
        low = count if low is None and total > 1 - LEVEL else low
        count += 1
        term *= (seen + count) / count * (1 - chance)
        total += term
        if not term and total < 1 - LEVEL:  # below what a float holds: the normal law is as good
            spread = 3 * math.sqrt(mean * (1 + scale))
            return Estimate(mean, max(0.0, mean - spread), min(float(most), mean + spread))
    return Estimate(mean, float(low if low is not None else count if count else 0), float(count))
