r"""Objects out of conversations: bodies of HTTP/1 messages (RFC 9112), as their sender had them.

One reader a connection takes the chunks of both sides in order and gives each body when it is
whole, unchunked and uncompressed. What is missing or too large is said, never guessed.

>>> from portulan.traffic.streams import Chunk
>>> reader = HttpObjects()
>>> ask = Chunk(0, b"GET /a.txt HTTP/1.1\r\n\r\n")
>>> said = Chunk(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
>>> [(each.name, each.body) for part in (ask, said) for each in reader.take(part)]
[('a.txt', b'hi')]
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from portulan.traffic.streams import Chunk

BODY_MAX: Final = 256 << 20
"""Octets of one body that are kept, packed or not."""
HEAD_MAX: Final = 64 << 10
LINE_MAX: Final = 4 << 10
ASKED_MAX: Final = 1_000
"""Requests that wait for their answers; a pipeline is never so long."""
NAME_MAX: Final = 80
EXTENSIONS: Final = {
    "text/html": "html", "text/plain": "txt", "text/css": "css", "application/json": "json",
    "text/javascript": "js", "application/javascript": "js", "application/xml": "xml",
    "text/xml": "xml", "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif",
    "image/svg+xml": "svg", "image/webp": "webp", "application/pdf": "pdf",
    "application/zip": "zip", "application/octet-stream": "bin",
}
"""The ending for a name that has none."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_START: Final = re.compile(
    rb"(?:HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?|([A-Z]{3,12}) ([^ \r\n]{1,4000}) HTTP/1\.[01])"
    rb"\r?\n")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,15})[^\r\n]*\r?\n")


@dataclass(frozen=True, slots=True)
class Object:
    """One body and where it comes from."""

    side: int
    """Who sent it: 0 the client's side of a response's request."""
    name: str
    """A safe file name: ASCII letters, digits, `.`, `_` and `-`; never hidden."""
    host: str
    target: str
    content_type: str
    status: int
    """0 for what a request carried."""
    body: bytes
    fault: str = ""
    """Why it is not whole; empty if it is."""
    frame: int = 0
    """The frame that completed it."""


class _State(IntEnum):
    HEAD = 0
    SIZED = 1
    CHUNK_SIZE = 2
    CHUNK = 3
    TRAILER = 4
    REST = 5
    LOST = 6


@dataclass(slots=True)
class _Asked:
    method: str
    target: str
    host: str


class HttpObjects:
    """Reads both sides of one connection."""

    def __init__(self) -> None:
        self._asked: deque[_Asked] = deque(maxlen=ASKED_MAX)
        self._sides = (_Side(0, self._asked), _Side(1, self._asked))

    def take(self, chunk: Chunk) -> Iterator[Object]:
        """Take what one side said, and yield the bodies that it completes."""
        side = self._sides[chunk.side]
        if chunk.missing:
            yield from side.lose(chunk)
        else:
            yield from side.feed(chunk)

    def end(self) -> Iterator[Object]:
        """Yield bodies that end with the connection."""
        for side in self._sides:
            yield from side.end()


