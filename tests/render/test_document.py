from __future__ import annotations

import json

from portulan.render.document import render

from .runs import ATTACKS, KILLED, SMALL, hostile


def test_whole_run_is_one_array():
    events = json.loads("".join(render(SMALL)))
    assert [event["type"] for event in events][:2] == ["run", "port"]
    assert len(events) == len(SMALL)


def test_killed_run_is_a_closed_array():
    assert len(json.loads("".join(render(KILLED)))) == len(KILLED)


def test_no_events_are_an_empty_array():
    assert json.loads("".join(render([]))) == []


def test_every_attack_parses():
    for text in ATTACKS:
        assert len(json.loads("".join(render(hostile(text))))) == 8
