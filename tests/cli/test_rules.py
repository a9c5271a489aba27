"""`portulan rules`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from portulan.cli.rules import rules
from portulan.errors import UsageError

TOY = """
[[rule]]
id = 'toy'
field = 'http.server'
pattern = '^Toy/(?P<version>[0-9.]+)'
product = 'Toy'
positive = ['Toy/1.5']
negative = ['A Toy/1.5']
"""


def run(*words, **more):
    return CliRunner().invoke(rules, [str(word) for word in words], catch_exceptions=False, **more)


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(TOY)
    return path


def test_rules_pass_their_own_examples():
    assert run("test").exit_code == 0


def test_listed_rule_can_be_shown():
    name = run("list").stdout.split("\t")[0]
    assert json.loads(run("show", name).stdout)["id"] == name


def test_list_keeps_lines_that_hold_all_words():
    lines = run("list", "OPENSSH", "ssh.software").stdout.splitlines()
    assert lines and all("openssh" in line.lower() for line in lines)


def test_rule_that_is_not_there_hints_at_a_near_one():
    with pytest.raises(UsageError, match="did you mean ssh-openssh"):
        run("show", "ssh-opens")


@pytest.mark.parametrize(("name", "told"), [
    ("protocol:svn", "protocol:svn: Apache Subversion is what speaks svn\n"),
    ("grammar:http.server", "grammar:http.server: no rule names this product; http.server itself "
                            "tells its name\n"),
])
def test_what_is_no_rule_is_explained(name, told):
    assert run("show", name).stdout == told


def test_rule_of_one_s_own_is_listed_shown_and_tested(toy):
    assert run("list", "--rules", toy, "Toy/", "toy").stdout == ""
    assert run("list", "--rules", toy).stdout.startswith("toy\thttp.server\tToy\n")
    assert json.loads(run("show", "toy", "--rules", toy).stdout)["product"] == "Toy"
    tested = run("test", toy)
    assert (tested.exit_code, tested.stderr) == (0, "1 rules, 0 faults\n")


def test_rule_that_takes_an_example_of_ours_is_told(toy):
    toy.write_text(TOY.replace("^Toy/(?P<version>[0-9.]+)", "^(?:nginx|Toy)/?"))
    tested = run("test", toy)
    assert tested.exit_code == 1 and "http-nginx: shadowed by toy" in tested.stdout


def test_saved_reply_is_read_to_fields_and_verdict(toy):
    reply = b"HTTP/1.1 200 OK\r\nServer: Toy/1.5\x1b[31m\r\n\r\n"
    lines = run("read", "--rules", toy, input=reply).stdout.splitlines()
    assert lines[0] == "protocol\thttp" and "= version\t1.5" in lines and "= rule\ttoy" in lines
    assert not any("\x1b" in line for line in lines)


def test_reply_that_nobody_knows_is_unknown():
    assert run("read", input=b"\0\1\2").stdout == "protocol\tunknown\n"


def test_how_to_page_shows_what_happens(tmp_path):
    page = (Path(__file__).parents[2] / "docs/howto/rules.md").read_text()
    shown = re.search(r"printf '([^']+)' \| portulan rules read\n(.*?)```", page, re.S)
    reply = shown[1].encode().decode("unicode_escape").encode()
    assert run("read", input=reply).stdout == shown[2]
    rule = tmp_path / "toyd.toml"
    rule.write_text(re.search(r"```toml\n(.*?)```", page, re.S)[1])
    assert run("test", rule).stderr == "1 rules, 0 faults\n"
    assert "= product\tToy Server\n" in run("read", "--rules", rule, input=reply).stdout
