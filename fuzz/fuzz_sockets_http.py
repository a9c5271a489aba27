"""Invariant: octets are a request, its beginning, or a refusal by status, however they are cut.

Body decoders give the same bytes however they are fed, keep no more than their limits, and no
range reaches outside its file.

Run: python fuzz/fuzz_sockets_http.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import harness

from portulan.sockets.serve_http import (
    END_OF_HEAD,
    PHRASES,
    Chunks,
    RefusedError,
    parse_head,
)
from portulan.sockets.serve_multipart import Data, End, Multipart, Part, boundary
from portulan.sockets.serve_range import UnsatisfiableError, Validators, ranges

HEADS = [
    b"GET /a%20b?q HTTP/1.1\r\nHost: example:80\r\nRange: bytes=0-4, 7-, -3\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    b"PUT http://h/x HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: h\r\nIf-None-Match: \"a\", W/\"b\"\r\nIf-Range: \"a\"\r\n"
    b"If-Modified-Since: Sat, 21 Nov 2026 09:41:00 GMT\r\nRange: bytes=1-\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
]
CHUNKED = b"5\r\nhello\r\n0003;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
FORM = (b'--B\r\nContent-Disposition: form-data; name="f"; filename="../a\\"b"\r\n\r\n'
        b"bytes\r\n-\r\n--B\r\nContent-Disposition: form-data; name=g\r\n\r\n\r\n--B--\r\n")
PIECES = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff", b"--B",
          b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: h\r\n",
          b"ffffffffffffffff", b"bytes=-0", b"99999999999999999999", b",", b"A" * 9000,
          b"0-0," * 300, b"X: y\r\n" * 120]


def mutated(rng: random.Random, octets: bytes) -> bytes:
    """Return octets with a few pieces put in, taken out, doubled or changed."""
    out = bytearray(octets)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0:
                out[at:at] = rng.choice(PIECES)
            case 1:
                del out[at : at + rng.randrange(1, 12)]
            case 2:
                out[at:at] = out[at : at + rng.randrange(1, 40)]
            case _ if at < len(out):
                out[at] = rng.randrange(256)
    return bytes(out)


def pieces(rng: random.Random, octets: bytes) -> Iterator[bytes]:
    """Yield octets in pieces of any size."""
    at = 0
    while at < len(octets):
        size = rng.choice([1, 2, 7, 5000])
        yield octets[at : at + size]
        at += size


def check_head(rng: random.Random) -> None:
    """Parse one head; ask for its ranges of a small file."""
    octets = mutated(rng, rng.choice(HEADS))
    head, end, _ = octets.partition(END_OF_HEAD)
    if not end:
        return
    try:
        request = parse_head(head + end)
    except RefusedError as error:
        assert error.status in PHRASES and 400 <= error.status < 600
        return
    assert request.length is None or request.length >= 0
    assert not any(sign in value for _, value in request.headers for sign in "\r\n\0")
    assert not any(sign in request.target for sign in "\r\n\0 ")
    size = rng.choice([0, 1, 10, 1 << 40])
    validators = Validators.of(size=size, mtime_ns=1, ctime_ns=1, now_ns=10**19)
    try:
        slices = ranges(request, validators, size) or []
    except UnsatisfiableError:
        return
    assert all(0 <= each.offset < each.offset + each.length <= size for each in slices)
    assert sum(each.length for each in slices) <= size


def decoded(octets: Iterator[bytes]) -> tuple[bytes, int | str]:
    """Return a chunked body and what is left behind it, or how it was refused."""
    chunks, buffer, out = Chunks(), bytearray(), b""
    try:
        for piece in octets:
            buffer += piece
            while found := chunks.take(buffer):
                out += found
    except RefusedError as error:
        return out, str(error)
    return out, len(buffer) if chunks.done else "more"


def check_chunks(rng: random.Random) -> None:
    """Decode one chunked body twice, cut in different places."""
    octets = mutated(rng, CHUNKED)
    assert decoded(iter([octets])) == decoded(pieces(rng, octets))


def form(octets: Iterator[bytes]) -> list[tuple[str | None, bytes]] | str:
    """Return the parts of a form, or how it was refused."""
    parts: list[tuple[str | None, bytes]] = []
    reader = Multipart(b"B")
    ended = 0
    try:
        for piece in octets:
            for event in reader.feed(piece):
                match event:
                    case Part(name):
                        parts.append((name, b""))
                    case Data(data):
                        parts[-1] = (parts[-1][0], parts[-1][1] + data)
                    case End():
                        ended += 1
    except RefusedError as error:
        return str(error)
    return parts[:ended]


def check_form(rng: random.Random) -> None:
    """Read one form twice, cut in different places."""
    octets = mutated(rng, FORM)
    assert form(iter([octets])) == form(pieces(rng, octets))
    boundary(rng.choice(["", "multipart/form-data; boundary="]) + octets[:90].decode("latin-1"))


def check(rng: random.Random) -> int:
    """Try one input at each door."""
    check_head(rng)
    check_chunks(rng)
    check_form(rng)
    return 3


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
