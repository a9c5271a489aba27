"""Requests and answers of HTTP for checks (RFC 9110, 9112): one request, one bounded answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .script import Place

AGENT: Final = "Mozilla/5.0 (compatible; Portulan)"
HEADERS_MAX: Final = 100
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*([0-9]{1,12})[ \t]*\r?$", re.I | re.M)
_CHUNKED: Final = re.compile(rb"^transfer-encoding:[^\r\n]{0,80}chunked", re.I | re.M)


def get(place: Place, path: str, method: str = "GET") -> bytes:
    """Return a request for a path; the connection is not to be kept."""
    return (f"{method} {path} HTTP/1.1\r\nHost: {place.host}\r\nUser-Agent: {AGENT}\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n").encode()


def whole(data: bytes) -> bool:
    """Tell whether an answer is complete; one without a length ends with its connection."""
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return False
    if data[9:12] in (b"204", b"304"):
        return True
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


def headers_of(head: bytes, name: str) -> list[str]:
    """Return the values of a header, one for each time it stands there."""
    wanted = name.lower().encode() + b":"
    return [
        line[len(wanted):].strip().decode("latin-1")
        for line in head.split(b"\r\n", HEADERS_MAX)[1:] if line.lower().startswith(wanted)]


@dataclass(frozen=True)
class Answer:
    """An answer's octets, and what its head says."""

    data: bytes

    @cached_property
    def head(self) -> bytes:
        """Status line and headers."""
        return self.data.partition(b"\r\n\r\n")[0]

    @cached_property
    def body(self) -> bytes:
        """What follows the head, as it came."""
        return self.data.partition(b"\r\n\r\n")[2]

    @cached_property
    def status(self) -> int:
        """The status, 0 where no status line stands."""
        found = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?:[ \r\n]|$)", self.data)
        return int(found[1]) if found else 0

    def header(self, name: str) -> str:
        """Return a header's first value, empty where it is missing."""
        return next(iter(headers_of(self.head, name)), "")
