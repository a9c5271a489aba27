from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_http import parse_head
from portulan.sockets.serve_inspect import SHOWN_MAX_BYTES, Inspector, json_line, text
from tests.sockets.serving import ask, get, serving

HEAD = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-Evil: \xe9]0;\xc2\x9b\r\n\r\n"


def test_request_for_people_is_shown_line_by_line() -> None:
    shown = text(parse_head(HEAD), b"one\ntwo\x1b[2J\r\n", 13, peer="127.0.0.1:5")
    assert shown.splitlines() == [
        "# from 127.0.0.1:5", "POST /a?b HTTP/1.1", "Host: x", r"X-Evil: \xe9]0;\x9b", "", "one",
        r"two\x1b[2J\r"]


@given(st.binary(max_size=300))
def test_any_body_reaches_the_terminal_escaped(body: bytes) -> None:
    shown = text(parse_head(HEAD), body, len(body), peer="x")
    assert all(line.isprintable() for line in shown.split("\n"))


@given(st.binary(max_size=300))
def test_json_line_holds_the_very_bytes(body: bytes) -> None:
    line = json_line(parse_head(HEAD), body, len(body), peer="x")
    seen = json.loads(line)
    assert "\n" not in line
    assert base64.b64decode(seen["head_b64"]) == HEAD
    assert base64.b64decode(seen["body_b64"]) == body
    assert (seen["type"], seen["method"], seen["target"], seen["version"]) == (
        "request", "POST", "/a?b", "1.1")


def inspecting(shown: list[str], **options: Any) -> Any:
    return serving(Inspector(shown.append, **options))


def test_request_is_shown_and_gets_the_answer_chosen() -> None:
    shown: list[str] = []
    with inspecting(shown, status=418, body=b"tea", headers=[("X-Pot", "1")]) as running:
        answer = get(running, "/x", method="DELETE", body=b"abc")
    assert (answer.status, answer.body, answer.headers["x-pot"]) == (418, b"tea", "1")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert shown[0].startswith("# from 127.0.0.1:")
    assert shown[0].endswith("DELETE /x HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc\n")


def test_chunked_body_is_shown_decoded() -> None:
    shown: list[str] = []
    with inspecting(shown, json=True) as running:
        ask(running, b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert base64.b64decode(json.loads(shown[0])["body_b64"]) == b"abcde"


def test_large_body_is_counted_and_cut() -> None:
    shown: list[str] = []
    with inspecting(shown) as running:
        assert get(running, "/", method="POST", body=b"x" * (SHOWN_MAX_BYTES + 5)).status == 200
    assert "# 5 more bytes not shown" in shown[0]
    assert len(shown[0]) < SHOWN_MAX_BYTES + 500


def test_answer_without_body_has_none() -> None:
    with inspecting([], status=204, body=b"ignored") as running:
        answer = get(running, "/")
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
