from __future__ import annotations

from dataclasses import fields

from portulan.ident.dialogue_contract import MS, Manner


def test_every_wait_is_within_the_budget_and_short_before_long():
    manner = Manner()
    waits = {each.name: getattr(manner, each.name) for each in fields(manner)}
    assert max(waits.values()) == manner.budget_ns == 8_000 * MS
    assert manner.client_first_ns < manner.greet_ns < manner.usual_greet_ns < manner.patience_ns
    assert manner.settle_ns < manner.whole_ns and manner.more_ns < manner.answer_ns
