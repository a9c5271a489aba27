from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from portulan.target.ranges import Range, address_count, merge, overlap, subtract

ranges = st.lists(
    st.builds(Range, st.sampled_from([4, 6]), st.integers(0, 60), st.integers(0, 12)), max_size=8)


def members(items):
    return {(item.family, number) for item in items for number in range(item.start, item.stop)}


@given(ranges)
def test_merge_keeps_members_sorted_and_apart(items):
    merged = merge(items)
    assert members(merged) == members(items)
    assert address_count(merged) == len(members(items))
    for one, other in pairwise(merged):
        assert (one.family, one.stop) < (other.family, other.start)


@given(ranges, ranges)
def test_subtract_and_overlap_are_set_operations(items, others):
    assert members(subtract(items, merge(others))) == members(items) - members(others)
    assert members(overlap(items, merge(others))) == members(items) & members(others)


def test_text_is_a_net_where_it_is_one():
    assert str(Range(4, 0, 1 << 32)) == "0.0.0.0/0"
    assert str(Range(4, 10 << 24, 2)) == "10.0.0.0/31"
    assert str(Range(4, (10 << 24) + 1, 2)) == "10.0.0.1-10.0.0.2"
    assert str(Range(6, 1)) == "::1"
