"""Arrays of one row a flow that grow together.

>>> rows = Rows(times=Blank(np.int64, 2, fill=-1))
>>> rows.make(np.array([0, 5000]))
>>> rows["times"][5000].tolist()
[-1, -1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

ROOM_AT_FIRST: Final = 1024
"""Rows there is room for before the arrays grow, each time to the double."""


@dataclass(frozen=True, slots=True)
class Blank:
    """How one array's rows begin: `width` values of a type, 0 for a single one."""

    dtype: DTypeLike
    width: int = 0
    fill: int = 0

    def array(self, room: int) -> NDArray[Any]:
        """Return rows that nobody has asked for yet."""
        shape = (room, self.width) if self.width else (room,)
        return np.empty(shape, self.dtype)


class Rows:
    """Arrays by name; a row's values are what its `Blank` says until they are set."""

    def __init__(self, **blanks: Blank) -> None:
        self._blanks = blanks
        self._room = ROOM_AT_FIRST
        self._arrays = {name: blank.array(self._room) for name, blank in blanks.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def make(self, rows: NDArray[np.int64]) -> None:
        """Begin rows, anew if they were there."""
        if not len(rows):
            return
        count = int(rows.max()) + 1
        if count > self._room:
            extra = max(self._room, count - self._room)
            self._room += extra
            for name, blank in self._blanks.items():
                self._arrays[name] = np.concatenate([self._arrays[name], blank.array(extra)])
        for name, blank in self._blanks.items():
            self._arrays[name][rows] = blank.fill
