"""Judging replies."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.ident.judge import judge, judge_many
from portulan.ident.reply import Reply

SSH = Reply("tcp", b"SSH-2.0-OpenSSH_9.7p1 Debian-2\r\n")


def test_openssh_greeting_names_version_system_and_rule():
    verdict = judge(SSH)
    assert (verdict.product, verdict.version, verdict.os) == ("OpenSSH", "9.7p1", "Debian")
    assert verdict.rule == "ssh-openssh" and verdict.disclosed and ":9.7p1:" in verdict.cpe


def test_no_bytes_say_nothing():
    assert judge(Reply("tcp", b"")) is None


def test_telling_reply_wins_over_a_silent_one():
    assert judge_many([Reply("tcp", b"HTTP/1.1 200 OK\r\n\r\n"), SSH]).name == "ssh"


STARTS = [b"", b"HTTP/1.1 200 OK\r\nServer: ", b"SSH-2.0-", b"220 ", b"\x40\0\0\0\x0a5", b"* OK "]


@settings(max_examples=500)
@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_reply_is_judged_without_exception(start, rest):
    verdict = judge(Reply("tcp", start + rest))
    assert verdict is None or 0 < verdict.confidence <= 1
