"""The last question of a sweep: what is known to answer, and some of what was silent, once more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portulan.target.bitmap import Bitmap

from . import recall
from .verdict import Answers


class Audit:
    """Sentinels and silent probes that are asked once more when all tries are done."""

    def __init__(
        self, try_no: int, silent: NDArray[np.int64], sentinels: NDArray[np.int64],
    ) -> None:
        self.try_no = try_no
        self._silent, self._sentinels = silent, sentinels
        self._found = self._returned = np.empty(0, np.int64)

    def hear(self, answers: Answers, answered: Bitmap) -> None:
        """Take in answers before the sweep does: what they add is not known to it yet."""
        index = answers.index[(answers.try_no == self.try_no) & ~answers.soft]
        self._returned = np.union1d(self._returned, index[np.isin(index, self._sentinels)])
        index = index[~answered.get(index)]
        self._found = np.union1d(self._found, index[np.isin(index, self._silent)])

    def tally(self, silent: int) -> recall.Tally:
        """Return what it brought; `silent` are those that nobody answered up to now."""
        found = len(self._found)
        return recall.Tally(
            silent + found, sample=min(len(self._silent), silent + found), found=found,
            sentinels=len(self._sentinels), returned=len(self._returned),
        )
