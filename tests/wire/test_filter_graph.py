from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire.filter_graph import (
    All,
    Any,
    Binary,
    Comparison,
    Length,
    Load,
    Not,
    Num,
    binary,
    blocks,
    compute,
    graph,
    holds,
)
from portulan.wire.filter_graph import test as compare
from portulan.wire.filter_run import matcher

leaf = st.builds(
    lambda name, at, value: compare(name, Load(at, 1), value),
    st.sampled_from(["eq", "eq", "gt", "set"]), st.integers(0, 1), st.integers(0, 3))
nodes = st.recursive(leaf | st.booleans(), lambda inner: st.one_of(
    inner.map(Not), st.lists(inner, min_size=1, max_size=3).map(lambda p: All(tuple(p))),
    st.lists(inner, min_size=1, max_size=3).map(lambda p: Any(tuple(p)))), max_leaves=12)


def plain(node, octets):
    if isinstance(node, bool):
        return node
    if isinstance(node, Not):
        return not plain(node.part, octets)
    if isinstance(node, All):
        return all(plain(part, octets) for part in node.parts)
    if isinstance(node, Any):
        return any(plain(part, octets) for part in node.parts)
    return holds(node.name, octets[node.left.at], node.right.value)


@given(nodes, st.binary(min_size=2, max_size=2).map(lambda b: bytes(x & 3 for x in b)))
def test_pruned_graph_decides_as_the_condition(node, octets):
    assert matcher(graph(node))(octets, 2) == plain(node, octets)


@given(nodes)
def test_graph_goes_only_forward(node):
    order = blocks(graph(node))
    place = {id(block): at for at, block in enumerate(order)}
    for at, block in enumerate(order):
        for target in (block.yes, block.no):
            assert isinstance(target, bool) or place[id(target)] > at


def test_contradiction_becomes_false_and_tautology_true():
    one = compare("eq", Load(0, 1), 1)
    assert graph(All((one, compare("eq", Load(0, 1), 2)))) is False
    assert graph(Any((one, Not(one)))) is True
    assert graph(All((one, one))) == graph(one) or len(blocks(graph(All((one, one))))) == 1


@pytest.mark.parametrize(("name", "right"), [("div", 0), ("mod", 0), ("lsh", 32), ("rsh", 99)])
def test_constant_misused_is_refused(name, right):
    with pytest.raises(UsageError):
        binary(name, Length(), Num(right))


def test_known_values_are_folded():
    assert binary("sub", Num(1), Num(2)) == Num(0xFFFF_FFFF)
    assert binary("and", Load(0, 1), Num(0)) == Num(0)
    assert binary("add", Length(), Num(0)) == Length()
    assert isinstance(binary("add", Length(), Num(1)), Binary)
    assert compare("gt", Num(3), 2) is True
    assert isinstance(compare("gt", Length(), 2), Comparison)


def test_division_by_zero_has_no_value():
    assert compute("div", 1, 0) is None
    assert compute("lsh", 1, 32) == 0
    assert compute("mul", 0xFFFF_FFFF, 2) == 0xFFFF_FFFE
