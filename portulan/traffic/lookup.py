"""Which row a key has: a hash table in NumPy arrays, asked about whole batches.

It takes some 16 bytes a key where a dict of bytes takes 180.

>>> lookup, words = Lookup(), np.arange(10, dtype=np.uint64).reshape(2, 5)
>>> lookup.put(words, np.array([1, 0]), words)
>>> lookup.find(words[::-1], words).tolist()
[0, 1]
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Words = NDArray[np.uint64]

SLOTS_AT_FIRST: Final = 4096
_EMPTY, _GONE = -1, -2


def _secret(number: int) -> int:
    # Python seeds hashes of text anew in each process: nobody can make keys that collide.
    return hash(f"flow key {number}") & 0xFFFFFFFFFFFFFFFF | 1


MIX: Final = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93,
     0xA0761D6478BD642F], np.uint64) ^ np.array(
    [_secret(number) & ~1 for number in range(5)], np.uint64)
"""Odd numbers that spread keys; a collision costs time, never a wrong answer."""


def mixed(words: Words) -> NDArray[np.uint64]:
    """Return a number for each key of five words."""
    found = (words * MIX).sum(axis=1, dtype=np.uint64)
    spread: NDArray[np.uint64] = (found ^ found >> np.uint64(29)) * MIX[1]
    return spread


class Lookup:
    """Rows by key; the keys themselves stay in the caller's array, `words[row]`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._slots = np.full(SLOTS_AT_FIRST, _EMPTY, np.int32)
        self._filled = 0
        """Slots that are not empty, those of removed keys included."""

    def find(self, wanted: Words, words: Words) -> Index:
        """Return the row of each key, -1 for those that have none."""
        slots = self._slots_of(wanted, words)
        rows = self._slots[slots].astype(np.int64)
        return np.where(slots >= 0, rows, -1)

    def put(self, wanted: Words, rows: Index, words: Words) -> None:
        """Give distinct keys their rows, in place of those they had; `words[rows]` are the keys."""
        if not len(rows):
            return
        slots = self._slots_of(wanted, words)
        known = slots >= 0
        self._slots[slots[known]] = rows[known]
        new = rows[~known]
        if 2 * (self._filled + len(new)) > len(self._slots):
            self._rebuild(len(new), words)
        self._place(new, words)

    def remove(self, wanted: Words, words: Words) -> None:
        """Forget keys."""
        slots = self._slots_of(wanted, words)
        self._slots[slots[slots >= 0]] = _GONE

    def _starts(self, wanted: Words) -> Index:
        bits = len(self._slots).bit_length() - 1
        return (mixed(wanted) >> np.uint64(64 - bits)).astype(np.int64)

    def _slots_of(self, wanted: Words, words: Words) -> Index:
        """Return the slot of each key, -1 for those that have none."""
        found = np.full(len(wanted), -1, np.int64)
        slot, left = self._starts(wanted), np.arange(len(wanted))
        while len(left):
            rows = self._slots[slot]
            there = np.flatnonzero(rows >= 0)
            same = there[(words[rows[there]] == wanted[left[there]]).all(axis=1)]
            found[left[same]] = slot[same]
            on = rows != _EMPTY
            on[same] = False
            left, slot = left[on], slot[on] + 1 & len(self._slots) - 1
        return found

    def _place(self, rows: Index, words: Words) -> None:
        """Put rows whose keys have no slot yet into free ones."""
        self._filled += len(rows)
        slot = self._starts(words[rows])
        while len(rows):
            free = self._slots[slot] == _EMPTY
            self._slots[slot[free]] = rows[free]
            lost = self._slots[slot] != rows  # to another of these rows, or taken before
            rows, slot = rows[lost], slot[lost] + 1 & len(self._slots) - 1

    def _rebuild(self, more: int, words: Words) -> None:
        rows = self._slots[self._slots >= 0].astype(np.int64)
        size = SLOTS_AT_FIRST
        while size < 4 * (len(rows) + more):
            size *= 2
        self._slots = np.full(size, _EMPTY, np.int32)
        self._filled = 0
        self._place(rows, words)
