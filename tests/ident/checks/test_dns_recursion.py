from __future__ import annotations

from portulan.ident.checks.dns_recursion import _QUERY, dns_recursion

from .places import levels, place, tell

DNS = place("dns", port=53, protocol="udp")


def reply(flags):
    return _QUERY[:2] + flags.to_bytes(2, "big") + _QUERY[4:]


def test_recursion_offered_is_a_warning():
    assert levels(tell(dns_recursion, DNS, reply(0x8180))) == ["warning"]


def test_recursion_refused_or_not_offered_is_not():
    assert levels(tell(dns_recursion, DNS, reply(0x8185))) == ["info"]
    assert levels(tell(dns_recursion, DNS, reply(0x8100))) == ["info"]


def test_another_questions_answer_tells_nothing():
    assert tell(dns_recursion, DNS, b"\0\0" + reply(0x8180)[2:]) == []
    assert tell(dns_recursion, DNS, _QUERY) == []
