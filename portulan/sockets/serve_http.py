"""HTTP/1.1 messages, sans I/O: bytes to `Request`, `Response` to bytes (RFC 9110, RFC 9112).

Strict where leniency smuggles requests: a bare LF or CR, a folded header, blank before a colon, a
second length or a length beside `Transfer-Encoding` end in 400. Lenient in one point: bytes over
0x7f in a target count as percent-encoded, for curl sends UTF-8 names as they were typed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

from portulan.errors import PortulanError

HEAD_MAX_BYTES: Final = 16 * 1024
"""Request line and headers together; nginx's four 8 KiB buffers are hardly ever filled."""

TARGET_MAX_BYTES: Final = 8 * 1024
"""RFC 9112 section 3 asks for at least 8,000."""

HEADERS_MAX: Final = 100
"""As Apache's LimitRequestFields; browsers send about 20."""

CHUNK_LINE_MAX_BYTES: Final = 256
"""A chunk's size and its extensions, which nobody uses; unbounded they cost memory for nothing."""

TRAILER_MAX_BYTES: Final = 4096

LENGTH_DIGITS_MAX: Final = 18
"""Below 2**63: what a file offset holds."""

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb") ([!-~\x80-\xff]+) HTTP/([0-9])\.([0-9])")
HEADER_LINE: Final = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
ABSOLUTE_FORM: Final = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)([^#]*)")
HOST: Final = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.%]+\])(?::[0-9]*)?")
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
END_OF_HEAD: Final = b"\r\n\r\n"


class RefusedError(PortulanError):
    """The request cannot be answered as it was asked; `status` says why, in HTTP's own words."""

    def __init__(self, status: int, reason: str = "", headers: Headers = ()) -> None:
        self.status, self.headers = status, headers
        super().__init__(reason or PHRASES[status])


Headers: TypeAlias = Sequence[tuple[str, str]]
RequestLine: TypeAlias = tuple[str, str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request's head, as received.

    `target` is the origin form with latin-1 text for bytes, `headers` have lower-case names,
    `length` is the body's in bytes: None if it comes in chunks.
    """

    method: str
    target: str
    version: tuple[int, int]
    headers: tuple[tuple[str, str], ...]
    length: int | None
    keep_alive: bool
    head: bytes

    def header(self, name: str) -> str | None:
        """Return a header's values joined by commas (RFC 9110 section 5.2), None without one."""
        found = [value for key, value in self.headers if key == name]
        return ", ".join(found) if found else None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Slice(NamedTuple):
    """So many bytes of a response's file, from an offset."""

    offset: int
    length: int


class Source(NamedTuple):
    """The file a response was made of: its path, and what tells if it is still the same."""

    path: str
    stamp: tuple[int, ...]


@dataclass(slots=True)
class Response:
    """What is sent back: a status, headers, and parts: bytes, or slices of `file`.

    Whoever sends it closes `file`, a descriptor. With a `source` it may be kept and sent again
    to the same request, as long as the source's stamp stays.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    parts: list[bytes | Slice] = field(default_factory=list)
    file: int = -1
    source: Source | None = None

    @property
    def length(self) -> int:
        """The body's bytes."""
        return sum(len(part) if isinstance(part, bytes) else part.length for part in self.parts)


def plain(status: int, text: str = "", headers: Headers = ()) -> Response:
    """Return a response of one line of text for people."""
    body = (text or PHRASES[status]).encode() + b"\n"
    return Response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], [body])


def parse_head(head: bytes) -> Request:
    """Return the request that a head says; `head` ends with its empty line.

    Raises RefusedError with 400, 414, 417, 431, 501 or 505.
    """
    (method, target, version), headers = read_lines(head)
    target = _origin_form(method, target, headers, version)
    hosts = [value for key, value in headers if key == "host"]
    if len(hosts) != 1 and (hosts or version >= (1, 1)):
        raise RefusedError(400, "exactly one Host header is needed")
    if hosts and not HOST.fullmatch(hosts[0]):
        raise RefusedError(400, "the Host header is no host")
    return Request(
        method=method, target=target, version=version, headers=headers,
        length=_body_length(headers, version), keep_alive=_keep_alive(headers, version), head=head,
    )


def read_lines(head: bytes) -> tuple[RequestLine, tuple[tuple[str, str], ...]]:
    """Return a head's request line (method, target, version) and headers; raises RefusedError."""
    first, *lines = head[: -len(END_OF_HEAD)].split(b"\r\n")
    return _request_line(first), _headers(lines)


