from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import LimitError, UsageError
from portulan.target.permutation import SIZE_MAX, Permutation, Shard

KNOWN = [76, 449, 786, 841, 269, 455, 176, 461]


def test_sizes_1_to_300_are_bijections_both_ways():
    for size in range(1, 301):
        order, every = Permutation(size, size * 31), np.arange(size)
        index = order.forward(every)
        assert (np.sort(index) == every).all(), size
        assert (order.inverse(index) == every).all(), size


@given(st.integers(1, SIZE_MAX), st.integers(-(2**70), 2**70), st.data())
def test_any_size_and_seed_inverse_undoes_forward(size, seed, data):
    values = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    position, order = np.array(values, np.int64), Permutation(size, seed)
    index = order.forward(position)
    assert ((index >= 0) & (index < size)).all()
    assert (order.inverse(index) == position).all()


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 3 * 10**5])
def test_large_size_is_a_bijection(size):
    assert (np.sort(Permutation(size, 1).forward(np.arange(size))) == np.arange(size)).all()


@pytest.mark.parametrize("size", [65_536, 1_000_003, 2**40 + 5])
def test_consecutive_positions_look_uniform(size):
    count, bins = 64_000, 64
    for seed in range(4):
        index = Permutation(size, seed).forward(np.arange(count))
        for part in (index * bins // size if size < 2**50 else index, index % bins):
            seen = np.bincount(part, minlength=bins)
            chi_squared = ((seen - count / bins) ** 2 / (count / bins)).sum()
            assert chi_squared < 140  # 63 degrees of freedom: exceeded once in 10**7


def test_neighbours_in_order_are_unrelated():
    index = Permutation(10**6, 3).forward(np.arange(10**5)) / 10**6
    assert abs(np.corrcoef(index[:-1], index[1:])[0, 1]) < 0.02


def test_small_domain_all_orders_are_reached():
    orders = {tuple(Permutation(4, seed).forward(np.arange(4))) for seed in range(2000)}
    assert len(orders) == 24


def test_same_seed_repeats_and_other_seed_differs():
    every = np.arange(1000)
    first = Permutation(1000, 7).forward(every)
    assert (first == Permutation(1000, 7).forward(every)).all()
    assert (first != Permutation(1000, 8).forward(every)).mean() > 0.98


def test_known_seed_keeps_its_order_so_that_old_charts_resume():
    assert Permutation(1000, 42).forward(np.arange(8)).tolist() == KNOWN


def test_wrong_size_or_position_raises():
    for size in (0, -1, SIZE_MAX + 1):
        with pytest.raises(LimitError):
            Permutation(size, 1)
    for wrong in (-1, 10):
        with pytest.raises(IndexError):
            Permutation(10, 1).forward(np.array([wrong]))


@given(st.integers(1, 9), st.integers(0, 100), st.integers(0, 100))
def test_union_of_shards_is_every_position_once(count, start, length):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    parts = [shard.positions(start, start + length) for shard in shards]
    assert np.sort(np.concatenate(parts)).tolist() == list(range(start, start + length))
    for shard in shards:
        assert len(shard.positions(0, length)) == shard.size(length)


def test_shard_text_round_trip():
    assert Shard.parse("2/4") == Shard(2, 4)
    assert str(Shard.parse(" 1/1 ")) == "1/1"


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "1/0", "-1/2", "a/b", "1/2/3", "²/3"])
def test_wrong_shard_text_names_it(text):
    with pytest.raises(UsageError, match="--shard") as caught:
        Shard.parse(text)
    assert caught.value.text == text


def test_wrong_shard_number_raises():
    with pytest.raises(UsageError):
        Shard(3, 2)
