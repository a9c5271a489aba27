from __future__ import annotations

from portulan.drive import discovery as room
from portulan.drive.conductor import Conductor
from portulan.drive.discovery import Discovery
from portulan.link.routes import Neighbour
from portulan.record import Host
from portulan.target.ranges import Range
from portulan.target.space import Space

from .plans import plan


def drained(search):
    steps = []
    try:
        while True:
            steps.append(next(search))
    except StopIteration as end:
        return [event for step in steps for event in step.events], end.value


def test_own_addresses_are_up_without_being_asked():
    made = Conductor(plan("127.0.0.0/30"), None, None)
    events, found = drained(Discovery(made, {}).by_connect())
    assert [event.reason for event in events] == ["localhost-response"] * 4
    assert sum(item.count for item in found) == 4
    assert made.tally.sent == 0


def test_host_known_from_an_earlier_run_is_not_told_again():
    made = Conductor(plan("127.0.0.1", "127.0.0.2"), None, None)
    known = {"127.0.0.1": Host(addr="127.0.0.1", state="up", reason="localhost-response")}
    events, found = drained(Discovery(made, known).by_connect())
    assert [event.addr for event in events] == ["127.0.0.2"]
    assert sum(item.count for item in found) == 2


def test_pn_asks_nobody_and_returns_all():
    made = Conductor(plan("127.0.0.0/30", discover=False), None, None)
    events, found = drained(Discovery(made, {}).by_connect())
    assert events == []
    assert sum(item.count for item in found) == 4


def test_kernels_neighbours_count_only_while_reachable(monkeypatch):
    made = Conductor(plan("127.0.0.1"), None, None)
    monkeypatch.setattr(type(made.plan.ways), "ranges", lambda self, *kinds: (Range(4, 100, 8),))
    table = [
        Neighbour(2, 4, 100 + at, mac, state, False) for at, (mac, state) in enumerate((
            (b"\x02\0\0\0\0\1", "reachable"), (b"\x02\0\0\0\0\2", "stale"),
            (b"\x02\0\0\0\0\3", "failed"), (None, "incomplete"), (b"\x02\0\0\0\0\4", "delay")))
    ] + [Neighbour(2, 4, 999, b"\x02\0\0\0\0\5", "reachable", False)]
    monkeypatch.setattr(room, "neighbour_table", lambda: table)
    space = Space.hosts([Range(4, 100, 8)], [(6, 80)])
    findings = made.findings(space)
    [step] = Discovery(made, {})._resolved(findings, space)
    assert [(e.addr, e.reason, e.mac) for e in step.events] == [
        ("0.0.0.100", "arp-response", "02:00:00:00:00:01")]
    assert findings.hosts_up == 1
    assert made.tally.up == {"0.0.0.100": "arp-response"}
