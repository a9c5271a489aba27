from __future__ import annotations

import pytest

from portulan.ident.dialogue_next import FOLLOW, PAGES_MAX, follow_ups, hints
from portulan.ident.facts import Facts
from portulan.ident.reply import Reply
from portulan.ident.verdict import Verdict


def names(facts, verdict=None, data=b"", probe="http-get"):
    reply = Reply("tcp", data, None, probe)
    return [f.probe.name for f in follow_ups(facts, verdict, reply, host="10.0.0.1:80")]


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


@pytest.mark.parametrize(("location", "path"), [
    (b"/login?next=%2F", "/login?next=%2F"), (b"http://10.0.0.1:80/ui/#top", "/ui/"),
    (b"https://10.0.0.1:80/ui", "/ui"), (b"http://10.0.0.1/ui", "/ui"),
    (b"https://10.0.0.1/ui", None), (b"http://10.0.0.1.evil/", None),
    (b"http://169.254.169.254/latest", None),
    (b"//evil.example/x", None), (b"http://10.0.0.1:8080/x", None), (b"file:///etc/passwd", None),
    (b"/", None), (b"/a b", None), (b"/" + b"x" * 500, None), (b"http://10.0.0.1:80.evil/", None),
])
def test_page_that_leads_on_is_followed_on_the_same_server_and_nowhere_else(location, path):
    page = b"HTTP/1.1 302 Found\r\nX: y\r\nLocation: " + location + b"\r\n\r\n"
    asked = [name for name in names(Facts("http"), None, page) if name != "http-get-nothing"]
    assert asked == ([f"http-get {path}"] if path else [])


def test_only_the_first_page_leads_on():
    page = b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"
    assert names(Facts("http"), None, page, "http-get /a") == ["http-get-nothing"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_name_server_is_asked_for_its_version_over_its_own_transport(transport):
    [follow] = follow_ups(Facts("domain"), None, Reply(transport, b"x" * 12))
    assert follow.probe.name == "dns-version" and follow.probe.transport == transport


def test_noise_hints_at_nothing():
    assert hints(b"\xfe\xfd" * 50) == []


def test_follow_ups_have_names_of_their_own():
    probes = {f.probe.name: f.probe for follows in FOLLOW.values() for f in follows}
    assert all(probes[f.probe.name] == f.probe for fs in FOLLOW.values() for f in fs)
