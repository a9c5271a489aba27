from __future__ import annotations

import gzip
import zlib
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.traffic import objects
from portulan.traffic.objects import HttpObjects, safe_name
from portulan.traffic.streams import Chunk

GET = b"GET /dir/page.html?x=1 HTTP/1.1\r\nHost: lab.test\r\n\r\n"


def answer(body, *headers, status=200, sized=True):
    lines = [f"HTTP/1.1 {status} X", *headers, *([f"Content-Length: {len(body)}"] if sized else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body, size=5):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    lines = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts)
    return answer(b"", "Transfer-Encoding: chunked", sized=False) + lines + b"0\r\nT: 1\r\n\r\n"


def read(*said, step=0, end=True):
    """Objects out of (side, octets or a hole's size), cut into pieces if asked."""
    reader, found = HttpObjects(), []
    for side, octets in said:
        if isinstance(octets, int):
            found += reader.take(Chunk(side, b"", octets, 9))
            continue
        for at in range(0, len(octets), step or len(octets) or 1):
            found += reader.take(Chunk(side, octets[at : at + (step or len(octets))], 0, 7))
    return found + (list(reader.end()) if end else [])


@pytest.mark.parametrize("step", [0, 1, 7])
def test_bodies_are_told_with_what_was_asked(step):
    [found] = read((0, GET), (1, answer(b"<p>", "Content-Type: text/html; charset=utf-8")),
                   step=step)
    assert (found.name, found.host, found.target) == (
        "page.html", "lab.test", "/dir/page.html?x=1")
    assert (found.body, found.fault, found.status, found.side) == (b"<p>", "", 200, 1)
    assert found.content_type == "text/html"


@pytest.mark.parametrize("step", [0, 1, 3])
def test_chunks_are_joined_and_packed_bodies_unpacked(step):
    body = b"0123456789" * 9
    [one] = read((0, GET), (1, chunked(body)), step=step)
    assert one.body == body
    for name, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        [two] = read((0, GET), (1, answer(packed, f"Content-Encoding: {name}")), step=step)
        assert (two.body, two.fault) == (body, "")


def test_messages_follow_each_other_and_answers_belong_to_their_requests():
    one, two = (b"GET /%b HTTP/1.1\r\n\r\n" % name for name in (b"one", b"two"))
    head = b"HEAD /none HTTP/1.1\r\n\r\n"
    said = [(0, one + head + two), (1, answer(b"1")
            + b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + answer(b"2"))]
    assert [(each.name, each.body) for each in read(*said)] == [("one", b"1"), ("two", b"2")]


def test_what_a_request_carries_is_an_object_too():
    post = b"POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na=1"
    [found] = read((0, post))
    assert (found.side, found.status, found.name, found.body) == (0, 0, "form", b"a=1")


def test_a_body_without_a_length_ends_with_its_connection():
    said = [(0, GET), (1, answer(b"all there is", sized=False))]
    assert [each.body for each in read(*said)] == [b"all there is"]
    assert read(*said, end=False) == []


def test_holes_and_early_ends_are_told():
    begun = answer(b"x" * 10)[:-4]
    [hole] = read((0, GET), (1, begun), (1, 4), (1, answer(b"never read")))
    assert (hole.body, hole.fault) == (b"x" * 6, "4 bytes missing")
    [cut] = read((0, GET), (1, begun))
    assert (cut.body, cut.fault) == (b"x" * 6, "cut short")
    assert read((1, 5), (1, answer(b"after a hole nothing is sure"))) == []


def test_answers_without_bodies_and_tunnels_give_nothing():
    assert read((0, GET), (1, answer(b"", status=304))) == []
    assert read((0, GET), (1, answer(b"", status=204))) == []
    tunnel = b"CONNECT a:1 HTTP/1.1\r\n\r\n"
    assert read((0, tunnel), (1, answer(b"", sized=False) + b"\x16\x03secret")) == []


def test_damaged_and_unknown_packing_leaves_the_body_as_it_was():
    for name in ("gzip", "br"):
        [found] = read((0, GET), (1, answer(b"no such", f"Content-Encoding: {name}")))
        assert found.body == b"no such"
        assert found.fault.startswith("still packed")


def test_a_bomb_is_cut_at_the_limit(monkeypatch):
    monkeypatch.setattr(objects, "BODY_MAX", 1 << 20)
    bomb = gzip.compress(bytes(50 << 20))
    [found] = read((0, GET), (1, answer(bomb, "Content-Encoding: gzip")))
    assert len(found.body) == 1 << 20
    assert found.fault


@pytest.mark.parametrize("target", [
    "/../../etc/passwd", "/a/..", "/", "", "/.ssh/", "/con%00.txt", "/a\\..\\b", "C:\\x", "/-rf",
    "/" + "a" * 5000, "/日本語", "/a b;c|d", "http://h/x/y.tar.gz", "/....", "/a/./.",
])
def test_names_stay_in_their_folder(target):
    name = safe_name(target, "text/html")
    assert name == PurePosixPath(name).name == PureWindowsPath(name).name
    assert name.isascii()
    assert not name.startswith((".", "-"))
    assert 0 < len(name) <= objects.NAME_MAX + 5


@given(st.text(max_size=200), st.sampled_from(["", "image/png"]))
def test_any_target_has_a_safe_name(target, kind):
    name = safe_name(target, kind)
    assert name == PurePosixPath(name).name == PureWindowsPath(name).name
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith((".", "-"))


@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(
    st.binary(max_size=60), st.integers(1, 9), st.sampled_from([
        GET, b"HTTP/1.1 200 OK\r\n", b"Content-Length: 5\r\n\r\n", b"\r\n\r\n", b"5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n", b"Content-Encoding: gzip\r\n"]))),
    max_size=12))
def test_hostile_conversations_never_throw(said):
    for found in read(*said):
        assert isinstance(found.body, bytes)


@given(st.binary(max_size=200), st.integers(1, 9))
def test_any_cut_gives_the_same_objects(body, step):
    said = [(0, GET + GET), (1, chunked(body or b"x") + answer(body))]
    assert [each.body for each in read(*said, step=step)] == [each.body for each in read(*said)]
