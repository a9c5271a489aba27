from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_http import (
    CHUNK_LINE_MAX_BYTES,
    HEADERS_MAX,
    TARGET_MAX_BYTES,
    Chunks,
    RefusedError,
    Request,
    Response,
    head_bytes,
    parse_head,
)


def head(*lines: str, first: str = "GET / HTTP/1.1", host: bool = True) -> bytes:
    given = [first, *(["Host: a"] if host else []), *lines]
    return ("\r\n".join(given) + "\r\n\r\n").encode("latin-1")


def parsed(*lines: str, **options: object) -> Request:
    return parse_head(head(*lines, **options))  # type: ignore[arg-type]


def refusal(data: bytes) -> int:
    with pytest.raises(RefusedError) as caught:
        parse_head(data)
    return caught.value.status


def test_head_of_a_browser_is_read() -> None:
    request = parsed("X-A: 1 ", "x-a:2", "Accept:\tall", first="GET /a%20b?c=d HTTP/1.1")
    assert (request.method, request.target, request.path) == ("GET", "/a%20b?c=d", "/a%20b")
    assert request.header("x-a") == "1, 2"
    assert request.header("accept") == "all"
    assert request.header("other") is None
    assert (request.length, request.keep_alive, request.version) == (0, True, (1, 1))


@pytest.mark.parametrize("target, origin", [
    ("http://a/b?c", "/b?c"), ("HTTP://a", "/"), ("http://a?x", "/?x"), ("//evil", "//evil"),
    ("/\xe6\x97\xa5", "/\xe6\x97\xa5"),
])
def test_target_in_any_form_becomes_its_path(target: str, origin: str) -> None:
    assert parsed(first=f"GET {target} HTTP/1.1").target == origin


@pytest.mark.parametrize("data, status", [
    (head(first="GET /"), 400),
    (head(first="GET  / HTTP/1.1"), 400),
    (head(first="GET / HTTP/1.1 "), 400),
    (head(first="GET /a b HTTP/1.1"), 400),
    (head(first="G\xe4T / HTTP/1.1"), 400),
    (head(first="GET /\x00 HTTP/1.1"), 400),
    (head(first="GET x HTTP/1.1"), 400),
    (head(first="CONNECT a:80 HTTP/1.1"), 400),
    (head(first="GET / HTTP/2.0"), 505),
    (head(first="GET / HTTP/0.9"), 505),
    (head(first="GET /" + "a" * TARGET_MAX_BYTES + " HTTP/1.1"), 414),
    (head(host=False), 400),
    (head("Host: b"), 400),
    (head("Host: a/../b", host=False), 400),
    (head("A : b"), 400),
    (head("A: b\nC: d"), 400),
    (head("A: b\rC: d"), 400),
    (head("A: b", " folded"), 400),
    (head("A: \x00"), 400),
    (head("no colon"), 400),
    (head(*(f"A{n}: b" for n in range(HEADERS_MAX))), 431),
    (head("Content-Length: -1"), 400),
    (head("Content-Length: 1, 1"), 400),
    (head("Content-Length: +1"), 400),
    (head("Content-Length: \xb2"), 400),
    (head("Content-Length: 1", "Content-Length: 1"), 400),
    (head("Content-Length: " + "9" * 19), 413),
    (head("Content-Length: 3", "Transfer-Encoding: chunked"), 400),
    (head("Transfer-Encoding: gzip, chunked"), 501),
    (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501),
    (head("Transfer-Encoding: chunked", first="POST / HTTP/1.0"), 400),
])
def test_head_that_is_wrong_is_refused(data: bytes, status: int) -> None:
    assert refusal(data) == status


@pytest.mark.parametrize("first, line, keep", [
    ("GET / HTTP/1.1", "X: y", True),
    ("GET / HTTP/1.1", "Connection: Upgrade, Close", False),
    ("GET / HTTP/1.0", "X: y", False),
    ("GET / HTTP/1.0", "Connection: Keep-Alive", True),
])
def test_connection_is_kept_as_version_and_header_say(first: str, line: str, keep: bool) -> None:
    assert parsed(line, first=first).keep_alive is keep


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for whole in (data + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n"):
        try:
            parse_head(whole)
        except RefusedError as error:
            assert 400 <= error.status < 600


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 7))
def test_chunked_body_fed_in_pieces_is_the_body(pieces: list[bytes], step: int) -> None:
    wire = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(each), each) for each in pieces)
    wire += b"0\r\nTrailer: x\r\n\r\nnext"
    chunks, buffer, got = Chunks(), bytearray(), b""
    for at in range(0, len(wire), step):
        buffer += wire[at : at + step]
        while data := chunks.take(buffer):
            got += data
    assert got == b"".join(pieces)
    assert chunks.done
    assert bytes(buffer) == b"next"


@pytest.mark.parametrize("wire", [
    b"x\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1\na\r\n", b"\r\n", b"0\r\nno colon\r\n\r\n",
    b"1" * CHUNK_LINE_MAX_BYTES, b"0\r\n" + b"A: b\r\n" * 2000, b"f" * 16 + b"\r\n",
])
def test_chunks_that_are_wrong_are_refused(wire: bytes) -> None:
    chunks, buffer = Chunks(), bytearray(wire)
    with pytest.raises(RefusedError):
        for _ in range(5000):
            chunks.take(buffer)


def test_head_of_an_answer_says_length_and_what_follows() -> None:
    response = Response(200, [("A", "b")], [b"12345"])
    assert head_bytes(response, date=b"now", keep_alive=False, version=(1, 1)) == (
        b"HTTP/1.1 200 OK\r\nDate: now\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
    kept = head_bytes(Response(304), date=b"now", keep_alive=True, version=(1, 0))
    assert kept == b"HTTP/1.1 304 Not Modified\r\nDate: now\r\nConnection: keep-alive\r\n\r\n"
