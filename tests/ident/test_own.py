"""A user's own rules."""

from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.ident.judge import judge
from portulan.ident.own import book, load
from portulan.ident.reply import Reply

TOY = r"""
[[rule]]
id = 'toy'
field = 'http.server'
pattern = '^Apache/(?P<version>[0-9.]+) \(Toy\)'
product = 'Toy'
positive = ['Apache/2.4 (Toy)']
negative = ['Apache/2.4']
"""


def test_rule_of_one_s_own_decides_before_ours(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    reply = Reply("tcp", b"HTTP/1.1 200 OK\r\nServer: Apache/2.4 (Toy)\r\n\r\n")
    verdict = judge(reply, book([tmp_path]))
    assert (verdict.product, verdict.version, verdict.rule) == ("Toy", "2.4", "toy")
    assert judge(reply).product == "HTTPD"


@pytest.mark.parametrize(("text", "told"), [
    ("[[rule]", "no file of rules"), ("x = 1", "no file of rules"),
    ("[[rule]]\nid = 'a'", "field"), (TOY.replace("^Apache", "^A(?=p)"), "not RE2"),
], ids=["torn", "other", "incomplete", "look-ahead"])
def test_file_that_is_no_rules_is_one_clear_line(tmp_path, text, told):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as error:
        load([path])
    assert "bad.toml" in str(error.value) and "\n" not in str(error.value)


def test_absent_file_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load([tmp_path / "none.toml"])
