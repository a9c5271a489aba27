from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.sockets.relay_rules import Rules, proxy_rules


@pytest.mark.parametrize(("given", "rules"), [
    ([], (False, 0)), (["in"], (True, 0)), (["out"], (False, 1)), (["in", "out-v2"], (True, 2)),
    (["in", "in"], (True, 0)),
])
def test_words_give_directions_and_version(given, rules):
    assert proxy_rules(given) == rules


def test_two_versions_out_are_a_usage_error():
    with pytest.raises(UsageError):
        proxy_rules(["out", "out-v2"])


@pytest.mark.parametrize("limits", [
    {"idle_s": -1.0}, {"idle_s": float("nan")}, {"idle_s": float("inf")}, {"handshake_s": 0.0},
    {"max_conns": -1},
])
def test_limit_that_cannot_be_meant_is_a_usage_error(limits):
    with pytest.raises(UsageError):
        Rules(**limits)


def test_by_default_only_this_machine_is_believed():
    rules = Rules()
    assert rules.trusted.permits("127.0.0.1")
    assert rules.trusted.permits("::1")
    assert not rules.trusted.permits("10.0.0.1")
    assert rules.access.permits("10.0.0.1")
