from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.pace import BURST_NS, SECOND, TIMING, Pace, RoundTrip

MS = 1_000_000


def test_without_a_cap_all_may_leave_at_once():
    pace = Pace(0)
    assert pace.allowance(5, 10**6) == 10**6
    assert pace.ready_at(7) == 7


@given(
    st.floats(0.01, 1e6), st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 5000)),
                                   max_size=60))
def test_cap_is_never_exceeded_by_more_than_a_burst(rate, steps):
    pace, now, sent = Pace(rate), 0, 0
    for wait, room in steps:
        now += wait
        allowed = pace.allowance(now, room)
        assert 0 <= allowed <= room
        pace.spend(allowed)
        sent += allowed
        assert sent <= rate * now / SECOND + max(1.0, rate * BURST_NS / SECOND) + 1e-6


@given(st.floats(0.01, 1e6), st.integers(0, SECOND))
def test_waiting_until_ready_lets_something_leave(rate, now):
    pace = Pace(rate)
    for _ in range(20):
        while (allowed := pace.allowance(now, 1000)) > 0:
            pace.spend(allowed)
        ready = pace.ready_at(now)
        assert ready > now
        assert pace.allowance(ready, 1000) >= 1
        now = ready


def test_clock_that_stands_or_goes_back_earns_nothing():
    pace = Pace(1000)
    pace.spend(pace.allowance(SECOND, 10))
    assert pace.allowance(SECOND, 10) == pace.allowance(0, 10) == 0


def test_batch_sent_over_the_allowance_is_paid_back():
    pace = Pace(1000)
    pace.allowance(0, 1)
    pace.spend(101)
    assert pace.allowance(90 * MS, 10) == 0
    assert pace.allowance(110 * MS, 10) > 0


def test_first_wait_holds_until_a_sample_comes():
    trip = RoundTrip(first_wait_ns=300 * MS)
    assert trip.wait_ns == 300 * MS
    trip.feed(np.empty(0, np.int64))
    assert trip.wait_ns == 300 * MS
    trip.feed(np.array([200 * MS]))
    assert trip.samples == 1
    assert 200 * MS < trip.wait_ns <= 600 * MS


def test_one_sample_is_twice_its_own_variation():
    trip = RoundTrip()
    trip.feed(np.array([80 * MS]))
    # RFC 6298 section 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR; its one row counts
    # as two samples here, so the variation has come down by a quarter.
    assert trip.wait_ns == 80 * MS + 4 * 30 * MS


def test_slowest_of_a_batch_widens_the_wait():
    near, mixed = RoundTrip(), RoundTrip()
    for _ in range(10):
        near.feed(np.full(100, 10 * MS))
        mixed.feed(np.concatenate([np.full(99, 10 * MS), [300 * MS]]))
    assert near.wait_ns == 100 * MS
    assert mixed.wait_ns > 300 * MS


@given(st.lists(st.integers(0, 100 * SECOND), min_size=1, max_size=50))
def test_wait_stays_in_its_box(samples):
    trip = RoundTrip()
    trip.feed(np.array(samples))
    assert trip.wait_min_ns <= trip.wait_ns <= trip.wait_max_ns


@pytest.mark.parametrize("number", TIMING)
def test_templates_are_boxes_with_room(number):
    timing = TIMING[number]
    assert timing.rate_pps >= 0
    assert 0 <= timing.retries <= 15
    assert timing.wait_min_ms <= timing.first_wait_ms <= timing.wait_max_ms
    assert timing.host_timeout_s in (0, 900)
    assert number in range(6)
