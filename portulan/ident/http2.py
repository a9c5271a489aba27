"""HTTP/2 answers (RFC 9113), written as HTTP/1.1: what reads the one reads the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from .hpack import headers

FRAMES_MAX: Final = 64
_DATA, _HEADERS, _SETTINGS, _CONTINUATION = 0, 1, 4, 9
_PADDED, _PRIORITY, _END_HEADERS = 0x8, 0x20, 0x4


class Frame(NamedTuple):
    """One frame (section 4.1)."""

    kind: int
    flags: int
    stream: int
    body: bytes


def begins_http2(data: bytes) -> bool:
    """Tell whether `data` begins with the SETTINGS that a server must send first (section 3.4)."""
    length = int.from_bytes(data[:3], "big")
    return (len(data) >= 9 and data[3] == _SETTINGS and data[4] == 0 and data[5:9] == bytes(4)
            and length % 6 == 0 and length <= 16_384)


def frames(data: bytes) -> Iterator[Frame]:
    """Yield the frames of a connection, the last one as far as it came."""
    at = 0
    for _ in range(FRAMES_MAX):
        if at + 9 > len(data):
            return
        length = int.from_bytes(data[at : at + 3], "big")
        stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF
        yield Frame(data[at + 3], data[at + 4], stream, data[at + 9 : at + 9 + length])
        at += 9 + length


def as_http1(data: bytes) -> bytes:
    """Return the first answer of a connection as an HTTP/1.1 message; empty if there is none."""
    block, body, stream = b"", b"", 0
    for frame in frames(data):
        if frame.kind == _HEADERS and not block:
            block, stream = _bare(frame), frame.stream
        elif frame.kind == _CONTINUATION and frame.stream == stream and not body:
            block += frame.body
        elif frame.kind == _DATA and frame.stream == stream:
            body += _bare(frame)
    if not block:
        return b""
    fields = headers(block)
    status = next((value for name, value in fields if name == ":status"), "200")
    lines = [f"{name}: {value}" for name, value in fields if name and not name.startswith(":")]
    # A name or value with a line end in it would begin a header of its own.
    head = "\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
    start = f"HTTP/1.1 {status[:3]} \r\n".encode("latin-1", "replace")
    return start + head.encode("latin-1", "replace") + b"\r\n\r\n" + body


def _bare(frame: Frame) -> bytes:
    """Return a frame's body without padding and priority (sections 6.1, 6.2)."""
    body = frame.body
    if frame.flags & _PADDED and body:
        body = body[1 : max(len(body) - body[0], 1)]
    if frame.kind == _HEADERS and frame.flags & _PRIORITY:
        body = body[5:]
    return body
