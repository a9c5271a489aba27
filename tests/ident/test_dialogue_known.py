from __future__ import annotations

import pytest

from portulan.ident.dialogue_known import KEPT_MAX, REPLIES_MAX, Known, Secured
from portulan.ident.reply import Reply


def test_what_says_more_wins_and_fields_are_not_mixed():
    known = Known()
    known.take(Reply("tcp", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))
    first = known.verdict
    known.take(Reply("tcp", b"220 ready\r\n"))
    assert known.verdict is first and known.told and known.sure


@pytest.mark.parametrize(("asked", "said", "name"), [
    (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", "echo"),
    (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP", "echo"),
    (b"JDWP-Handshake", b"JDWP-Handshake", "jdwp"), (b"PING\r\n", b"PI", None),
])
def test_returned_question_is_an_echo_unless_its_protocol_returns_it(asked, said, name):
    facts = Known().take(Reply("tcp", said), asked=asked)
    assert (facts.name if facts else None) == name


@pytest.mark.parametrize(("asked", "said", "is_dns"), [
    (b"\x23\0" + bytes(38) + b"ask", b"\x23\0\x80\4" + bytes(36) + b"ask", True),
    (b"ab\0\0" + bytes(20), b"ab\x80\1" + bytes(8), True),
    (b"ab\0\0" + bytes(20), b"ab\x80\0" + bytes(8), False),
    (b"ab\0\0" + bytes(20), b"xx\x80\1" + bytes(8), False),
    (b"ab\0\0" + bytes(20), b"ab\x80\1" + b"12345678", False),
    (b"ab\0\0", b"ab\x80\1" + bytes(8), False),
])
def test_question_that_comes_back_as_a_dns_error_tells_a_name_server(asked, said, is_dns):
    known = Known()
    known.take(Reply("udp", said), asked=asked)
    assert (known.verdict is not None and known.verdict.rule == "dns-error") is is_dns


def test_unread_reply_is_kept_and_tells_nothing():
    known = Known()
    assert known.take(Reply("tcp", b"\xfe\xfe\xfe")) is None
    assert len(known.replies) == 1 and not known.told and not known.sure


def test_replies_are_kept_within_bounds():
    known = Known()
    for _ in range(100):
        known.take(Reply("tcp", b"\xfe" * 60_000))
    assert len(known.replies) <= REPLIES_MAX
    assert sum(len(reply.data) for reply in known.replies) <= KEPT_MAX + 60_000


def test_inside_of_tls_what_was_said_outside_is_no_verdict():
    known = Known()
    known.take(Reply("tcp", b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.2.3\r\n\r\n"))
    assert known.told
    known.move_inside(Secured("TLSv1.3"))
    assert known.verdict is None and known.tls and known.replies