@dataclass(slots=True)
class _Side:
    number: int
    asked: deque[_Asked]
    state: _State = _State.HEAD
    held: bytearray = field(default_factory=bytearray)
    body: bytearray = field(default_factory=bytearray)
    left: int = 0
    status: int = 0
    about: _Asked = field(default_factory=lambda: _Asked("", "", ""))
    headers: dict[str, str] = field(default_factory=dict)
    over: bool = False
    frame: int = 0

    def feed(self, chunk: Chunk) -> Iterator[Object]:
        self.frame = chunk.frame
        self.held += chunk.octets
        while self.held and self.state != _State.LOST:
            before = len(self.held), self.state
            yield from self._step()
            if (len(self.held), self.state) == before:
                break
        if self.state == _State.LOST:
            self.held.clear()

    def lose(self, chunk: Chunk) -> Iterator[Object]:
        """Tell what a hole cut short: where the next message begins is not sure any more."""
        self.frame = chunk.frame
        if self.state not in (_State.HEAD, _State.LOST):
            yield self._made(f"{chunk.missing} bytes missing")
        self.state = _State.LOST
        self.held.clear()
        self.body.clear()

    def end(self) -> Iterator[Object]:
        if self.state == _State.REST:
            yield self._made("")
        elif self.state not in (_State.HEAD, _State.LOST):
            yield self._made("cut short")
        self.state = _State.LOST

    def _step(self) -> Iterator[Object]:
        match self.state:
            case _State.HEAD:
                yield from self._head()
            case _State.SIZED | _State.CHUNK:
                part = bytes(self.held[: self.left])
                self._keep(part)
                del self.held[: len(part)]
                self.left -= len(part)
                if not self.left:
                    yield from self._part_done()
            case _State.CHUNK_SIZE:
                self._chunk_size()
            case _State.TRAILER:
                yield from self._trailer()
            case _State.REST:
                self._keep(bytes(self.held))
                self.held.clear()

    def _keep(self, part: bytes) -> None:
        room = BODY_MAX - len(self.body)
        self.body += part[:room]
        self.over |= len(part) > room

    def _head(self) -> Iterator[Object]:
        while self.held[:1] in (bytearray(b"\r"), bytearray(b"\n")):
            del self.held[:1]  # RFC 9112 section 2.2: an empty line before a message is ignored
        end = self.held.find(b"\r\n\r\n", 0, HEAD_MAX)
        if end < 0:
            if len(self.held) >= HEAD_MAX or not _may_start(self.held):
                self.state = _State.LOST
            return
        head = bytes(self.held[: end + 4])
        start = _START.match(head)
        if start is None:
            self.state = _State.LOST
            return
        del self.held[: end + 4]
        self.headers = _headers(head[start.end() :])
        self.body, self.over = bytearray(), False
        if start[2]:
            self.status = 0
            self.about = _Asked(
                start[2].decode(), start[3].decode("latin-1"), self.headers.get("host", ""))
            self.asked.append(self.about)
        else:
            self.status = int(start[1])
            if self.status >= 200 or self.status == 101:
                self.about = self.asked.popleft() if self.asked else _Asked("", "", "")
        yield from self._framing()

    def _framing(self) -> Iterator[Object]:
        """Choose where the body ends (RFC 9112 section 6.3)."""
        bare = self.status in (204, 304) or 100 <= self.status < 200
        if self.status == 101 or (self.status and self.about.method == "CONNECT"):
            self.state = _State.LOST
        elif bare or (self.status and self.about.method == "HEAD"):
            self.state = _State.HEAD
        elif "chunked" in self.headers.get("transfer-encoding", "").lower():
            self.state = _State.CHUNK_SIZE
        elif (size := self.headers.get("content-length", "")).isdigit() and len(size) < 16:
            self.state, self.left = _State.SIZED, int(size)
            if not self.left:
                yield from self._part_done()
        else:
            self.state = _State.REST if self.status else _State.HEAD

    def _part_done(self) -> Iterator[Object]:
        if self.state == _State.CHUNK:
            self.state = _State.CHUNK_SIZE
            return
        if self.body:
            yield self._made("")
        self.state = _State.HEAD

    def _chunk_size(self) -> None:
        if self.held[:2] == b"\r\n":
            del self.held[:2]
        found = _CHUNK.match(self.held, 0, LINE_MAX)
        if found is None:
            if len(self.held) >= LINE_MAX or b"\n" in self.held[:LINE_MAX].lstrip(b"\r\n"):
                self.state = _State.LOST
            return
        self.left = int(found[1], 16)
        del self.held[: found.end()]
        self.state = _State.CHUNK if self.left else _State.TRAILER

    def _trailer(self) -> Iterator[Object]:
        end = self.held.find(b"\n", 0, LINE_MAX)
        if end < 0:
            if len(self.held) >= LINE_MAX:
                self.state = _State.LOST
            return
        line = bytes(self.held[: end + 1]).strip()
        del self.held[: end + 1]
        if not line:
            if self.body:
                yield self._made("")
            self.state = _State.HEAD

    def _made(self, fault: str) -> Object:
        body, spoiled = _unpacked(bytes(self.body), self.headers.get("content-encoding", ""))
        if self.over:
            fault = f"only the first {BODY_MAX >> 20} MiB were kept"
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        host = self.headers.get("host", "") or self.about.host
        return Object(
            self.number, safe_name(self.about.target, kind), host, self.about.target, kind,
            self.status, body, fault or spoiled, self.frame)


def safe_name(target: str, content_type: str = "") -> str:
    """Return a file name for what a target names; it stays in its folder on any system."""
    path = target.partition("?")[0].partition("#")[0]
    last = path.rstrip("/").rpartition("/")[2]
    name = _UNSAFE.sub("_", last).strip("._-")[-NAME_MAX:].lstrip("._-") or "index"
    ending = EXTENSIONS.get(content_type, "")
    return name if "." in name or not ending else f"{name}.{ending}"


def _may_start(held: bytearray) -> bool:
    """Tell whether a message may begin so: letters up to the first space or slash."""
    word = re.split(rb"[ /]", bytes(held[:16]), maxsplit=1)[0]
    return len(word) < 13 and (not word or word.isalpha())


def _headers(octets: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in octets.split(b"\r\n")[:200]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.strip().lower().decode("latin-1"),
                             value.strip().decode("latin-1"))
    return found


def _unpacked(body: bytes, encoding: str) -> tuple[bytes, str]:
    """Return a body as it was before it was packed, and why not, if it cannot be."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body, ""
    if name not in ("gzip", "x-gzip", "deflate"):
        return body, f"still packed: {name[:20]}"
    try:
        unpacker = zlib.decompressobj(wbits=47 if name != "deflate" else 15)
        plain = unpacker.decompress(body, BODY_MAX)
    except zlib.error:
        return body, f"still packed: {name} is damaged"
    return plain, "" if unpacker.eof else "cut short"
