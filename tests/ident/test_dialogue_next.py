from __future__ import annotations

import pytest

from portulan.ident.dialogue_next import FOLLOW, PAGES_MAX, follow_ups, hints
from portulan.ident.facts import Facts
from portulan.ident.verdict import Verdict


def names(facts, verdict=None, data=b""):
    return [follow.probe.name for follow in follow_ups(facts, verdict, data, port=None)]


def test_who_has_told_all_is_asked_nothing_more():
    told = Verdict(name="redis", product="Redis", version="7.0")
    assert names(Facts("redis"), told) == []
    assert names(Facts("redis"), Verdict(name="redis", product="Redis")) == ["redis-info"]


def test_protocol_without_more_to_ask_is_asked_nothing():
    assert names(Facts("chargen")) == []


@pytest.mark.parametrize(("page", "path"), [
    (b"<title>Node Exporter</title>", "/metrics"),
    (b"HTTP/1.1 404 Not Found\r\n\r\n404 page not found\n", "/version"),
    (b"<title>Grafana</title>", "/api/health"),
])
def test_page_says_which_page_tells_the_version(page, path):
    asked = names(Facts("http"), None, page)
    assert f"http-get {path}" in asked and len(asked) <= PAGES_MAX + 1


@pytest.mark.parametrize(("data", "probe"), [
    (b"ERROR\r\n", "version"), (b"UNKNOWN_COMMAND\r\n", "stats"),
    (b"\x15\x03\x01\x00\x02\x02\x28", "tls"), (b":irc 451 * :Not registered\r\n", "irc"),
    (b"<html>The plain HTTP request was sent to HTTPS port</html>", "tls"),
])
def test_unread_answer_hints_at_the_next_question(data, probe):
    assert probe in [each.name for each in hints(data)]


def test_noise_hints_at_nothing():
    assert hints(b"\xfe\xfd" * 50) == []


def test_follow_ups_have_names_of_their_own():
    probes = {f.probe.name: f.probe for follows in FOLLOW.values() for f in follows}
    assert all(probes[f.probe.name] == f.probe for fs in FOLLOW.values() for f in fs)
