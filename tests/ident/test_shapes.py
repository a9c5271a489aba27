"""Protocols told by their shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.judge import judge
from portulan.ident.reply import Reply
from portulan.ident.shapes import parse
from tests.ident.replies import REPLIES, UDP


@pytest.mark.parametrize("name", REPLIES)
def test_whole_reply_is_told_by_its_shape(name):
    assert judge(Reply("udp" if name in UDP else "tcp", REPLIES[name])).name == name


@pytest.mark.parametrize("name", ["cassandra", "kafka", "bacnet", "knx", "stun", "xdmcp"])
def test_reply_with_an_octet_too_many_has_no_such_shape(name):
    found = parse(REPLIES[name] + b"x")
    assert found is None or found.name != name


def test_datagram_shape_is_not_told_of_a_stream():
    assert parse(REPLIES["wireguard"], "tcp") is None


@given(st.binary(max_size=300), st.sampled_from(["tcp", "udp"]))
def test_any_bytes_do_no_harm(data, transport):
    parse(data, transport)
