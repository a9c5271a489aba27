from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.http2 import as_http1, begins_http2, frames
from portulan.ident.judge import judge
from portulan.ident.reply import Reply

SETTINGS = bytes.fromhex("000006040000000000000300000064")


def frame(kind, flags, stream, body):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def answer(server, body=b"<title>hi</title>"):
    block = b"\x88" + b"\x0f\x27" + bytes([len(server)]) + server
    return (SETTINGS + frame(4, 1, 0, b"") + frame(1, 4, 1, block) + frame(0, 1, 1, body))


def test_server_s_settings_begin_http2():
    assert begins_http2(SETTINGS) and not begins_http2(b"HTTP/1.1 200 OK\r\n")
    assert not begins_http2(SETTINGS[:8]) and not begins_http2(b"\0\0\x05" + SETTINGS[3:])


def test_answer_is_judged_like_one_of_http1():
    verdict = judge(Reply("tcp", answer(b"nginx/1.22.1")))
    assert (verdict.name, verdict.product, verdict.version) == ("http", "nginx", "1.22.1")


def test_padding_and_priority_are_no_headers():
    block = b"\x88"
    padded = bytes([2]) + bytes(5) + block + bytes(2)
    assert as_http1(SETTINGS + frame(1, 0x2C, 1, padded)) == b"HTTP/1.1 200 \r\n\r\n\r\n"


def test_line_end_in_a_header_begins_no_other():
    written = as_http1(answer(b"a\r\nset-cookie: x"))
    assert written.count(b"\r\n") == 3 and b"\r\nset-cookie" not in written


def test_settings_alone_are_no_answer():
    assert as_http1(SETTINGS) == b"" and len(list(frames(SETTINGS))) == 1


@given(st.binary(max_size=400))
def test_any_bytes_behind_settings_are_read_without_an_error(data):
    as_http1(SETTINGS + data)
    judge(Reply("tcp", SETTINGS + data))
