"""A limiter taken for a token bucket, and its period bounded by what is answered and what not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from .pace import SECOND

#: No known limiter has a longer period; a host that is silent for longer has other reasons.
PERIOD_MAX_NS: Final = 8 * SECOND
PERIOD_MIN_NS: Final = 100_000
#: Bounds this close are one number: to ask early in order to narrow them further costs more.
TIGHT: Final = 1.02
#: The period that a first answer stands for, at least.
FIRST_GAP_NS: Final = 100_000_000
#: So many answers at a pace prove it, though none came too early.
ANSWERS_ENOUGH: Final = 8
#: Bounds that far apart mean that we asked too seldom to have kept it from running over.
LOOSE: Final = 1.5
#: A period seen once is taken to be at most this much longer.
PROVISION: Final = 2.0
#: The most tokens there can have been when a question came too early.
LEVEL_EARLY: Final = 0.9
#: A lower bound gives way by this share with each answer, halved whenever it is proven again: a
#: lost packet may have made it.
DECAY: Final = 0.02
DECAY_HALVED_MAX: Final = 6
#: Answers in a row without a new proof, after which the bound gives way faster again.
DECAY_AFTER: Final = 8
#: A bound proven again is within this share of what it was.
SAME: Final = 0.03


@dataclass(slots=True)
class Bucket:
    """What is known of one host's limiter; all times are those of our questions, in ns.

    It has a token for each refusal. `level` is how many there should be, `floor` how many there
    are at least by all that is proven.
    """

    answered_ns: int
    """The last question that was answered."""
    burst: float = 1.0
    level: float = 1.0
    floor: float = 0.0
    least_ns: float = 0.0
    most_ns: float = math.inf
    lossy: bool = False
    """Whether answers are lost on the way, so that one silence proves little."""
    _filled_ns: int = 0
    _guess_ns: float = math.inf
    _mean_ns: float = math.inf
    _began_ns: int = -1
    _answers: int = 0
    _empty_ns: int = -1
    _since_empty: int = 0
    _first_ns: int = -1
    _since_first: int = 0
    _peak_ns: float = 0.0
    _proofs: int = 0
    _unproven: int = 0

    @property
    def upper_ns(self) -> float:
        """The longest that the period can be, infinite while nothing is known."""
        return min(self.most_ns, PROVISION * self._mean_ns)

    @property
    def known(self) -> bool:
        """Whether there is any idea of the period."""
        return self.upper_ns < math.inf

    @property
    def proven(self) -> bool:
        """Whether the upper bound is more than a guess: a few answers may be those of a burst."""
        return self.most_ns < math.inf or self._answers >= ANSWERS_ENOUGH

    @property
    def period_ns(self) -> float:
        """The period to ask by: between its bounds, at their upper end once they are close."""
        upper = min(self.upper_ns, PERIOD_MAX_NS)
        if not self.least_ns:
            return max(min(self._guess_ns, upper), PERIOD_MIN_NS)
        return upper if upper <= self.least_ns * TIGHT else math.sqrt(upper * self.least_ns)

    def fill(self, now: int) -> None:
        """Let tokens come in until `now`."""
        passed = now - self._filled_ns
        if passed > 0:
            most = max(self.burst, 1.0)
            self.level = min(self.level + passed / self.period_ns, most)
            self.floor = min(self.floor + passed / self.upper_ns, most)
            self._filled_ns = now

    def ready_at(self, tokens: float, *, surely: bool) -> int:
        """Return when (ns) so many tokens should be there, or surely are."""
        missing = tokens - (self.floor if surely else self.level)
        if missing <= 0:
            return self._filled_ns
        period = min(self.upper_ns, PERIOD_MAX_NS) if surely else self.period_ns
        return self._filled_ns + int(missing * period) + 1

    def spend(self) -> None:
        """Count a token as spent; what is left is no debt, since there was one."""
        self.level, self.floor = max(self.level - 1, 0.0), max(self.floor - 1, 0.0)

    def early(self, asked_ns: int, flying: int) -> float:
        """Return what the period exceeds if a question at this time came too early.

        Those under way at that time may all spend a token.
        """
        least = (asked_ns - self.answered_ns) / (flying + 1)
        if self._first_ns >= 0 and self.least_ns:
            least = max(least, (asked_ns - self._first_ns) / (self._since_first + flying + 1))
        return least

    def answered(self, asked_ns: int) -> None:
        """Learn from an answer to a question of this time."""
        self.spend()
        gap = asked_ns - self.answered_ns
        if self._answers == 0:  # it may have waited for our first question
            gap = max(gap, FIRST_GAP_NS)
        self.answered_ns = max(self.answered_ns, asked_ns)
        self._answers += 1
        if self._began_ns < 0:
            self._began_ns = asked_ns - gap
        self._mean_ns = max((asked_ns - self._began_ns) / self._answers, PERIOD_MIN_NS)
        self._since_empty += asked_ns > self._empty_ns
        self._since_first += 1
        if self._first_ns < 0:
            self._first_ns, self._since_first = asked_ns, 0
        if self._empty_ns >= 0 and self._since_empty > 1:
            most = (asked_ns - self._empty_ns) / (self._since_empty - 1)
            self.most_ns = max(min(self.most_ns, most), PERIOD_MIN_NS)
            self.least_ns = min(self.least_ns, self.most_ns)
        self._unproven += 1
        if self._unproven % DECAY_AFTER == 0:
            self._proofs = max(self._proofs - 1, 0)
        self.least_ns *= 1 - (DECAY if self.lossy else DECAY / 2**self._proofs)
        if self._guess_ns == math.inf:
            self._guess_ns = max(gap, self.least_ns, PERIOD_MIN_NS)
        elif not self.least_ns:  # as long as nothing came too early, twice as fast each time
            self._guess_ns = max(self._guess_ns / 2, PERIOD_MIN_NS)

    def was_empty(self, asked_ns: int, early_ns: float) -> None:
        """Learn that a question of this time came too early; `early_ns` is what `early` said."""
        if self.most_ns > LOOSE * self.least_ns:
            self._first_ns = -1  # before, it may have been full: count from the next answer
        self.least_ns = max(self.least_ns, min(early_ns, self.most_ns))
        self._guess_ns = max(self._guess_ns, self.least_ns)
        again = early_ns >= (1 - SAME) * self._peak_ns
        self._proofs = min(self._proofs + 1, DECAY_HALVED_MAX) if again else 0
        self._peak_ns, self._unproven = early_ns, 0
        if asked_ns > self._empty_ns:
            self._empty_ns, self._since_empty = asked_ns, 0
        self.level = min(self.level, LEVEL_EARLY)

    def forget(self, asked_ns: int) -> None:
        """Doubt all: a question of this time came too early by all that was proven."""
        self.least_ns = 0.0
        self.most_ns = self._guess_ns = self._mean_ns = math.inf
        self._first_ns, self._began_ns, self._answers = -1, asked_ns, 0
        self._empty_ns, self._since_empty = asked_ns, 0
        self.level, self.floor = 1.0, 0.0
