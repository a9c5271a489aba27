from __future__ import annotations

from portulan.ident.checks.http_methods import http_methods

from .places import page, place, tell


def test_methods_that_change_things_are_a_warning():
    [told] = tell(http_methods, place("http"), page(headers=["Allow: GET, PUT", "Allow: TRACE"]))
    assert (told.text, told.level) == ("methods it names: GET, PUT, TRACE", "warning")


def test_plain_methods_are_not():
    [told] = tell(http_methods, place("http"), page(headers=["Allow: GET,HEAD,OPTIONS,,<b>"]))
    assert (told.text, told.level) == ("methods it names: GET, HEAD, OPTIONS", "info")


def test_a_refusal_tells_nothing():
    assert tell(http_methods, place("http"), page(status=405, headers=["Allow: GET"])) == []
