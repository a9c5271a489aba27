"""The order of probing: a keyed bijection of 0..size-1, and shards of it.

A position is a place in the order of sending, an index names a probe (`space`). The bijection is a
Feistel network on pairs (left, right) of Z_a x Z_b, where a is a power of two near the square root
of `size` and b = ceil(size / a). So fewer than a of the a * b pairs lie outside 0..size-1, and
walking the cycle past those (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002)
hardly ever takes a second step. It scatters load; it is not a cipher and keeps no secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from portulan.errors import LimitError, UsageError

SIZE_MAX = 2**62
"""Indices: both halves must stay below 2**31, for a sum of two of them must fit 32 bits."""

ROUNDS = 6
"""Four make a Feistel network look random (Luby and Rackoff, 1988); tiny domains need more."""

_MASK_64 = 2**64 - 1


class Permutation:
    """A bijection of 0..size-1 that depends on `seed` (taken modulo 2**64).

    Raises `LimitError` where size is not within 1..SIZE_MAX.
    """

    def __init__(self, size: int, seed: int) -> None:
        if not 1 <= size <= SIZE_MAX:
            raise LimitError(f"cannot permute {size} probes: 1 to {SIZE_MAX} are possible")
        self.size, self.seed = size, seed
        self._shift = (size - 1).bit_length() // 2
        self._moduli = (-(-size >> self._shift), 1 << self._shift)
        self._keys = _keys(seed & _MASK_64, ROUNDS)

    def forward(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index probed at each position; input outside 0..size-1 raises `IndexError`."""
        return self._walk(position, range(ROUNDS), inverse=False)

    def inverse(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the position at which each index is probed."""
        return self._walk(index, range(ROUNDS - 1, -1, -1), inverse=True)

    def _walk(
        self, value: NDArray[np.int64], rounds: range, *, inverse: bool
    ) -> NDArray[np.int64]:
        if len(value) and not 0 <= int(value.min()) <= int(value.max()) < self.size:
            raise IndexError(f"outside of 0..{self.size - 1}")
        result = self._network(value, rounds, inverse=inverse)
        outside = np.flatnonzero(result >= self.size)
        while len(outside):
            result[outside] = self._network(result[outside], rounds, inverse=inverse)
            outside = outside[result[outside] >= self.size]
        return result

    def _network(
        self, value: NDArray[np.int64], rounds: range, *, inverse: bool
    ) -> NDArray[np.int64]:
        halves = [
            (value >> self._shift).astype(np.uint32),
            (value & (self._moduli[1] - 1)).astype(np.uint32),
        ]
        for number in rounds:
            changed, modulus = halves[number & 1], np.uint32(self._moduli[number & 1])
            added = _mix(halves[~number & 1], self._keys[number], modulus)
            # Unsigned arithmetic wraps, so that the smaller of x and x -+ m is x modulo m.
            if inverse:
                changed -= added
                np.minimum(changed, np.add(changed, modulus, out=added), out=changed)
            else:
                changed += added
                np.minimum(changed, np.subtract(changed, modulus, out=added), out=changed)
        result = halves[0].astype(np.int64)
        result <<= self._shift
        result |= halves[1]
        return result


def _mix(half: NDArray[np.uint32], key: np.uint32, modulus: np.uint32) -> NDArray[np.uint32]:
    """Return a keyed hash of each half, below `modulus`.

    The multipliers are those of MurmurHash3's 32-bit finaliser; the high half of hash * modulus
    is a fair number below modulus without a division.
    """
    mixed = half ^ key
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    wide = mixed.astype(np.uint64)
    wide *= np.uint64(modulus)
    wide >>= np.uint64(32)
    return wide.astype(np.uint32)


def _keys(seed: int, count: int) -> list[np.uint32]:
    """Return round keys from SplitMix64 (Steele, Lea, Flood, 2014)."""
    keys = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & _MASK_64
        mixed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
        keys.append(np.uint32((mixed ^ (mixed >> 31)) >> 32))
    return keys


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a scan that `count` machines share: every `count`-th position, from 1.

    >>> Shard.parse("2/3").positions(0, 9)
    array([1, 4, 7])
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                "no such shard", text=f"{self.number}/{self.count}",
                hint="shards count from 1: 1/4 to 4/4",
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str, *, where: str = "--shard") -> Self:
        """Return the shard that `NUMBER/COUNT` names; raises `UsageError`."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(
                "no such shard", text=text, where=where,
                hint="write i/n with i from 1 to n, as 2/4",
            )
        return cls(int(found[1]), int(found[2]))

    def positions(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return this shard's positions in start..stop-1, ascending."""
        first = start + (self.number - 1 - start) % self.count
        return np.arange(first, max(first, stop), self.count, dtype=np.int64)

    def size(self, total: int) -> int:
        """Return how many of `total` positions are this shard's."""
        return max(0, total - self.number + self.count) // self.count
