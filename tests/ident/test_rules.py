"""Rules and their lint."""

from __future__ import annotations

import pytest

from portulan.ident.rules import Book, Rule, _Builtin, builtin, escape_cpe, faults

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


def test_rules_of_a_protocol_are_read_when_it_is_met_and_all_when_asked_for():
    texts = ['[[rule]]\nid = "a"\nfield = "ssh.software"\npattern = "^a"\nproduct = "A"\n',
             '[[rule]]\nid = "b"\nfield = "ftp.greeting"\npattern = "^b"\nproduct = "B"\n']
    book = _Builtin(texts)
    assert [rule.id for rule in book.matching("ftp.greeting", "b")] == ["b"]
    assert list(book._read) == [1]
    assert [rule.id for rule in book.rules] == ["a", "b"]
    assert list(book.matching("smtp.greeting", "x")) == []


def test_no_rule_is_in_a_file_that_its_protocol_does_not_lead_to():
    book = builtin()
    by_field = {field for field in book.fields() if field.partition(".")[0] not in book._of}
    assert by_field == set()
    shared = [numbers for numbers in book._of.values() if len(numbers) > 1]
    alone = {number for numbers in shared for number in numbers}
    mixed = [protocol for protocol, numbers in book._of.items() if set(numbers) & alone]
    # Files of several protocols would be read out of order for one of them.
    assert len(mixed) == len(shared)
