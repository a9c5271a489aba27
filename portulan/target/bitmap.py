"""One bit a probe: which indices were answered; for retries, resume and proofs of coverage."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import DamageError, LimitError

SIZE_MAX = 2**36
"""Bits, 8 GiB: the whole IPv4 space on 16 ports. Pages that are never touched cost nothing."""


class Bitmap:
    """A set of indices in 0..size-1; bit `i` is bit `i % 8` of byte `i // 8`, lowest first.

    >>> answered = Bitmap(10)
    >>> answered.set(np.array([3, 4, 3]))
    >>> answered.count(), answered.unset(2, 6)
    (2, array([2, 5]))
    """

    def __init__(self, size: int) -> None:
        if not 0 <= size <= SIZE_MAX:
            raise LimitError(f"{size} probes are too many to remember: at most {SIZE_MAX}")
        self.size = size
        self._bytes = np.zeros((size + 7) // 8, np.uint8)

    def set(self, index: NDArray[np.int64]) -> None:
        """Set the bits of these indices; an index may stand there more than once."""
        index = self._checked(index)
        at, bit = index >> 3, _bit(index)
        # Of indices that share a byte only the last assignment stays, so take the lost ones again:
        # each turn sets at least one more bit of each byte, which ends it after at most eight.
        while len(at):
            self._bytes[at] |= bit
            lost = (self._bytes[at] & bit) == 0
            at, bit = at[lost], bit[lost]

    def get(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each index whether its bit is set."""
        index = self._checked(index)
        bits: NDArray[np.uint8] = self._bytes[index >> 3] & _bit(index)
        return bits.astype(np.bool_)

    def count(self) -> int:
        """Return how many bits are set."""
        return int(np.bitwise_count(self._bytes).sum(dtype=np.int64))

    def unset(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the indices in start..stop-1 whose bits are not set, ascending."""
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return np.empty(0, np.int64)
        first = start >> 3
        bits = np.unpackbits(self._bytes[first : (stop + 7) >> 3], bitorder="little")
        found = np.flatnonzero(bits[start - (first << 3) : stop - (first << 3)] == 0)
        return found.astype(np.int64, copy=False) + start

    def to_bytes(self) -> bytes:
        """Return the bits as (size + 7) // 8 bytes; those past `size` are zero."""
        return self._bytes.tobytes()

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Return the bitmap that `to_bytes` gave; raises `DamageError` if it cannot be one."""
        bitmap = cls(size)
        if len(data) != len(bitmap._bytes) or (size & 7 and data[-1] >> (size & 7)):
            raise DamageError(f"{len(data)} bytes are no bitmap of {size} probes")
        bitmap._bytes = np.frombuffer(data, np.uint8).copy()
        return bitmap

    def _checked(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < self.size:
            raise IndexError(f"outside of 0..{self.size - 1}")
        return index


def _bit(index: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (index & 7).astype(np.uint8))
