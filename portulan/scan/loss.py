"""How many packets the way to a host loses, learned from replies only, and how deep to try then.

An answer to try k tells of k - 1 lost round trips; silence tells nothing, since a firewall is
silent too. Each host has an estimate of its own, which leans on that of all hosts until it has
seen enough: hosts behind one lossy path share it, a host without loss is not asked for others'.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Answers that a scan may miss by chance, as an expected number: one scan in a hundred misses one.
MISSED_AIM: Final = 0.01
#: Tries without loss that everybody is taken to have seen: a single lost packet proves little.
PRIOR_TRIES: Final = 20.0
#: Silence to a first probe is no loss, but is never believed at once.
TRIES_LEAST: Final = 2
#: Estimates kept; beyond, neighbouring hosts (a prefix) share one, so that memory has a bound.
GROUPS_MAX: Final = 65_536
#: Tries have a number in the probe itself (its source port), so there is a most.
TRIES_MAX: Final = 16


class Loss:
    """Counts the tries that answers took, by host."""

    def __init__(self, hosts: int = 1) -> None:
        self._shift = max(0, (max(hosts, 1) - 1).bit_length() - (GROUPS_MAX.bit_length() - 1))
        groups = ((max(hosts, 1) - 1) >> self._shift) + 1
        self._answers = np.zeros(groups, np.int64)
        self._tries = np.zeros(groups, np.int64)
        self._proven = np.ones(groups, np.int64)
        self._depths: NDArray[np.int64] | None = None
        self._deepest = np.zeros((2, groups), np.int64)
        #: Answers by the try that they came to; place 0 is of none.
        self.by_try = np.zeros(TRIES_MAX + 2, np.int64)

    def learn(self, host: NDArray[np.int64], try_no: NDArray[np.uint8]) -> None:
        """Take in which try each host answered."""
        group = host >> self._shift
        np.add.at(self._answers, group, 1)
        np.add.at(self._tries, group, try_no)
        self.by_try += np.bincount(
            np.minimum(try_no, TRIES_MAX + 1), minlength=len(self.by_try))
        self._note_deepest(group, try_no.astype(np.int64))
        if (try_no > 1).any():
            np.maximum.at(self._proven, group, try_no)
            self._depths = None

    def forget(self, host: NDArray[np.int64]) -> None:
        """Take back what these hosts taught: what they seemed to lose they did not send."""
        group = host >> self._shift
        self._answers[group] = self._tries[group] = 0
        self._proven[group] = 1
        self._depths = None

    @property
    def rate(self) -> float:
        """The share of round trips that are lost, over all hosts."""
        tries = int(self._tries.sum())
        return (tries - int(self._answers.sum())) / (tries + PRIOR_TRIES)

    def depth(self, host: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many tries a silent probe of each host deserves."""
        depths: NDArray[np.int64] = self._all_depths()[host >> self._shift]
        return depths

    @property
    def deepest(self) -> int:
        """The most tries that any host deserves."""
        return int(self._all_depths().max())

    def at_the_end(self, passes: int) -> int:
        """Return how many answers came to the last try that their host was given."""
        last = np.minimum(self._all_depths(), passes)
        return int(self._deepest[1, self._deepest[0] >= last].sum())

    def _note_deepest(self, group: NDArray[np.int64], try_no: NDArray[np.int64]) -> None:
        """Count each group's answers to its deepest answered try."""
        before = self._deepest[0, group]
        np.maximum.at(self._deepest[0], group, try_no)
        self._deepest[1, group[self._deepest[0, group] > before]] = 0
        at = try_no == self._deepest[0, group]
        np.add.at(self._deepest[1], group[at], 1)

    def _all_depths(self) -> NDArray[np.int64]:
        """Return the least k with answers x loss^k <= `MISSED_AIM`, one beyond what helped."""
        if self._depths is None:
            lost = self._tries - self._answers
            rate = (lost + PRIOR_TRIES * self.rate) / (self._tries + PRIOR_TRIES)
            answers = max(int(self._answers.sum()), 1)
            with np.errstate(divide="ignore"):
                needed = np.ceil(np.log(MISSED_AIM / answers) / np.log(rate))
            helped = np.where(self._proven > 1, self._proven + 1, TRIES_LEAST)
            self._depths = np.maximum(np.maximum(helped, needed), TRIES_LEAST).astype(np.int64)
        return self._depths
