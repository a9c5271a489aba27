from __future__ import annotations

import struct

import pytest

from portulan.ident.dialogue_upgrade import upgrade


def greeting(capabilities: int) -> bytes:
    body = b"\x0a8.0.36\0" + bytes(4) + b"saltsalt\0" + struct.pack("<H", capabilities) + b"\x21"
    return struct.pack("<I", len(body)) + body


def test_mysql_is_asked_for_tls_where_its_capabilities_have_it():
    [step] = upgrade("mysql", greeting(0xFFFF))
    assert step.ready is None and len(step.probe.body) == 36 and step.probe.body[3] == 1
    assert struct.unpack("<I", step.probe.body[4:8])[0] & 0x800
    assert upgrade("mysql", greeting(0xF7FF)) is None


def test_postgresql_that_says_yes_is_secured_at_once():
    assert upgrade("postgresql", b"S") == ()
    assert upgrade("postgresql", b"N") is None


@pytest.mark.parametrize(("chosen", "steps"), [(1, ()), (2, ()), (8, ()), (0, None)])
def test_rdp_is_secured_where_it_chose_tls(chosen, steps):
    confirm = bytes.fromhex("030000130ed000001234000209080000000000")[:15]
    assert upgrade("rdp", confirm[:11] + b"\x02\x09\x08\0" + bytes([chosen, 0, 0, 0])) == steps


def test_mail_server_is_asked_what_it_can_first():
    hello, start = upgrade("smtp", b"220 mail\r\n")
    assert hello.probe.body.startswith(b"EHLO ") and start.probe.body == b"STARTTLS\r\n"
    assert hello.ready.match(b"250-mail\r\n250-STARTTLS\r\n250 HELP\r\n")
    assert not hello.ready.match(b"250-mail\r\n250-STARTTLS\r\n")
    assert not hello.ready.match(b"250-mail\r\n250 HELP\r\n")


@pytest.mark.parametrize(("name", "yes", "no"), [
    ("imap", b"* x\r\na9 OK go\r\n", b"a9 NO\r\n"), ("pop3", b"+OK\r\n", b"-ERR\r\n"),
    ("ftp", b"234 go\r\n", b"530 no\r\n"), ("nntp", b"382 go\r\n", b"580 no\r\n"),
    ("xmpp", b"<proceed xmlns='x'/>", b"<failure/>"), ("managesieve", b"OK\r\n", b"NO\r\n"),
    ("ldap", bytes.fromhex("300c02010978070a010004000400"),
     bytes.fromhex("300c02010978070a013504000400")),
])
def test_answer_says_whether_tls_may_begin(name, yes, no):
    [step] = upgrade(name, b"whatever")
    assert step.ready.match(yes) and not step.ready.match(no)


def test_others_have_no_way():
    assert upgrade("ssh", b"SSH-2.0-x\r\n") is None
