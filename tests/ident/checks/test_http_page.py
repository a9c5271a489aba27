from __future__ import annotations

from portulan.ident.checks.http_page import http_page

from .places import page, place, tell, texts

HTML = ["Content-Type: text/html"]


def test_the_title_and_missing_headers_are_told():
    told = texts(tell(http_page, place("http"), page(b"<title>Hi &amp; bye</title>", headers=HTML)))
    assert told[0] == "title: Hi & bye"
    assert "Strict-Transport-Security" not in told[1]
    assert "X-Frame-Options" in told[1]


def test_inside_tls_strict_transport_security_is_missed():
    told = texts(tell(http_page, place("http", tls=True), page(b"x", headers=HTML)))
    assert "Strict-Transport-Security" in told[0]


def test_a_redirect_and_an_error_are_told():
    away = page(status=301, headers=["Location: https://lab.test/"])
    assert texts(tell(http_page, place("http"), away)) == ["301: leads to https://lab.test/"]
    assert texts(tell(http_page, place("http"), page(status=403))) == ["front page: status 403"]


def test_what_is_no_http_tells_nothing():
    assert tell(http_page, place("http"), b"SSH-2.0-x\r\n") == []
    assert tell(http_page, place("http"), b"") == []


def test_cookies_without_protection_are_named():
    headers = ["Set-Cookie: sid=1; Path=/", "Set-Cookie: ok=2; HttpOnly; Secure"]
    assert texts(tell(http_page, place("http", tls=True), page(headers=headers))) == [
        "cookie sid without HttpOnly and Secure"]
    assert texts(tell(http_page, place("http"), page(headers=headers))) == [
        "cookie sid without HttpOnly"]
