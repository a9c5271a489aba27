"""Whether an answer is whole by its own framing, so that nobody need wait for more."""

from __future__ import annotations

import re
from typing import Final

from .judge import judge
from .reply import Reply
from .rules import Book

LOOKED_AT_MAX: Final = 16 << 10
"""Bytes beyond which an answer is only timed: looking again at each piece would cost squares."""
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n")
_BODILESS: Final = re.compile(rb"HTTP/1\.[01] (?:204|304|1\d\d)[ \r]")


def is_whole(reply: Reply, book: Book | None = None) -> bool:
    """Tell whether nothing more can come that matters: framed to its end, or all is told.

    A text counts only up to the end of a line: half a version would be a wrong one.
    """
    data = reply.data
    if len(data) > LOOKED_AT_MAX:
        return False
    if data.startswith(b"HTTP/1."):
        return _http_whole(data)
    if data[-1:] != b"\n":
        return False
    verdict = judge(reply, book)
    return verdict is not None and bool(verdict.product and verdict.version)


def _http_whole(data: bytes) -> bool:
    """Tell whether the message ends by RFC 9112 section 6.3."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head, body = data[: end + 2], data[end + 4 :]
    if _BODILESS.match(head):
        return True
    length = _LENGTH.search(head)
    if length:
        return len(body) >= int(length[1])
    return b"chunked" in head.lower() and body.endswith(b"0\r\n\r\n")
