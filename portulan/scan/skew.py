"""Tell hosts that stopped saying no because they may not say it so often.

A pass asks in the order of a keyed permutation, so the places of a host's closed ports in it are
random numbers between 0 and 1. Loss leaves them so. A limiter answers the first ones and then few:
their mean is too low, or their highest. Each is a test with a known chance of a false alarm, which
costs some questions and no verdict. A limiter without a burst spreads its few answers evenly, but
says as much in the second pass as in the first, where loss leaves fewer each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Passes whose order is looked at: later ones ask only few hosts.
PASSES: Final = 2
#: Of many refusals, a little earlier than chance has other reasons, as a rate that grew too fast.
MEAN_MOST: Final = 0.42
HIGHEST_MOST: Final = 0.8
MANY: Final = 50
#: With one silent port so many more false alarms are worth it, with many none.
FEW: Final = 50
#: The second pass brings this share of the first one's refusals, or more: hardly a loss.
STEADY: Final = 0.5
#: Refusals that such a share is believed of.
STEADY_LEAST: Final = 6
#: A path that loses this share for everybody is no host's limiter.
SHARED: Final = 0.25


def _log_choose(total: int, some: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(total - some + 1)


class Skew:
    """Where in the passes each host's refusals came; `doubt` is the chance of a false alarm."""

    def __init__(self, hosts: int, doubt: float) -> None:
        self._doubt = doubt
        self._count = np.zeros((PASSES, hosts), np.int64)
        self._sum = np.zeros((PASSES, hosts))
        self._highest = np.zeros((PASSES, hosts))
        self._probe = np.full(hosts, -1, np.int64)
        self._last_ns = np.zeros(hosts, np.int64)

    def learn(
        self, host: NDArray[np.int64], place: NDArray[np.float64], pass_no: NDArray[np.int64], *,
        index: NDArray[np.int64], time_ns: NDArray[np.int64],
    ) -> None:
        """Take in refusals: the place (0..1) of their probes in the pass that they answer."""
        self._probe[host] = index
        np.maximum.at(self._last_ns, host, time_ns)
        early = (pass_no >= 1) & (pass_no <= PASSES)
        at = (pass_no[early] - 1, host[early])
        np.add.at(self._count, at, 1)
        np.add.at(self._sum, at, place[early])
        np.maximum.at(self._highest, at, place[early])

    def suspects(
        self, among: NDArray[np.int64], asked: Callable[[int], int]
    ) -> NDArray[np.int64]:
        """Return those of some hosts whose refusals came too early in the passes to be chance.

        `asked` tells how many probes a host is asked.
        """
        count = self._count[:, among].sum(axis=0)
        some, count = among[count > 0], count[count > 0]
        below = count / 2 - self._sum[:, some].sum(axis=0)
        mean = below > NormalDist().inv_cdf(1 - self._doubt) * np.sqrt(count / 12)
        mean &= below > (0.5 - MEAN_MOST) * count
        highest = (self._highest[:, some].max(axis=0) < HIGHEST_MOST) | (count < MANY)
        highest[highest] = [self._ended(host, asked(host)) for host in some[highest].tolist()]
        found: NDArray[np.int64] = some[mean | highest | self._steady(some)]
        return found

    def _ended(self, host: int, asked: int) -> bool:
        """Tell whether all refusals of a host came among the first it was asked, beyond chance.

        The chance that so many of so many are among the first is hypergeometric. But how many were
        asked before the last refusal is only guessed from its place, and a host's probes are not
        spread evenly: so many random places must be below that one, too.
        """
        left, chance = asked, 0.0
        for count, highest in zip(
            self._count[:, host].tolist(), self._highest[:, host].tolist(), strict=True
        ):
            first = min(max(round(highest * left), count), left)
            ordered = _log_choose(first, count) - _log_choose(left, count)
            chance += max(ordered, count * math.log(highest) if highest > 0 else ordered)
            left -= count
        # Few silent ports are soon asked again: a false alarm costs less than a false verdict.
        doubt = max(self._doubt, FEW * self._doubt / (1 + left))
        return left > 0 and chance < math.log(doubt)

    def _steady(self, host: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell hosts that say as much in the second pass as in the first, unlike all others."""
        first, second = self._count[:, host]
        steady: NDArray[np.bool_] = second >= STEADY * np.maximum(first, 1)
        steady &= first + second >= STEADY_LEAST
        others = self._count.sum(axis=1, keepdims=True) - self._count[:, host]
        alone = others.sum(axis=0) <= first + second
        steady &= alone | (others[1] < SHARED * others[0])
        return steady

    def sentinel(self, host: int) -> int:
        """Return a probe that the host refused, -1 if none is known."""
        return int(self._probe[host])

    def last_ns(self, host: int) -> int:
        """Return when the host's last refusal came."""
        return int(self._last_ns[host])

    def burst(self, host: int) -> int:
        """Return how many refusals the first pass brought."""
        return int(self._count[0, host])
