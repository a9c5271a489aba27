from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.cookie import (
    CHUNK_ROWS,
    SIPHASH_1_3,
    SIPHASH_2_4,
    absorb,
    compress,
    siphash,
    start,
)

KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
u64 = st.integers(0, (1 << 64) - 1)


def scalar(key, words, rounds):
    state = start(key)
    for word in (*words, (8 * len(words) & 0xFF) << 56):
        state = absorb(state, word, rounds.word)
    v0, v1, v2, v3 = absorb((state[0], state[1], state[2] ^ 0xFF, state[3]), 0, rounds.final)
    return v0 ^ v1 ^ v2 ^ v3


def test_paper_example_of_15_bytes_is_its_published_hash():
    message = bytes(range(15)) + b"\x0f"
    first, last = (np.frombuffer(message[i : i + 8], "<u8") for i in (0, 8))
    assert compress(KEY, (first, last), SIPHASH_2_4).tolist() == [0xA129CA6149BE45E5]


def test_reference_vectors_of_8_and_16_bytes():
    first, second = (np.frombuffer(bytes(range(i, i + 8)), "<u8") for i in (0, 8))
    assert siphash(KEY, first).tolist() == [0x93F5F5799A932462]
    assert siphash(KEY, first, second).tolist() == [0x3F2ACC7F57C29BDB]
    assert siphash(KEY, int(first[0]), second).tolist() == [0x3F2ACC7F57C29BDB]


@given(u64, u64, st.lists(st.tuples(u64, u64), min_size=1, max_size=5), u64,
       st.sampled_from([SIPHASH_1_3, SIPHASH_2_4]))
def test_columns_equal_scalars_wherever_the_shared_word_stands(low, high, rows, shared, rounds):
    a, b = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    for words in ((a, b), (shared, a, b), (a, shared, b), (a, b, shared)):
        got = siphash((low, high), *words, rounds=rounds).tolist()
        want = [
            scalar((low, high), [w if isinstance(w, int) else int(w[i]) for w in words], rounds)
            for i in range(len(rows))
        ]
        assert got == want


def test_batches_beyond_one_chunk_hash_row_by_row():
    words = np.arange(CHUNK_ROWS * 2 + 3, dtype=np.uint64)
    whole = siphash(KEY, words)
    assert len(set(whole.tolist())) == len(words)
    assert whole[-1:].tolist() == siphash(KEY, words[-1:]).tolist()
    assert words[1] == 1
    assert siphash(KEY, words[:0]).tolist() == []


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="needs a column"):
        siphash(KEY, 1)
    with pytest.raises(ValueError, match="one length"):
        siphash(KEY, np.zeros(2, np.uint64), np.zeros(3, np.uint64))
