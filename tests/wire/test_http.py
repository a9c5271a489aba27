from __future__ import annotations

import pytest

from .dissecting import over_tcp, told


def test_request_tells_its_head_and_leaves_the_body():
    head = b"POST /a?b=1 HTTP/1.1\r\nHost: x.example\r\nUser-Agent: me\r\nContent-Length: 2\r\n\r\n"
    found = over_tcp(8888, head + b"ok")
    assert told(found, "http") == {
        "method": "POST", "target": "/a?b=1", "version": "1.1", "host": "x.example",
        "user_agent": "me", "content_length": "2",
        "fields": ["Host: x.example", "User-Agent: me", "Content-Length: 2"],
    }
    assert found.payload_end - found.payload_at == 2


def test_response_tells_its_status():
    found = over_tcp(80, b"HTTP/1.0 404 Not Found\r\nServer: s\r\n\r\n")
    values = told(found, "http")
    assert (values["status"], values["reason"], values["server"]) == (404, "Not Found", "s")


def test_head_that_goes_on_is_a_defect():
    assert "does not end" in over_tcp(80, b"GET / HTTP/1.1\r\nHost: a").defect


@pytest.mark.parametrize("body", [b"\x00" * 40, b"get / HTTP/1.1\r\n", b"GET /", b"A" * 9000])
def test_what_does_not_begin_a_message_is_payload(body):
    assert over_tcp(80, body).protocols == "ip:tcp"


def test_many_fields_are_bounded():
    found = over_tcp(80, b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 5000 + b"\r\n")
    assert len(told(found, "http")["fields"]) <= 256
