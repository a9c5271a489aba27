"""Conditional and range requests: which status, and which bytes (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from portulan.sockets.serve_http import Request, Slice

RANGES_MAX: Final = 32
"""More ranges than that in one request are no download but the attack of CVE-2011-3192."""

FRESH_NS: Final = 2_000_000_000
"""A file that changed less than 2 s ago may change again within its time stamp's grain (FAT: 2 s,
ext4: a jiffy) and keep its validator: until then the validator is a weak one."""

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)
RANGE_UNIT: Final = re.compile(r"[ \t]*bytes[ \t]*=(.*)", re.IGNORECASE | re.DOTALL)
RANGE: Final = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")


class UnsatisfiableError(Exception):
    """None of the ranges asked for overlaps the file."""


def http_date(when: datetime) -> str:
    """Return an IMF-fixdate; `strftime` would follow the locale (RFC 9110 section 5.6.7)."""
    return (f"{DAYS[when.weekday()]}, {when.day:02} {MONTHS[when.month - 1]} {when.year:04} "
            f"{when:%H:%M:%S} GMT")


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another: entity tag and time of change."""

    etag: str
    modified: datetime

    @classmethod
    def of(cls, *, size: int, mtime_ns: int, ctime_ns: int, now_ns: int) -> Validators:
        """Return a file's validators; the change time catches tools that set the other one."""
        weak = "W/" if now_ns - max(mtime_ns, ctime_ns) < FRESH_NS else ""
        # A time from before 1970 or far ahead is still an answer, and never later than now
        # (RFC 9110 section 8.8.2.1).
        seconds = max(0, min(mtime_ns, now_ns)) // 1_000_000_000
        return cls(f'{weak}"{size:x}-{mtime_ns & (2**64 - 1):x}-{ctime_ns:x}"',
                   datetime.fromtimestamp(seconds, UTC))

    @property
    def weak(self) -> bool:
        """Whether two states may share this tag."""
        return self.etag.startswith("W/")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The two header fields that carry them."""
        return [("Last-Modified", http_date(self.modified)), ("ETag", self.etag)]


def precondition(request: Request, validators: Validators) -> int:
    """Return 412 or 304 if the request's conditions say so, else 0 (RFC 9110 section 13.2.2)."""
    if_match, if_none_match = request.header("if-match"), request.header("if-none-match")
    if if_match is not None:
        if not _listed(if_match, validators.etag, strong=True):
            return 412
    elif (since := _date(request.header("if-unmodified-since"))) and validators.modified > since:
        return 412
    if if_none_match is not None:
        return 304 if _listed(if_none_match, validators.etag, strong=False) else 0
    since = _date(request.header("if-modified-since"))
    return 304 if since and validators.modified <= since else 0


def ranges(request: Request, validators: Validators, size: int) -> list[Slice] | None:
    """Return the slices asked for, merged where they touch; None for the whole file.

    Raises UnsatisfiableError if the file has none of them. A header that is malformed, or whose
    `If-Range` no longer holds, asks for the whole file.
    """
    header = request.header("range")
    if header is None or request.method != "GET" or not _if_range(request, validators):
        return None
    match = RANGE_UNIT.fullmatch(header)
    words = [word.strip(" \t") for word in match[1].split(",")] if match else []
    words = [word for word in words if word]
    if not words or len(words) > RANGES_MAX:
        return None
    found = [RANGE.fullmatch(word) for word in words]
    asked = [_slice(each, size) for each in found if each]
    if len(asked) < len(words) or any(each is None for each in asked):
        return None
    real = [each for each in asked if each and each.length > 0]
    if not real:
        raise UnsatisfiableError
    return _merged(real)


def _slice(match: re.Match[str], size: int) -> Slice | None:
    """Return one range's slice; with length 0 if unsatisfiable, None if its end is before."""
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        return Slice(size - length, length)
    start = int(first)
    stop = int(last) + 1 if last else size
    if last and stop <= start:
        return None
    return Slice(start, max(0, min(stop, size) - start))


def _merged(asked: list[Slice]) -> list[Slice]:
    """Return slices in the file's order, those that overlap or touch joined: no byte goes twice.

    Many overlapping ranges would otherwise make one request cost many times the file.
    """
    merged: list[Slice] = []
    for each in sorted(asked):
        end = merged[-1].offset + merged[-1].length if merged else -1
        if each.offset <= end:
            last = merged.pop()
            stop = max(end, each.offset + each.length)
            merged.append(Slice(last.offset, stop - last.offset))
        else:
            merged.append(each)
    return merged


def _if_range(request: Request, validators: Validators) -> bool:
    """Tell if a partial answer would continue what the client has (RFC 9110 section 13.1.5)."""
    value = request.header("if-range")
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return value == validators.etag and not validators.weak
    return _date(value) == validators.modified and not validators.weak


def _listed(header: str, etag: str, *, strong: bool) -> bool:
    """Tell if an entity tag stands in a list (RFC 9110 section 8.8.3.2)."""
    if header.strip() == "*":
        return True
    words = {word.strip() for word in header.split(",")}
    if strong:
        return etag in words and not etag.startswith("W/")
    return etag.removeprefix("W/") in {word.removeprefix("W/") for word in words}


def _date(value: str | None) -> datetime | None:
    """Return an HTTP date, None for what is none: such a condition does not count."""
    if value is None:
        return None
    try:
        when = parsedate_to_datetime(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
