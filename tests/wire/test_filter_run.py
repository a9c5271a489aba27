from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire import bpf
from portulan.wire.filter_graph import (
    Binary,
    Block,
    Comparison,
    HeaderSize,
    Length,
    Load,
    Native,
    Num,
    graph,
)
from portulan.wire.filter_run import mask, matcher, program
from portulan.wire.frames import Frames

number = st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1))
simple = st.one_of(
    number.map(Num), st.just(Length()), st.integers(0, 12).map(HeaderSize),
    st.builds(Load, st.integers(0, 12), st.sampled_from([1, 2, 4])))
names = st.sampled_from(["add", "sub", "mul", "div", "mod", "and", "or", "xor", "lsh", "rsh"])


def usable(expr):
    constant = expr.right.value if isinstance(expr.right, Num) else 1
    shifts = expr.name in ("lsh", "rsh")
    return not (expr.name in ("div", "mod") and not constant) and not (shifts and constant > 31)


exprs = st.recursive(simple, lambda inner: st.one_of(
    st.builds(Binary, names, inner, inner).filter(usable),
    st.builds(Load, st.integers(0, 12), st.sampled_from([1, 2, 4]), inner)), max_leaves=6)
tests = st.builds(Comparison, st.sampled_from(["eq", "gt", "ge", "set"]), exprs, exprs)


@given(tests, st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_any_expression_has_one_outcome_for_all_readers(test, octets):
    root = graph(test)
    frames = Frames.of(octets)
    match = matcher(root)
    expected = [match(each, len(each)) for each in octets]
    assert mask(root, frames).tolist() == expected
    assert [bool(bpf.run(program(root, 9), each)) for each in octets] == expected


def test_frames_in_one_buffer_do_not_leak_into_each_other():
    root = graph(Comparison("eq", Load(1, 1), Num(7)))
    assert mask(root, Frames.of([b"\x07", b"\x07\x07", b"", b"\x07"])).tolist() == [
        False, True, False, False]


def test_batch_of_nothing_is_a_mask_of_nothing():
    root = graph(Comparison("eq", Load(1, 1), Num(7)))
    assert mask(root, Frames.empty()).tolist() == []
    assert mask(root, Frames.of([b""])).tolist() == [False]
    assert mask(True, Frames.of([b""])).tolist() == [True]


def test_native_test_is_no_program_and_says_why():
    native = Native("the moon", lambda octets: True, lambda f: np.ones(len(f), np.bool_))
    root = graph(native)
    assert isinstance(root, Block)
    with pytest.raises(UsageError, match="not expressible in BPF: 'the moon'"):
        program(root, 9)
    assert matcher(root)(b"", 0)


def test_expression_beyond_sixteen_cells_is_refused():
    root = graph(Comparison("eq", _nested(18), Num(1)))
    with pytest.raises(UsageError, match="16 memory cells"):
        program(root, 9)


def _nested(depth):
    # Each level holds a cell while its left side, another level, is computed.
    return Load(0, 1) if not depth else Binary("add", _nested(depth - 1), Load(depth, 1))
