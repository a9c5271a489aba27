from __future__ import annotations

import json

from portulan.drive.outline import describe

from .plans import plan


def told(**words):
    it = plan("127.0.0.1", ports="1-10", **words)
    return describe(it, it.aim.space())


def test_outline_is_plain_values_in_the_order_of_what_happens():
    found = told()
    assert json.loads(json.dumps(found)) == found
    assert [*found][:2] == ["method", "why"]
    assert [*found][-1] == "notes"


def test_what_was_not_asked_for_is_none_and_what_was_is_a_sentence():
    wishes = {"naming": "identify", "checks": "checks", "tracing": "traceroute"}
    assert {told()[name] for name in wishes} == {"none"}
    for name, word in wishes.items():
        assert len(told(**{word: True})[name].split()) > 5


def test_bounds_of_pace_are_told_where_they_were_set():
    assert "recall" not in told()
    assert told(scan_delay_s=0.5)["scan_delay_s"] == 0.5
    assert told(scan_delay_s=0.5)["at_least_s"] == 5.0


def test_joined_methods_count_all_their_probes():
    assert told(also=["udp"])["probes"] == 20
    assert told(also=["udp"])["method"] == "connect+udp"
