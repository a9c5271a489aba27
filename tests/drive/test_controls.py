from __future__ import annotations

import threading

from portulan.drive.outline import describe
from portulan.record import Note

from .plans import events_of, job, listening, plan


def test_a_few_open_ports_are_not_looked_at_more_closely():
    with listening(8) as ports:
        around = [port + 1 for port in ports]
        asked = ",".join(map(str, sorted({*ports, *around})))
        events = events_of(job("127.0.0.1", ports=asked))
    assert not [event for event in events if isinstance(event, Note) and event.addr]


def test_open_ports_alone_are_asked_beside_controls_that_are_closed():
    """Eight of eight ports open: controls are asked, found closed, and nothing is said."""
    with listening(8) as ports:
        run = job("127.0.0.1", ports=",".join(map(str, ports)))
        events = events_of(run)
    end = events[-1]
    assert end.open == 8
    assert end.hosts_up == 1
    assert not [event for event in events if isinstance(event, Note) and event.addr]


def test_the_plan_names_control_probes_where_they_may_be_sent():
    aim = plan("127.0.0.1", ports="1-10")
    assert "4 random high ports" in str(describe(aim, aim.aim.space())["controls"])
    part = plan("127.0.0.1", ports="1-10", shard="1/2")
    assert describe(part, part.aim.space())["controls"] == "none"


def test_a_stopped_job_asks_no_controls():
    with listening(8) as ports:
        run = job("127.0.0.1", ports=",".join(map(str, ports)))
        threading.Timer(0, run.stop).start()
        events = events_of(run)
    assert events[-1].reason in ("interrupted", "done")
