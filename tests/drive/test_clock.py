from __future__ import annotations

import time

import pytest

from portulan.drive.clock import Clock, rfc3339


@pytest.mark.parametrize(("ns", "text"), [
    (0, "1970-01-01T00:00:00.000000Z"), (1_999, "1970-01-01T00:00:00.000001Z"),
    (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456Z"),
])
def test_unix_time_as_text_keeps_microseconds(ns, text):
    assert rfc3339(ns) == text


def test_monotonic_time_plus_offset_is_unix_time():
    before = time.time_ns()
    there = Clock.now() + Clock.offset()
    assert before - 10**9 < there < time.time_ns() + 10**9
    assert Clock.now() <= Clock.now()
    assert abs(Clock.unix() - time.time_ns()) < 10**9
