from __future__ import annotations

import doctest
import json

from portulan.cli import ledger as module
from portulan.cli.ledger import Ledger
from portulan.record import Connection, decode
from portulan.store.chart import Chart

ONE = Connection(client="10.0.0.1:5", local="10.0.0.2:80", protocol="tcp", started="s",
                 elapsed_s=0.5, received=3, sent=4, closed="end")
BAD = Connection(client="\x1b[2J", local="l", protocol="tcp", started="s", elapsed_s=0.5,
                 received=1, sent=1, closed="tls", error="no")


def made(**options):
    given = {"verb": "relay", "targets": ["t"], "argv": ["portulan"], "keep": False,
             "as_json": False, "clock": lambda: 10**18, "say": None}
    return Ledger(**(given | options))


def test_docs_example_holds():
    assert doctest.testmod(module).failed == 0


def test_nobody_who_listens_is_nobody_to_tell():
    assert not made().wanted
    assert made(as_json=True).wanted
    assert made(say=print).wanted


def test_json_is_one_object_a_line(capsysbinary):
    with made(as_json=True) as ledger:
        ledger.record(ONE)
        ledger.record(BAD)
    lines = capsysbinary.readouterr().out.splitlines()
    assert [decode(line) for line in lines] == [ONE, BAD]
    assert json.loads(lines[0])["type"] == "connection"


def test_people_hear_of_bad_ends_only_and_safely():
    said: list[str] = []
    ledger = made(say=said.append)
    ledger.record(ONE)
    ledger.record(BAD)
    assert said == ["\\x1b[2J: tls: no"]


def test_kept_connections_are_in_a_chart_with_its_run_and_end(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    with made(keep=True) as ledger:
        ledger.record(ONE)
        chart = Chart.open("last")
        assert ONE in chart.events()
        assert not chart.complete
    chart = Chart.open("last")
    assert chart.complete
    assert chart.run is not None and chart.run.method == "relay"
    assert (chart.end.sent, chart.end.received) == (4, 3)
    assert chart.damage == []
