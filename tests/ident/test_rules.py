"""Rules and their lint."""

from __future__ import annotations

import pytest

from portulan.ident.rules import Book, Rule, builtin, escape_cpe, faults

GOOD = Rule("a", "x.y", r"^Toy(?:/(?P<version>[0-9.]+))?", "Toy", cpe="cpe:2.3:a:t:t:{version}:*",
            positive=("Toy/1",), negative=("A Toy",))


def test_rules_of_the_package_have_no_faults():
    assert faults(builtin().rules) == []


@pytest.mark.parametrize("change", [
    {"pattern": "Toy"}, {"pattern": "^Toy(?=/)"}, {"positive": ()}, {"negative": ()},
    {"positive": ("Boy",)}, {"negative": ("Toy",)},
], ids=["unanchored", "lookahead", "no-positive", "no-negative", "misses", "matches-negative"])
def test_rule_with_a_fault_is_told(change):
    values = {name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__} | change
    assert faults([Rule(**values)])


def test_same_pattern_twice_is_a_duplicate():
    assert faults([GOOD, GOOD]) == ["a: duplicate"]


def test_rule_behind_a_wider_one_is_shadowed():
    wide = Rule("w", "x.y", "^To", "To", positive=("Tom",), negative=("x",))
    assert "shadowed by w" in faults([wide, GOOD])[0]


def test_absent_group_leaves_version_out():
    assert GOOD.read("Toy") == {"product": "Toy", "cpe": "cpe:2.3:a:t:t:*:*"}


def test_book_runs_fields_as_one_re2_set():
    book = Book([GOOD])
    assert [rule.id for rule in book.matching("x.y", "Toy/2")] == ["a"]
    assert type(book._sets["x.y"]).__module__ == "re2"


def test_cpe_attribute_is_escaped():
    assert escape_cpe("1:2*") == r"1\:2\*"
