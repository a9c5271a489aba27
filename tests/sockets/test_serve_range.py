from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_http import Request, parse_head
from portulan.sockets.serve_range import (
    RANGES_MAX,
    UnsatisfiableError,
    Validators,
    http_date,
    precondition,
    ranges,
)

WHEN = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
SINCE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
STRONG = Validators('"a"', WHEN)
WEAK = Validators('W/"a"', WHEN)


def request(*lines: str, method: str = "GET") -> Request:
    return parse_head("\r\n".join([f"{method} / HTTP/1.1", "Host: a", *lines, "", ""]).encode())


def slices(text: str, size: int = 100) -> list[tuple[int, int]] | None:
    found = ranges(request(f"Range: {text}"), STRONG, size)
    return None if found is None else [tuple(each) for each in found]


def test_date_is_that_of_the_rfc() -> None:
    assert http_date(WHEN) == SINCE


@pytest.mark.parametrize("text, expected", [
    ("bytes=0-4", [(0, 5)]), ("bytes=5-", [(5, 95)]), ("bytes=-5", [(95, 5)]),
    ("bytes=-500", [(0, 100)]), ("bytes=90-500", [(90, 10)]), ("Bytes = 0-0", [(0, 1)]),
    ("bytes=0-0,50-59", [(0, 1), (50, 10)]), ("bytes=50-59,0-0", [(0, 1), (50, 10)]),
    ("bytes=0-9,5-19", [(0, 20)]), ("bytes=0-9,10-19", [(0, 20)]),
    ("bytes=0-1,,5-6", [(0, 2), (5, 2)]),
    ("bytes=0-1,200-", [(0, 2)]), ("bytes=0-99,0-99,0-99", [(0, 100)]),
    ("bytes=5-4", None), ("bytes=a-b", None), ("lines=0-4", None), ("bytes=", None),
    ("bytes=--1", None), ("bytes=0-4;", None), ("bytes=\u0660-", None),
])
def test_range_header_asks_for(text: str, expected: list[tuple[int, int]] | None) -> None:
    assert slices(text) == expected


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200,300-", "bytes=-0"])
def test_range_beyond_the_file_is_unsatisfiable(text: str) -> None:
    with pytest.raises(UnsatisfiableError):
        slices(text)


def test_any_range_of_an_empty_file_is_unsatisfiable() -> None:
    with pytest.raises(UnsatisfiableError):
        slices("bytes=0-", 0)


def test_too_many_ranges_get_the_whole_file() -> None:
    assert slices("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(RANGES_MAX + 1))) is None


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), min_size=1, max_size=9))
def test_ranges_together_are_never_more_than_the_file(pairs: list[tuple[int, int]]) -> None:
    text = "bytes=" + ",".join(f"{min(pair)}-{max(pair)}" for pair in pairs)
    try:
        found = slices(text)
    except UnsatisfiableError:
        assert all(min(pair) >= 100 for pair in pairs)
        return
    assert found
    got = [byte for start, length in found for byte in range(start, start + length)]
    wanted = {byte for pair in pairs for byte in range(min(pair), max(pair) + 1)}
    assert len(got) == len(set(got))
    assert set(got) == {byte for byte in wanted if byte < 100}


def test_head_request_ignores_ranges() -> None:
    assert ranges(request("Range: bytes=0-1", method="HEAD"), STRONG, 100) is None


@pytest.mark.parametrize("value, validators, partial", [
    ('"a"', STRONG, True), ('"b"', STRONG, False), ('W/"a"', WEAK, False), (SINCE, STRONG, True),
    (BEFORE, STRONG, False), (SINCE, WEAK, False), ("rubbish", STRONG, False),
])
def test_if_range_continues_only_the_same_file(
    value: str, validators: Validators, partial: bool
) -> None:
    asked = request("Range: bytes=0-1", f"If-Range: {value}")
    assert (ranges(asked, validators, 100) is not None) is partial


@pytest.mark.parametrize("lines, validators, status", [
    ([], STRONG, 0),
    (['If-None-Match: "a"'], STRONG, 304), (['If-None-Match: "b", W/"a"'], STRONG, 304),
    (['If-None-Match: "a"'], WEAK, 304), (["If-None-Match: *"], STRONG, 304),
    (['If-None-Match: "b"', f"If-Modified-Since: {SINCE}"], STRONG, 0),
    ([f"If-Modified-Since: {SINCE}"], STRONG, 304), ([f"If-Modified-Since: {BEFORE}"], STRONG, 0),
    (["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], STRONG, 304),
    (["If-Modified-Since: rubbish"], STRONG, 0), (["If-Modified-Since: 99999999999999"], STRONG, 0),
    (['If-Match: "a"'], STRONG, 0), (['If-Match: "b"'], STRONG, 412),
    (['If-Match: W/"a"'], WEAK, 412),
    (["If-Match: *"], WEAK, 0), ([f"If-Unmodified-Since: {BEFORE}"], STRONG, 412),
    ([f"If-Unmodified-Since: {SINCE}"], STRONG, 0),
    (['If-Match: "a"', f"If-Unmodified-Since: {BEFORE}"], STRONG, 0),
])
def test_condition_decides(lines: list[str], validators: Validators, status: int) -> None:
    assert precondition(request(*lines), validators) == status


def test_validator_of_a_file_that_just_changed_is_weak() -> None:
    def made(age_ns: int) -> Validators:
        return Validators.of(size=1, mtime_ns=10**18, ctime_ns=10**18, now_ns=10**18 + age_ns)

    assert made(10**9).weak
    assert not made(3 * 10**9).weak
    assert made(3 * 10**9).etag == made(9 * 10**9).etag


@given(st.integers(-2**62, 2**62), st.integers(0, 2**61))
def test_validators_of_any_time_are_headers(mtime_ns: int, now_ns: int) -> None:
    made = Validators.of(size=1, mtime_ns=mtime_ns, ctime_ns=0, now_ns=now_ns)
    assert all(value.isascii() and value.isprintable() for _, value in made.headers)
