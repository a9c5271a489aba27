import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.bucket import PERIOD_MAX_NS, Bucket

from .limiter import MS, SECOND


def test_bucket_is_bounded_from_below_by_what_came_too_early_and_from_above_by_answers():
    bucket = Bucket(0)
    bucket.was_empty(800 * MS, bucket.early(800 * MS, 0))
    assert bucket.least_ns == 800 * MS
    bucket.answered(1100 * MS)
    bucket.answered(2100 * MS)
    bucket.answered(3100 * MS)
    assert bucket.most_ns == (3100 - 800) * MS / 2
    assert 700 * MS < bucket.least_ns < bucket.period_ns < bucket.most_ns


def test_without_an_answer_nothing_is_known():
    bucket = Bucket(0)
    assert not bucket.known
    bucket.was_empty(300 * MS, bucket.early(300 * MS, 0))
    assert not bucket.known
    bucket.answered(900 * MS)
    assert bucket.known
    assert bucket.period_ns <= PERIOD_MAX_NS


def test_questions_under_way_may_have_spent_the_token():
    bucket = Bucket(0)
    assert bucket.early(900 * MS, 2) == 300 * MS


def test_tokens_come_in_by_the_period_and_the_floor_by_the_upper_bound():
    bucket = Bucket(0, burst=6, least_ns=900 * MS, most_ns=1100 * MS)
    bucket.level = 0
    bucket.fill(2200 * MS)
    assert bucket.floor == pytest.approx(2)
    assert 2 < bucket.level < 2.45
    assert bucket.ready_at(1, surely=True) == 2200 * MS
    assert bucket.ready_at(3, surely=True) == pytest.approx(3300 * MS, abs=2)
    bucket.fill(100 * SECOND)
    assert bucket.level == bucket.floor == 6


def test_lower_bound_gives_way_slower_once_proven_again():
    def falls(proofs):
        bucket = Bucket(0, most_ns=2 * SECOND)
        for _ in range(proofs):
            bucket.was_empty(bucket.answered_ns + SECOND, SECOND)
        least = bucket.least_ns
        bucket.answered(bucket.answered_ns + SECOND)
        return least - bucket.least_ns

    assert 0 < falls(5) < falls(1)


def test_doubting_all_begins_anew():
    bucket = Bucket(0, least_ns=SECOND, most_ns=1.1 * SECOND)
    bucket.forget(9 * SECOND)
    assert not bucket.known
    assert bucket.least_ns == 0


@given(
    st.floats(1e6, 8e9), st.integers(1, 10), st.lists(st.floats(0.0, 3.0), max_size=60),
    st.floats(0, 1),
)
def test_bounds_hold_the_true_period_whatever_is_asked_when(period, burst, gaps, level):
    """Each question is judged at once, and what came too early is asked again until it succeeds."""
    bucket, now, at, early = Bucket(0, burst=burst), 0.0, 0.0, None
    for gap in gaps:
        now += gap * period
        level, at = min(burst, level + (now - at) / period), now
        asked = int(now)
        if level >= 1:
            level -= 1
            if early is not None:
                bucket.was_empty(*early)
            early = None
            bucket.answered(asked)
        else:
            early = (asked, bucket.early(asked, 0))
        assert bucket.most_ns >= period * 0.999 - 2
        assert gap > 1 or bucket.least_ns <= period * (1 + max(gaps)) + 2
