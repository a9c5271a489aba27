from __future__ import annotations

from portulan.ident.checks.smtp_capabilities import ftp_features, replied, smtp_capabilities

from .places import levels, place, tell, texts

HELLO = b"220 lab ESMTP\r\n"


def test_a_reply_ends_with_its_last_line():
    assert replied(HELLO)
    assert not replied(b"250-lab\r\n250-SIZE\r\n")
    assert replied(b"250-lab\r\n250 SIZE\r\n")


def test_extensions_are_listed_and_plain_passwords_warned_of():
    told = tell(smtp_capabilities, place("smtp", port=25), HELLO,
                b"250-lab\r\n250-SIZE 1000\r\n250 AUTH PLAIN\r\n", b"221 bye\r\n")
    assert texts(told)[0] == "extensions: SIZE 1000, AUTH PLAIN"
    assert levels(told) == ["info", "warning", "warning"]


def test_with_starttls_or_inside_tls_nothing_is_warned_of():
    said = b"250-lab\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
    assert levels(tell(smtp_capabilities, place("smtp"), HELLO, said)) == ["info"]
    plain = b"250-lab\r\n250 AUTH PLAIN\r\n"
    assert levels(tell(smtp_capabilities, place("smtp", tls=True), HELLO, plain)) == ["info"]


def test_a_server_that_refuses_ehlo_tells_nothing():
    assert tell(smtp_capabilities, place("smtp"), HELLO, b"502 no\r\n") == []


def test_features_of_ftp_are_listed():
    told = tell(ftp_features, place("ftp", port=21), b"220 x\r\n",
                b"211-Features:\r\n SIZE\r\n AUTH TLS\r\n211 End\r\n")
    assert (texts(told), levels(told)) == (["features: SIZE, AUTH TLS"], ["info"])
    plain = tell(ftp_features, place("ftp"), b"220 x\r\n", b"211-F\r\n SIZE\r\n211 End\r\n")
    assert levels(plain) == ["info", "warning"]
