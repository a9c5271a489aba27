from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.checks.web import Answer, get, headers_of, whole

from .places import page, place


def test_a_request_names_its_host_and_closes():
    asked = get(place("http", port=8080), "/x")
    assert asked.startswith(b"GET /x HTTP/1.1\r\nHost: lab.test:8080\r\n")
    assert b"Connection: close" in asked
    assert asked.endswith(b"\r\n\r\n")


def test_an_answer_is_whole_by_length_chunks_or_status():
    assert whole(page(b"abc"))
    assert not whole(page(b"abc")[:-1])
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    assert not whole(chunked)
    assert whole(chunked + b"0\r\n\r\n")
    assert whole(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert not whole(b"HTTP/1.1 200 OK\r\n\r\nuntil it closes")


def test_headers_are_found_in_any_case_each_time():
    head = b"HTTP/1.1 200 OK\r\nALLOW: GET\r\nallow:  HEAD \r\n"
    assert headers_of(head, "Allow") == ["GET", "HEAD"]
    answer = Answer(page(b"body", headers=["X: 1"]))
    assert (answer.status, answer.header("x"), answer.header("y"), answer.body) == (
        200, "1", "", b"body")


@given(st.binary(max_size=400))
def test_any_octets_have_an_answer(data):
    answer = Answer(data)
    assert isinstance(whole(data), bool)
    assert 0 <= answer.status < 600
