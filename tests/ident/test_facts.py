"""Facts are a value."""

from __future__ import annotations

from portulan.ident.facts import Facts


def test_facts_of_two_replies_share_no_fields():
    assert Facts("a").fields is not Facts("b").fields
