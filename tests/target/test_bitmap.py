from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import DamageError, LimitError
from portulan.target.bitmap import SIZE_MAX, Bitmap

indices = st.lists(st.integers(0, 199), max_size=60)


def filled(values: list[int], size: int = 200) -> Bitmap:
    bitmap = Bitmap(size)
    bitmap.set(np.array(values, np.int64))
    return bitmap


@given(indices, indices)
def test_two_sets_hold_exactly_the_union(first, second):
    bitmap = filled(first)
    bitmap.set(np.array(second, np.int64))
    wanted = set(first) | set(second)
    assert bitmap.get(np.arange(200)).nonzero()[0].tolist() == sorted(wanted)
    assert bitmap.count() == len(wanted)


@given(indices, st.integers(-5, 210), st.integers(-5, 210))
def test_unset_any_window_lists_the_rest(values, start, stop):
    wanted = [at for at in range(200) if at not in values and start <= at < stop]
    assert filled(values).unset(start, stop).tolist() == wanted


@given(indices)
def test_bytes_round_trip_keeps_every_bit(values):
    bitmap = filled(values)
    again = Bitmap.from_bytes(200, bitmap.to_bytes())
    assert again.to_bytes() == bitmap.to_bytes()
    again.set(np.array([199]))  # a copy that can be written, not a view of the bytes
    assert again.get(np.array([199]))[0]


def test_one_byte_all_bits_in_one_call_sets_all():
    assert filled([*range(8)] * 3, 8).to_bytes() == b"\xff"


def test_index_outside_raises():
    for wrong in (-1, 200):
        with pytest.raises(IndexError):
            filled([wrong])
        with pytest.raises(IndexError):
            filled([]).get(np.array([wrong]))


def test_damaged_bytes_are_refused():
    for data in (b"", b"\0", b"\0\0\0", b"\0\x04"):
        with pytest.raises(DamageError):
            Bitmap.from_bytes(10, data)


def test_empty_and_too_large_sizes():
    assert Bitmap(0).to_bytes() == b"" and Bitmap(0).count() == 0
    with pytest.raises(LimitError):
        Bitmap(SIZE_MAX + 1)
