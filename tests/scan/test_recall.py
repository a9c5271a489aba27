from __future__ import annotations

import numpy as np
import pytest

from portulan.scan.recall import SAMPLE_MAX, Estimate, Tally, choose, estimate, loss_late


def tries(*counts):
    return np.array([0, *counts, *[0] * (17 - len(counts))], np.int64)


def test_nobody_silent_misses_nothing():
    assert estimate(tries(10), 0, Tally(silent=0)) == Estimate(0.0, 0.0, 0.0)


def test_many_answers_to_first_tries_only_miss_nothing():
    found = estimate(tries(1_000), 0, Tally(500, 500, 0, 200, 200))
    assert (found.low, found.high) == (0, 0)
    assert found.estimate < 0.01


def test_way_that_has_closed_may_hide_every_silent_probe():
    found = estimate(tries(1_000), 0, Tally(500, 500, 0, sentinels=200, returned=0))
    assert found.high == 500


def test_sentinels_that_stay_away_raise_the_upper_end():
    good = estimate(tries(500, 50), 3, Tally(500, 500, 3, 200, 180))
    bad = estimate(tries(500, 50), 3, Tally(500, 500, 3, 200, 120))
    assert bad.high > good.high


def test_found_in_a_sample_stands_for_the_rest():
    found = estimate(tries(1_000, 100), 0, Tally(10_000, 1_000, 10, 200, 182))
    assert found.low < 90 < found.high
    assert found.estimate == pytest.approx(105, abs=12)


def test_huge_count_keeps_an_ordered_interval():
    found = estimate(tries(10**6, 5 * 10**5), 400_000, Tally(10**7))
    assert 0 < found.low < found.estimate < found.high < 10**7


def test_mixed_hosts_lose_more_at_later_tries():
    assert loss_late(tries(900, 60, 30, 15, 8)) > 0.3
    assert loss_late(tries(900, 90, 9, 1)) < 0.15


def test_recall_is_met_by_the_upper_end():
    assert Estimate(0.1, 0, 1).met(999, 0.999)
    assert not Estimate(0.1, 0, 2).met(999, 0.999)


def test_choice_is_bounded_and_spread():
    answered = np.arange(50_000) % 2 == 0
    silent, sentinels = choose(answered, answered)
    assert len(silent) == SAMPLE_MAX
    assert not answered[silent].any() and answered[sentinels].all()
    assert silent[-1] > 49_900
