"""SipHash over columns: the keyed hash by which a stateless scan knows its own replies.

A reply is believed only if it returns a value that nobody without the key can compute. SipHash
(Aumasson and Bernstein, 2012) is made for that; Linux takes it for its own sequence numbers and
SYN cookies. The default is SipHash-2-4, which has its designers' full security margin; 1-3 is a
third cheaper and is what hash tables use, where an attacker sees no output.

Words that are plain ints are hashed once, in front; so put what all rows share (a source address,
a purpose) first, and only the columns cost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

CHUNK_ROWS = 4096
"""Rows hashed at once: six columns of 32 KiB stay in the second cache; smaller chunks pay NumPy's
calls more often (measured: 67 ns a row, at 2048 100 ns)."""

_MASK = (1 << 64) - 1


class Rounds(NamedTuple):
    """How many rounds follow each word, and how many end the hash."""

    word: int
    final: int


SIPHASH_2_4 = Rounds(2, 4)
SIPHASH_1_3 = Rounds(1, 3)


def siphash(
    key: tuple[int, int], *words: int | Words, rounds: Rounds = SIPHASH_2_4
) -> Words:
    """Return the hash of each row's 64-bit words, as if they were one little-endian message.

    `key` is the 128-bit key as (low, high) halves. Words are ints, the same for all rows, or
    columns of one length; at least one is a column.
    """
    length = (8 * len(words) & 0xFF) << 56
    return compress(key, (*words, length), rounds)


def compress(key: tuple[int, int], blocks: tuple[int | Words, ...], rounds: Rounds) -> Words:
    """Return SipHash of message blocks, the last of which already holds the message's length."""
    state = start(key)
    lead = next((i for i, block in enumerate(blocks) if not isinstance(block, int)), len(blocks))
    for block in blocks[:lead]:
        state = absorb(state, int(block), rounds.word)
    rest = blocks[lead:]
    columns = [block for block in rest if not isinstance(block, int)]
    if not columns:
        raise ValueError("siphash needs a column: hash one row as a column of one")
    out = np.empty(len(columns[0]), np.uint64)
    if any(len(column) != len(out) for column in columns):
        raise ValueError("siphash needs columns of one length")
    for low in range(0, len(out), CHUNK_ROWS):
        part = slice(low, low + CHUNK_ROWS)
        chunk = [np.uint64(b) if isinstance(b, int) else b[part].astype(np.uint64) for b in rest]
        _hash_chunk(state, chunk, rounds, out[part])
    return out


def start(key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the initial state of a key; the constants spell "somepseudorandomlygeneratedbytes"."""
    low, high = key
    return (
        low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D,
        low ^ 0x6C7967656E657261, high ^ 0x7465646279746573,
    )


def absorb(state: tuple[int, int, int, int], block: int, rounds: int) -> tuple[int, int, int, int]:
    """Return the state after one block that is the same for all rows."""
    v0, v1, v2, v3 = state
    v3 ^= block
    for _ in range(rounds):
        v0, v2 = v0 + v1 & _MASK, v2 + v3 & _MASK
        v1, v3 = _rotated(v1, 13) ^ v0, _rotated(v3, 16) ^ v2
        v0, v2 = _rotated(v0, 32) + v3 & _MASK, v2 + v1 & _MASK
        v1, v3 = _rotated(v1, 17) ^ v2, _rotated(v3, 21) ^ v0
        v2 = _rotated(v2, 32)
    return v0 ^ block, v1, v2, v3


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> 64 - by) & _MASK


def _hash_chunk(
    state: tuple[int, int, int, int], blocks: list[Words | np.uint64], rounds: Rounds, out: Words
) -> None:
    v = np.empty((4, len(out)), np.uint64)
    v[:] = np.array(state, np.uint64)[:, None]
    scratch = np.empty(len(out), np.uint64)
    for block in blocks:
        v[3] ^= block
        _rounds(v, rounds.word, scratch)
        v[0] ^= block
    v[2] ^= np.uint64(0xFF)
    _rounds(v, rounds.final, scratch)
    np.bitwise_xor.reduce(v, axis=0, out=out)


def _rounds(v: Words, count: int, scratch: Words) -> None:
    v0, v1, v2, v3 = v
    for _ in range(count):
        v0 += v1
        _rotate(v1, 13, scratch)
        v1 ^= v0
        _rotate(v0, 32, scratch)
        v2 += v3
        _rotate(v3, 16, scratch)
        v3 ^= v2
        v0 += v3
        _rotate(v3, 21, scratch)
        v3 ^= v0
        v2 += v1
        _rotate(v1, 17, scratch)
        v1 ^= v2
        _rotate(v2, 32, scratch)


def _rotate(word: Words, by: int, scratch: Words) -> None:
    np.right_shift(word, np.uint64(64 - by), out=scratch)
    np.left_shift(word, np.uint64(by), out=word)
    np.bitwise_or(word, scratch, out=word)
