"""A verdict is a value."""

from __future__ import annotations

from portulan.ident.verdict import UNKNOWN, Verdict


def test_verdict_without_findings_is_unknown_with_no_confidence():
    assert (Verdict().name, Verdict().confidence) == (UNKNOWN, 0.0)
