from __future__ import annotations

from portulan.ident.checks.tls_certificate import tls_certificate
from tests.ident.test_certificates import DAY_S, NOW_S, made

from .places import levels, place, tell, texts


def told_of(der, now_s=NOW_S):
    return tell(tls_certificate, place("http", tls=True, certificates=[der], now_s=now_s))


def test_names_key_and_dates_are_told():
    told = told_of(made(days=90))
    assert texts(told)[0] == "certificate for lab.test, www.lab.test; by itself; RSA 2048"
    assert texts(told)[1].startswith("sha256 ")
    assert "in 90 days" in texts(told)[2]


def test_expiry_soon_past_and_not_yet_are_warnings():
    der = made(days=90)
    assert "warning" in levels(told_of(der, NOW_S + 80 * DAY_S))[2:3]
    assert "days ago" in texts(told_of(der, NOW_S + 100 * DAY_S))[2]
    assert "not valid before" in texts(told_of(der, NOW_S - 10 * DAY_S))[2]


def test_its_own_signature_and_a_short_key_are_warnings():
    assert any("nobody vouches" in text for text in texts(told_of(made(days=90))))
    assert any("1024 bits can be broken" in text for text in texts(told_of(made(bits=1024))))


def test_octets_that_are_no_certificate_are_told():
    assert levels(told_of(b"\x30\x03\x02\x01\x00")) == ["warning"]
