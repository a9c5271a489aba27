from __future__ import annotations

from portulan.drive.identifying import Aim, Identified
from portulan.drive.identifying_events import (
    BANNER_MAX,
    KEPT_MAX,
    REPLY_KEPT_MAX,
    judge_again,
    service_event,
)
from portulan.ident.dialogue import Outcome
from portulan.ident.dialogue_known import Known, Secured
from portulan.ident.reply import Reply
from portulan.ident.rules import Book, Rule
from portulan.record import Service, decode, encode

SSH = Reply("tcp", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
AIM = Aim("10.0.0.1", 22)


def identified(*replies, tls=None, state="answered"):
    known = Known()
    for reply in replies:
        known.take(reply)
    return Identified(AIM, Outcome(state, known.verdict, tls, replies, (), 1), 1_234_567)


def test_event_tells_the_verdict_and_keeps_the_bytes():
    event = service_event(identified(SSH))
    assert (event.name, event.product, event.version) == ("ssh", "OpenSSH", "9.2p1")
    assert event.heard[0].data == SSH.data and event.took_ms == 1.2
    assert decode(encode(event)) == event


def test_nothing_said_is_no_event():
    assert service_event(identified(state="silent")) is None


def test_port_that_hangs_up_is_wrapped():
    event = service_event(identified(state="wrapped"))
    assert (event.name, event.info) == ("tcpwrapped", "hangs up before a word")


def test_unread_reply_is_an_unknown_service_with_its_bytes():
    event = service_event(identified(Reply("tcp", b"\xfe\xfe")))
    assert event.name == "unknown" and event.confidence == 0 and event.heard[0].data == b"\xfe\xfe"


def test_tls_of_which_nothing_inside_is_known_is_tls():
    event = service_event(identified(tls=Secured("TLSv1.3")))
    assert event.name == "tls" and event.tls


def test_handshake_is_kept_within_bounds_and_told_apart_from_starttls():
    tls = Secured("TLSv1.3", "X", "h2", (b"own", b"x" * 60_000, *[b"ca"] * 20))
    event = service_event(identified(SSH, tls=tls))
    assert event.tls and not event.handshake.starttls and event.handshake.cipher == "X"
    assert event.handshake.certificates[0] == b"own" and len(event.handshake.certificates) == 7
    assert decode(encode(event)) == event and judge_again(event) == event
    up = Outcome("answered", None, None, (SSH,), (), 1, upgraded=tls)
    event = service_event(Identified(AIM, up, 0))
    assert event.handshake.starttls and not event.tls


def test_what_is_kept_is_bounded_and_begins_with_what_decided():
    replies = [Reply("tcp", b"\xfe" * 60_000, probe=str(n)) for n in range(9)]
    event = service_event(identified(*replies, SSH))
    assert event.heard[0].data == SSH.data
    assert max(len(each.data) for each in event.heard) <= REPLY_KEPT_MAX
    assert sum(len(each.data) for each in event.heard) <= KEPT_MAX
    assert len(event.banner) <= BANNER_MAX


def test_recorded_service_is_judged_anew_by_newer_rules():
    old = service_event(identified(SSH))
    book = Book([Rule(id="mine", field="ssh.software", pattern="^OpenSSH_(?P<version>.*)",
                      product="Mine")])
    new = judge_again(old, book)
    assert (new.product, new.rule, new.heard, new.took_ms) == (
        "Mine", "mine", old.heard, old.took_ms)
    assert judge_again(old) == old


def test_echo_stays_an_echo_though_it_returned_another_protocol():
    known = Known()
    known.take(SSH, asked=SSH.data)
    outcome = Outcome("answered", known.verdict, None, (SSH,), (), 1)
    echo = service_event(Identified(AIM, outcome, 0))
    assert echo.name == "echo" and judge_again(echo) is echo


def test_service_without_its_bytes_stays_as_it_is():
    bare = Service(addr="10.0.0.1", port=22, protocol="tcp", name="ssh", product="X")
    assert judge_again(bare) is bare
