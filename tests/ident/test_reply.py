"""A reply is a value."""

from __future__ import annotations

from portulan.ident.reply import Reply


def test_reply_without_port_has_none():
    assert Reply("tcp", b"x").port is None
