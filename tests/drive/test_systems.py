from __future__ import annotations

import os

import pytest

from portulan.drive.outline import describe
from portulan.drive.plan import systems_asked
from portulan.record import End, Note, Os

from .plans import events_of, job, plan


def test_without_rights_it_is_said_that_no_system_is_asked_for():
    if os.geteuid():
        asked = plan("127.0.0.1", ports="9", systems=True)
        assert not systems_asked(asked)
        assert any("-O" in note for note in asked.notes)


def test_a_plan_names_what_is_asked_of_stacks():
    asked = plan("127.0.0.1", ports="9", systems=True)
    told = str(describe(asked, asked.aim.space())["systems"])
    assert ("16 packets" in told) == systems_asked(asked)
    plain = plan("127.0.0.1", ports="9")
    assert describe(plain, plain.aim.space())["systems"] == "none"


def test_this_machine_is_told_before_the_scan_ends():
    words = {"ports": "9", "discover": False, "systems": True}
    if not systems_asked(plan("127.0.0.1", **words)):
        pytest.skip("needs CAP_NET_RAW")
    events = events_of(job("127.0.0.1", **words))
    [found] = [event for event in events if isinstance(event, Os)]
    assert (found.addr, found.family) == ("127.0.0.1", "Linux")
    assert isinstance(events[-1], End)
    assert not any(isinstance(event, Note) and event.level == "error" for event in events)
