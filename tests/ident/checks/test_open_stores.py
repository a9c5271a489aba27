from __future__ import annotations

from portulan.ident.checks.open_stores import open_store

from .places import levels, place, tell


def test_a_store_that_answered_is_open():
    redis = place("redis", heard=[b"$1\r\nredis_version:7.0.15\r\n"])
    assert levels(tell(open_store, redis)) == ["warning"]


def test_a_store_that_wants_a_password_is_not():
    assert tell(open_store, place("redis", heard=[b"-NOAUTH Authentication required.\r\n"])) == []


def test_a_greeting_alone_proves_little():
    assert levels(tell(open_store, place("mongodb", heard=[b"...ismaster..."]))) == ["info"]
