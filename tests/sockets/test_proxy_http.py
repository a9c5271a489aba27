from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.proxy_http import parse, refusal
from portulan.sockets.proxy_rules import Door
from portulan.sockets.serve_http import RefusedError

OPEN, LOCKED = Door.parse("http://:1"), Door.parse("http://me:p%3Aw@:1")


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("target, host, port", [
    ("localhost:443", "localhost", 443), ("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:80", "::1", 80),
])
def test_connect_asks_for_a_tunnel(target: str, host: str, port: int) -> None:
    asked = parse(head(f"CONNECT {target} HTTP/1.1", f"Host: {target}"), OPEN)
    assert (asked.host, asked.port, asked.request) == (host, port, None)


def test_plain_request_is_passed_on_as_the_target_wants_it() -> None:
    asked = parse(head(
        "POST http://[::1]:8080/a?b=c HTTP/1.1", "Host: other", "Connection: keep-alive, X-Gone",
        "Proxy-Authorization: Basic x", "X-Gone: 1", "X-Kept: 2", "TE: trailers",
        "Content-Length: 3", "Expect: 100-continue", "Upgrade: websocket"), OPEN)
    assert (asked.host, asked.port, asked.expects) == ("::1", 8080, True)
    assert asked.head == head(
        "POST /a?b=c HTTP/1.1", "host: [::1]:8080", "x-kept: 2", "content-length: 3",
        "via: 1.1 portulan", "connection: close")
    assert asked.request is not None
    assert asked.request.length == 3


@pytest.mark.parametrize("target, path, port", [
    ("http://a", "/", 80), ("HTTP://a?x", "/?x", 80), ("http://a:81/", "/", 81),
])
def test_path_of_a_whole_address_is_its_own(target: str, path: str, port: int) -> None:
    asked = parse(head(f"GET {target} HTTP/1.0"), OPEN)
    assert asked.head.startswith(f"GET {path} HTTP/1.1\r\n".encode())
    assert asked.port == port


@pytest.mark.parametrize("first, lines, status", [
    ("GET / HTTP/1.1", ["Host: a"], 400), ("CONNECT a HTTP/1.1", [], 400),
    ("CONNECT a:0 HTTP/1.1", [], 400), ("CONNECT a:70000 HTTP/1.1", [], 400),
    ("CONNECT a@b:1 HTTP/1.1", [], 400), ("GET http://u@a/ HTTP/1.1", [], 400),
    ("GET https://a/ HTTP/1.1", [], 400), ("GET ftp://a/ HTTP/1.1", [], 400),
    ("GET http://a/#x HTTP/1.1", [], 400), ("GET http://a/ HTTP/2.0", [], 505),
    ("POST http://a/ HTTP/1.1", ["Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    ("POST http://a/ HTTP/1.1", ["Content-Length: 1", "Content-Length: 1"], 400),
    ("POST http://a/ HTTP/1.1", ["Content-Length: 5", "Connection: content-length"], 0),
])
def test_request_that_could_be_two_is_refused(first: str, lines: list[str], status: int) -> None:
    if not status:
        request = parse(head(first, *lines), OPEN).request
        assert request is not None
        assert request.length == 5
        return
    with pytest.raises(RefusedError) as caught:
        parse(head(first, *lines), OPEN)
    assert caught.value.status == status


def login(text: str) -> str:
    return "Proxy-Authorization: Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("lines, good", [
    ([login("me:p:w")], True), ([login("me:pw")], False), ([login("p:w")], False), ([], False),
    (["Proxy-Authorization: Bearer x"], False), (["Proxy-Authorization: Basic ***"], False),
    ([login("me:p:w"), login("me:p:w")], False),
])
def test_login_is_checked(lines: list[str], good: bool) -> None:
    request = head("CONNECT a:1 HTTP/1.1", *lines)
    if good:
        assert parse(request, LOCKED).host == "a"
        return
    with pytest.raises(RefusedError) as caught:
        parse(request, LOCKED)
    assert caught.value.status == 407
    assert b'Proxy-Authenticate: Basic realm="portulan"' in refusal(407, "x")


@given(st.binary(max_size=120))
def test_any_head_is_asked_or_refused(data: bytes) -> None:
    for whole in (data, b"GET http://a/" + data, b"CONNECT a:1 HTTP/1.1\r\n" + data):
        try:
            asked = parse(whole + b"\r\n\r\n", OPEN)
        except RefusedError:
            continue
        assert asked.head.count(b"\r\n\r\n") <= 1
