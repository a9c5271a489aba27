"""HTTP and its look-alikes."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.http import BODY_MAX, _unchunked, _unpack, parse


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


@pytest.mark.parametrize(("field", "text"), [
    ("reason", "Toys Only"), ("own", "x-toy: 1\ndocker-experimental: true"),
    ("order", "200 x-toy,server,docker-experimental"), ("generator", "Toy 3"),
    ("build", "toy 1.2"),
])
def test_response_tells_more_than_its_server(field, text):
    facts = parse(b"HTTP/1.1 200 Toys Only\r\nX-Toy: 1\r\nServer: a\r\nDocker-Experimental: true"
                  b'\r\n\r\n<meta name="generator" content="Toy 3">\ntoy_build_info{a="b",version='
                  b'"v1.2"} 1\n')
    assert facts.fields[f"http.{field}"] == text


@pytest.mark.parametrize("body", [b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n2\r\nde"],
                         ids=["whole", "cut-off"])
def test_chunks_are_joined(body):
    assert _unchunked(body) == b"abcde"


@given(st.binary(max_size=200))
def test_any_chunks_do_no_harm(body):
    assert len(_unchunked(body)) <= len(body)
