"""HTTP and its look-alikes."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.http import BODY_MAX, _unpack, parse


def test_response_with_title_gives_server_and_title():
    facts = parse(b"HTTP/1.1 200 OK\r\nServer: toy/1\r\n\r\n<title>A &amp; B</title>")
    assert facts.fields["http.server"] == "toy/1" and facts.fields["http.title"] == "A & B"


def test_status_line_alone_is_http():
    assert parse(b"HTTP/1.0 404 Not Found\r\n").name == "http"


def test_gzip_bomb_stops_at_the_bound():
    assert len(_unpack(gzip.compress(bytes(8 << 20)), b"gzip")) <= BODY_MAX


def test_bytes_without_status_line_are_no_http():
    assert parse(b"220 hi\r\n") is None


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_status_line_do_no_harm(data):
    assert parse(b"HTTP/1.1 200 OK\r\n" + data).name in {"http", "ssdp"}
