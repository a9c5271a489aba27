"""`multipart/form-data`, sans I/O: a form's bytes to its files (RFC 7578, RFC 2046 section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple, TypeAlias

from portulan.sockets.serve_http import END_OF_HEAD, RefusedError

PART_HEAD_MAX_BYTES: Final = 8 * 1024
"""A part's headers; browsers send two of them."""

PARTS_MAX: Final = 1000
"""Fields and files of one form."""

BOUNDARY: Final = re.compile(
    r'multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))\s*(?:;.*)?',
    re.IGNORECASE,
)
FILENAME: Final = re.compile(rb';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class Part(NamedTuple):
    """A part begins; `filename` is the last name of what was sent, None for a plain field."""

    filename: str | None


class Data(NamedTuple):
    """Bytes of the part that began last."""

    data: bytes


class End(NamedTuple):
    """The part that began last is complete."""


Event: TypeAlias = Part | Data | End


def boundary(content_type: str | None) -> bytes | None:
    """Return a form's boundary, None for any other type of content."""
    match = BOUNDARY.fullmatch(content_type or "")
    return (match[1] or match[2]).encode("latin-1") if match else None


class Multipart:
    """A form's reader: feed bytes, get parts, their data and their ends."""

    def __init__(self, boundary: bytes) -> None:
        self.done = False
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line before it; with one given, all look alike.
        self._buffer = bytearray(b"\r\n")
        self._in_part = False
        self._between = False
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what these bytes complete; raises RefusedError for what is no form."""
        self._buffer += data
        while not self.done:
            if self._between:
                if not (yield from self._begin()):
                    return
            elif not (yield from self._content()):
                return

    def _content(self) -> Generator[Event, None, bool]:
        """Yield what stands before the next delimiter; before the first part it is dropped."""
        at = self._buffer.find(self._delimiter)
        # What may be the beginning of a delimiter waits for the rest of it.
        keep = len(self._delimiter) - 1
        end = at if at >= 0 else max(0, len(self._buffer) - keep)
        if end and self._in_part:
            yield Data(bytes(self._buffer[:end]))
        del self._buffer[:end]
        if at < 0:
            return False
        del self._buffer[: len(self._delimiter)]
        if self._in_part:
            yield End()
        self._in_part, self._between = False, True
        return True

    def _begin(self) -> Generator[Event, None, bool]:
        """Yield the part that begins after a delimiter, or see that it was the last."""
        if self._buffer.startswith(b"--"):
            self.done = True
            self._buffer.clear()
            return True
        end = self._buffer.find(END_OF_HEAD, 0, PART_HEAD_MAX_BYTES)
        if end < 0:
            if len(self._buffer) >= PART_HEAD_MAX_BYTES:
                raise RefusedError(400, "a part of the form has no end of its headers")
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(END_OF_HEAD)]
        if not head.startswith(b"\r\n"):
            raise RefusedError(400, "the form's boundary is followed by something else")
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise RefusedError(413, f"more than {PARTS_MAX} parts in one form")
        self._in_part, self._between = True, False
        yield Part(_filename(head))
        return True


def _filename(head: bytes) -> str | None:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-disposition:"):
            match = FILENAME.search(line)
            if match:
                raw = re.sub(rb'\\(["\\])', rb"\1", match[1])
                name = raw.decode("utf-8", "surrogateescape")
                # Some clients send a whole path, of their own system.
                return re.split(r"[/\\]", name)[-1]
    return None