def _request_line(line: bytes) -> RequestLine:
    if len(line) > TARGET_MAX_BYTES:
        raise RefusedError(414, f"the target is longer than {TARGET_MAX_BYTES} bytes")
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RefusedError(400, "the first line is no HTTP request line")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise RefusedError(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
    return method.decode(), target.decode("latin-1"), (1, min(int(minor), 1))


def _headers(lines: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    if len(lines) > HEADERS_MAX:
        raise RefusedError(431, f"more than {HEADERS_MAX} headers")
    return tuple(_header(line) for line in lines)


def _header(line: bytes) -> tuple[str, str]:
    match = HEADER_LINE.fullmatch(line)
    if match is None:
        raise RefusedError(400, "a header line is malformed")
    return match[1].decode().lower(), match[2].rstrip(b" \t").decode("latin-1")


def _origin_form(method: str, target: str, headers: Headers, version: tuple[int, int]) -> str:
    """Return the path of any form of target (RFC 9112 section 3.2)."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute and (version < (1, 1) or any(key == "host" for key, _ in headers)):
        path = absolute[2]
        return path if path.startswith("/") else "/" + path
    raise RefusedError(400, "the target is no path")


def _body_length(headers: Headers, version: tuple[int, int]) -> int | None:
    """Return how long the body is, None if chunked (RFC 9112 section 6.3)."""
    lengths = [value for key, value in headers if key == "content-length"]
    codings = [value for key, value in headers if key == "transfer-encoding"]
    if codings:
        if lengths or version < (1, 1):
            raise RefusedError(400, "Transfer-Encoding must stand alone, and in HTTP/1.1")
        if [each.lower() for each in codings] != ["chunked"]:
            raise RefusedError(501, "the only transfer coding known here is chunked")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]+", lengths[0]):
        raise RefusedError(400, "Content-Length must be one number")
    if len(lengths[0]) > LENGTH_DIGITS_MAX:
        raise RefusedError(413, "Content-Length is beyond any file")
    return int(lengths[0])


def _keep_alive(headers: Headers, version: tuple[int, int]) -> bool:
    words = {
        word.strip().lower()
        for key, value in headers if key == "connection"
        for word in value.split(",")
    }
    return "close" not in words and (version >= (1, 1) or "keep-alive" in words)


def head_bytes(
    response: Response, *, date: bytes, keep_alive: bool, version: tuple[int, int]
) -> bytes:
    """Return a response's head; its Date comes first, for whoever renews it in a kept head."""
    status = response.status
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, '')}", "Date: " + date.decode()]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if not 100 <= status < 200 and status not in {204, 304}:
        lines.append(f"Content-Length: {response.length}")
    if not keep_alive:
        lines.append("Connection: close")
    elif version < (1, 1):
        lines.append("Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Chunks:
    """A chunked body's decoder (RFC 9112 section 7.1): feed bytes, get the body's."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._expect_line_end = False
        self._trailer_bytes = -1

    def take(self, buffer: bytearray) -> bytes:
        """Return the next piece of body and cut it off the buffer; empty if more is needed.

        Raises RefusedError(400) for what is no chunk. Ask again until it is empty or `done`.
        """
        while not self.done:
            if self._left:
                return self._data(buffer)
            if self._expect_line_end:
                if len(buffer) < 2:
                    return b""
                self._line(buffer, 2)
                self._expect_line_end = False
            elif self._trailer_bytes >= 0:
                if not self._trailer(buffer):
                    return b""
            elif not self._size(buffer):
                return b""
        return b""

    def _data(self, buffer: bytearray) -> bytes:
        piece = bytes(buffer[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        self._expect_line_end = not self._left
        return piece

    def _size(self, buffer: bytearray) -> bool:
        line = self._line(buffer, CHUNK_LINE_MAX_BYTES)
        if line is None:
            return False
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RefusedError(400, "a chunk has no size")
        self._left = int(match[1], 16)
        if not self._left:
            self._trailer_bytes = 0
        return True

    def _trailer(self, buffer: bytearray) -> bool:
        line = self._line(buffer, TRAILER_MAX_BYTES - self._trailer_bytes)
        if line is None:
            return False
        if line:
            _header(line)
        self._trailer_bytes += len(line) + 2
        self.done = not line
        return True

    @staticmethod
    def _line(buffer: bytearray, limit: int) -> bytes | None:
        end = buffer.find(b"\r\n", 0, limit)
        if end < 0:
            if len(buffer) >= limit:
                raise RefusedError(400, "a chunk's line does not end")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line
