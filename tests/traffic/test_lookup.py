from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.traffic import lookup as module
from portulan.traffic.lookup import SLOTS_AT_FIRST, Lookup

WORDS = np.random.default_rng(1).integers(0, 1 << 63, (5000, 5)).astype(np.uint64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "remove"]),
                          st.lists(st.integers(0, 60), unique=True, max_size=30)), max_size=12))
def test_lookup_knows_what_a_dict_knows(steps):
    known, lookup, words = {}, Lookup(), np.zeros((2000, 5), np.uint64)
    row = 0
    for what, keys in steps:
        wanted = WORDS[keys] if keys else WORDS[:0]
        if what == "put":
            rows = np.arange(row, row + len(keys))
            row += len(keys)
            words[rows] = wanted
            lookup.put(wanted, rows, words)
            known |= dict(zip(keys, rows.tolist(), strict=True))
        else:
            lookup.remove(wanted, words)
            known = {key: value for key, value in known.items() if key not in keys}
        assert lookup.find(WORDS[:61], words).tolist() == [known.get(n, -1) for n in range(61)]


@pytest.mark.parametrize("collide", [False, True])
def test_more_keys_than_slots_are_all_kept(collide, monkeypatch):
    count = 300 if collide else SLOTS_AT_FIRST
    if collide:
        monkeypatch.setattr(module, "MIX", np.zeros(5, np.uint64))
    lookup = Lookup()
    for start in range(0, count, 100):
        rows = np.arange(start, min(start + 100, count))
        lookup.put(WORDS[rows], rows, WORDS)
    assert lookup.find(WORDS[:count], WORDS).tolist() == list(range(count))
    assert lookup.find(WORDS[count : count + 9], WORDS).tolist() == [-1] * 9


def test_removed_keys_do_not_fill_it_up():
    lookup = Lookup()
    for n in range(4 * SLOTS_AT_FIRST):
        row = np.array([n % 5000])
        lookup.put(WORDS[row], row, WORDS)
        lookup.remove(WORDS[row], WORDS)
    assert len(lookup._slots) == SLOTS_AT_FIRST


def test_cleared_lookup_knows_nothing():
    lookup = Lookup()
    lookup.put(WORDS[:3], np.arange(3), WORDS)
    lookup.clear()
    assert lookup.find(WORDS[:3], WORDS).tolist() == [-1, -1, -1]
