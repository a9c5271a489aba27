from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.systems import System, builtin, judge, load

NAMES = sorted({name for system in builtin() for name in system.traits})


@pytest.mark.parametrize("system", builtin(), ids=lambda system: system.id)
def test_each_family_is_told_by_its_example_and_by_no_other(system):
    found = judge(system.example)
    assert found is not None
    assert (found.family, found.rule) == (system.family, system.id)
    assert system.source.startswith(("measured", "published"))


@pytest.mark.parametrize("system", builtin(), ids=lambda system: system.id)
def test_each_generation_is_told_only_by_all_its_traits(system):
    for each in system.generations:
        assert set(each.traits) <= {*NAMES, "synack.segments"}
        assert system.generation({}) == ""


def test_linux_is_dated_by_its_first_window():
    linux = next(each for each in builtin() if each.id == "linux")
    seen = {segments: linux.generation({"synack.segments": segments})
            for segments in ("45", "44", "20", "10", "4", "1")}
    assert seen == {"45": "4.20 or later", "44": "4.20 or later", "20": "3.11 to 4.19",
                    "10": "2.6.39 to 3.10", "4": "2.6", "1": ""}


def test_a_host_that_shows_nothing_or_little_has_no_family():
    assert judge({}) is None
    assert judge({"synack.ttl": "64", "synack.df": "yes"}) is None
    assert judge({"echo.ttl": "64", "echo.code": "same", "u1": "none"}) is None


def test_what_speaks_against_a_family_is_told_and_lowers_confidence():
    linux = {"seq1.options": "MSTNW", "synack.ttl": "64", "synack.df": "yes", "synack.id": "zero",
             "t2": "none", "t3": "none", "u1.tos": "0xc0"}
    plain, changed = judge(linux), judge(linux | {"synack.ttl": "128"})
    assert plain is not None
    assert changed is not None
    assert plain.family == changed.family == "Linux"
    assert changed.confidence < plain.confidence
    assert "against it: synack.ttl = 128" in changed.evidence


def test_two_families_that_fit_alike_are_no_answer():
    twins = tuple(
        System(id=name, family=name, source="published", traits={"a": ("1", 8.0)}, example={})
        for name in ("one", "two"))
    assert judge({"a": "1"}, twins) is None
    assert judge({"a": "1"}, twins[:1]).family == "one"


def test_a_rule_file_of_ones_own_is_read():
    [mine] = load("""
        [[system]]
        id = "mine"
        family = "Mine"
        source = "published"
        traits = { "seq1.options" = ["MW+", 9] }
        example = { "seq1.options" = "MW" }
    """)
    assert judge(mine.example, (mine,)).family == "Mine"
    assert judge({"seq1.options": "MWX"}, (mine,)) is None


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20)))
def test_any_traits_give_a_verdict_or_none(seen):
    found = judge(seen)
    assert found is None or 0 < found.confidence <= 0.95
