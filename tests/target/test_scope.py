from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.hosts import parse_host
from portulan.target.scope import ScopeRules

TEXT = "# ours\nallow 10.0.0.0/8\nallow 2001:db8::/112\ndeny 10.9.0.0/16  # not ours\n"


def outside(text, *hosts):
    ranges = [item for host in hosts for item in parse_host(host).ranges]
    return " ".join(map(str, ScopeRules.parse(text, "scope").check(ranges)))


def test_inside_is_nothing_outside():
    assert outside(TEXT, "10.1.2.0/24", "2001:db8::5") == ""


def test_denied_and_unnamed_lie_outside():
    assert outside(TEXT, "10.8.255.255-10.9.0.1", "192.0.2.1") == "10.9.0.0/31 192.0.2.1"


@pytest.mark.parametrize(("text", "says"), [
    ("", "scope: a scope that allows nothing"),
    ("deny 10.0.0.0/8", "allows nothing"),
    ("allow 10.0.0.0/8\npermit 10.0.0.0/8", "scope:2: not a scope rule"),
    ("allow", "scope:1: not a scope rule"),
    ("allow 10.0.0.0/99", "scope:1: a prefix length"),
    ("allow name.example", "addresses and nets only"),
    ("allow 10.0.0.1:80", "addresses and nets only"),
])
def test_wrong_rules_say_the_line(text, says):
    with pytest.raises(UsageError, match=says):
        ScopeRules.parse(text, "scope")


@given(st.text(max_size=80))
def test_any_text_gives_rules_or_usage_error(text):
    with suppress(UsageError):
        ScopeRules.parse(text, "scope")
