from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import msgspec
import pytest

from portulan.cli.scan_options import Options
from portulan.cli.scan_show import Show
from portulan.record import Host, Port


def port(number, state):
    return Port(addr="127.0.0.1", port=number, protocol="tcp", state=state, reason="reset")


EVENTS = [
    port(1, "open"), port(2, "closed"),
    Host(addr="127.0.0.1", state="up", reason="syn-ack", rest={"tcp": {"closed": 9}}),
]


def shown_of(events):
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    return SimpleNamespace(lines=lines, events=events, progress=None)


def scan_of(events):
    return SimpleNamespace(shown=lambda: iter([shown_of(events)]), events=events, folder=None)


@pytest.mark.parametrize(("only_open", "ports"), [(False, [1, 2]), (True, [1])])
def test_json_prints_the_lines_as_kept_and_open_only_when_asked(only_open, ports, capfdbinary):
    Show(Options(as_json=True, only_open=only_open), scan_of(EVENTS)).run()
    sys.stdout.flush()
    events = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [each["port"] for each in events if "port" in each] == ports


def test_open_only_tells_a_person_nothing_of_the_rest(capsys):
    Show(Options(only_open=True), scan_of(EVENTS)).close()
    out = capsys.readouterr().out
    assert "1/tcp" in out or " 1 " in out
    assert "closed" not in out


def test_hostile_words_reach_the_terminal_escaped(capsys):
    Show(Options(), scan_of([])).say("a\x1b[2Jb")
    assert "\x1b" not in capsys.readouterr().err
