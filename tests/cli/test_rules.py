"""`portulan rules`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from portulan.cli.rules import rules


def test_rules_pass_their_own_examples():
    assert CliRunner().invoke(rules, ["test"]).exit_code == 0


def test_listed_rule_can_be_shown():
    name = CliRunner().invoke(rules, ["list"]).stdout.split("\t")[0]
    assert json.loads(CliRunner().invoke(rules, ["show", name]).stdout)["id"] == name
