from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.sentlog import SentLog

batches = st.lists(st.tuples(
    st.integers(1, 50), st.integers(0, 20), st.integers(0, 9), st.integers(0, 1000)), max_size=200)


def logged(items):
    """Fill a log and keep a plain list beside it; gaps are positions that were answered."""
    log, rows, at, time = SentLog(), [], 0, 0
    for size, gap, pause, took in items:
        first, end = at + gap, at + gap + size
        start, stop = time + pause, time + pause + took
        log.add(first, end, start, stop)
        rows.append((first, end, start, stop))
        at, time = end, stop
    return log, rows


@given(batches)
def test_time_of_lies_in_its_batch_and_unsent_is_minus_one(items):
    log, rows = logged(items)
    last = rows[-1][1] if rows else 0
    position = np.arange(last + 5)
    times = log.time_of(position)
    for at in position.tolist():
        inside = [(s, e) for first, end, s, e in rows if first <= at < end]
        if inside:
            assert inside[0][0] <= times[at] <= inside[0][1]
        else:
            assert times[at] == -1
    known = times[times >= 0]
    assert (np.diff(known) >= 0).all()


@given(batches, st.integers(-1, 30_000))
def test_overdue_and_next_split_the_batches_at_the_horizon(items, horizon):
    log, rows = logged(items)
    gone = [row for row in rows if row[3] <= horizon]
    left = [row for row in rows if row[3] > horizon]
    assert log.overdue_until(horizon) == (gone[-1][1] if gone else 0)
    assert log.next_after(horizon) == (left[0][3] if left else None)
    assert log.last() == (rows[-1][3] if rows else None)
    assert len(log) == len(rows)


def test_time_inside_a_batch_is_interpolated():
    log = SentLog()
    log.add(100, 200, 1000, 2000)
    assert log.time_of(np.array([100, 150, 199, 200, 99])).tolist() == [1000, 1500, 1990, -1, -1]
