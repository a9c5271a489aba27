from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_body import SKIP_MAX_BYTES, Body
from portulan.sockets.serve_http import RefusedError, parse_head

GIVEN = b"0123456789"


class Wire:
    """A connection whose bytes come in given pieces."""

    peer = "127.0.0.1:1"

    def __init__(self, *pieces: bytes) -> None:
        self.buffer, self.pieces = bytearray(), list(pieces)
        self.count, self.said = 0, 0

    async def more(self) -> bool:
        if self.pieces:
            self.buffer += self.pieces.pop(0)
            return True
        return False

    def begin_body(self) -> None:
        self.count = 0

    def taken(self, count: int) -> None:
        self.count += count

    def say_continue(self) -> None:
        self.said += 1


def body(wire: Wire, *lines: str) -> Body:
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", *lines, "", ""])
    return Body(wire, parse_head(head.encode()))


def everything(made: Body) -> bytes:
    async def main() -> bytes:
        data = b""
        while piece := await made.read():
            data += piece
        return data

    return asyncio.run(main())


@given(st.binary(max_size=60), st.integers(1, 20), st.booleans())
def test_body_in_pieces_is_the_body_and_leaves_the_next_request(
    data: bytes, step: int, chunked: bool
) -> None:
    wire = b"".join(b"1\r\n%c\r\n" % each for each in data) + b"0\r\n\r\n" if chunked else data
    wire += b"GET"
    link = Wire(*(wire[at : at + step] for at in range(0, len(wire), step)))
    line = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}"
    assert everything(body(link, line)) == data
    assert link.count == len(data)
    assert b"GET".startswith(bytes(link.buffer))


def test_client_that_breaks_off_is_no_end() -> None:
    with pytest.raises(ConnectionAbortedError):
        everything(body(Wire(b"012"), "Content-Length: 10"))


def test_client_that_asked_is_told_to_go_on_once_and_only_if_it_waits() -> None:
    lines = ("Content-Length: 10", "Expect: 100-continue")
    waiting, hasty = Wire(GIVEN[:5], GIVEN[5:]), Wire()
    assert everything(body(waiting, *lines)) == GIVEN
    assert waiting.said == 1
    hasty.buffer += GIVEN
    assert everything(body(hasty, *lines)) == GIVEN
    assert hasty.said == 0


def test_other_expectation_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        body(Wire(), "Expect: tea")
    assert caught.value.status == 417


@pytest.mark.parametrize("here, length, follows", [
    (b"", 0, True), (GIVEN, 10, True), (GIVEN[:5], 10, False),
    (bytes(SKIP_MAX_BYTES), SKIP_MAX_BYTES, True),
])
def test_unwanted_body_is_dropped_if_it_is_here(here: bytes, length: int, follows: bool) -> None:
    wire = Wire()
    wire.buffer += here
    assert asyncio.run(body(wire, f"Content-Length: {length}").skip()) is follows


def test_unwanted_body_of_rubbish_ends_the_connection() -> None:
    wire = Wire()
    wire.buffer += b"rubbish\r\n"
    assert asyncio.run(body(wire, "Transfer-Encoding: chunked").skip()) is False
