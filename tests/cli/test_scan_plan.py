from __future__ import annotations

import io
import json
import sys

import pytest

from portulan.cli import scan_plan
from portulan.cli.scan_options import Options
from portulan.drive.plan import ScopeNeeded


class Terminal(io.StringIO):
    def isatty(self):
        return True


def request(*targets, **words):
    return Options(targets=targets, ports="80", kind=("T",), seed=1, **words).request()


def test_many_public_addresses_need_a_scope_where_nobody_can_be_asked(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ScopeNeeded):
        scan_plan.confirmed_plan(request("8.0.0.0/8"), ask=True)


@pytest.mark.parametrize(("ask", "answer"), [(True, False), (False, True)])
def test_many_public_addresses_are_refused_unless_a_person_says_yes(monkeypatch, ask, answer):
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(scan_plan.click, "confirm", lambda *_, **__: answer)
    with pytest.raises(ScopeNeeded):
        scan_plan.confirmed_plan(request("8.0.0.0/8"), ask=ask)


def test_plan_as_json_is_one_object_a_line(capsys):
    plan = scan_plan.confirmed_plan(request("127.0.0.1"), ask=False)
    scan_plan.print_plan(plan, as_json=True)
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["probes"] == 1
