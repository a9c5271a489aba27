"""The three readers of a filter's graph: a BPF program, a mask over frames, a predicate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire import bpf
from portulan.wire.filter_graph import (
    WORD,
    Binary,
    Block,
    Expr,
    HeaderSize,
    Length,
    Load,
    Native,
    Num,
    Target,
    blocks,
    compute,
    holds,
)
from portulan.wire.frames import Frames

Values = NDArray[np.int64]
Flags = NDArray[np.bool_]
Reader = Callable[[bytes, int], int]
Matcher = Callable[[bytes, int], bool]
CELLS = 16


# --- BPF

def program(root: Target, keep_octets: int) -> list[tuple[int, int, int, int]]:
    """Return the classic BPF program; raises `UsageError` where BPF has no means."""
    order = blocks(root)
    label = {id(block): f"b{at}" for at, block in enumerate(order)}
    source: list[bpf.Op | str] = []
    held: dict[int, set[Expr]] = {}
    for block in order:
        test = block.test
        if isinstance(test, Native):
            raise UsageError("not expressible in BPF", text=test.reason,
                             hint="it can filter captures, not the kernel")
        source.append(label[id(block)])
        yes, no = (_label(target, label) for target in (block.yes, block.no))
        name, left, right = test.name, test.left, test.right
        if name == "eq" and right == Num(0) and _is_masked(left):
            # "No bit under the mask" is one instruction: jset, the other way round.
            name, yes, no = "set", no, yes
            right, left = left.right, left.left
        if isinstance(right, Num):
            source += [] if held.get(id(block)) == {left} else _accumulate(left, 0)
            source.append(bpf.jump_if(name, right.value, yes=yes, no=no))
        else:
            source += [*_accumulate(right, 0), bpf.store(0), *_accumulate(left, 1),
                       bpf.index_memory(0), bpf.jump_if(name, None, yes=yes, no=no)]
        for target in (block.yes, block.no):
            held.setdefault(id(target), set()).add(left)
    ends = {_label(t, label) for b in order for t in (b.yes, b.no)} | {_label(root, label)}
    if "keep" in ends:
        source += ["keep", bpf.keep(keep_octets)]
    if "drop" in ends:
        source += ["drop", bpf.keep(0)]
    return bpf.assemble(source)


def _is_masked(expr: Expr) -> TypeGuard[Binary]:
    return isinstance(expr, Binary) and expr.name == "and" and isinstance(expr.right, Num)


def _label(target: Target, label: dict[int, str]) -> str:
    if isinstance(target, Block):
        return label[id(target)]
    return "keep" if target else "drop"


def _accumulate(  # noqa: PLR0911 - one return a kind of expression
    expr: Expr, cell: int
) -> list[bpf.Op]:
    """Return what sets A; memory cells below `cell` are kept."""
    if isinstance(expr, Num):
        return [bpf.load_constant(expr.value)]
    if isinstance(expr, Length):
        return [bpf.load_length()]
    if isinstance(expr, HeaderSize):
        return [bpf.load_header_size(expr.at), bpf.from_index()]
    if isinstance(expr, Load):
        if expr.index is None:
            return [bpf.load(expr.at, expr.size)]
        if isinstance(expr.index, HeaderSize):
            index = [bpf.load_header_size(expr.index.at)]
        else:
            index = [*_accumulate(expr.index, cell), bpf.to_index()]
        return [*index, bpf.load(expr.at, expr.size, indexed=True)]
    if isinstance(expr.right, Num):
        return [*_accumulate(expr.left, cell), bpf.compute(expr.name, expr.right.value)]
    if isinstance(expr.right, HeaderSize):
        return [*_accumulate(expr.left, cell), bpf.load_header_size(expr.right.at),
                bpf.compute(expr.name)]
    if cell >= CELLS:
        raise UsageError("arithmetic nested too deep for BPF's 16 memory cells")
    return [*_accumulate(expr.right, cell), bpf.store(cell), *_accumulate(expr.left, cell + 1),
            bpf.index_memory(cell), bpf.compute(expr.name)]


# --- predicate

class _OutsideError(Exception):
    """A read outside the frame."""


def matcher(root: Target) -> Matcher:
    """Return the predicate of one frame and its length on the wire."""
    order = blocks(root)
    place = {id(block): at for at, block in enumerate(order)}

    def go(target: Target) -> int:
        return place[id(target)] if isinstance(target, Block) else -1 if target else -2

    steps = [(_tester(block), go(block.yes), go(block.no)) for block in order]
    start = go(root)

    def match(octets: bytes, wire_length: int) -> bool:
        at = start
        try:
            while at >= 0:
                tester, yes, no = steps[at]
                at = yes if tester(octets, wire_length) else no
        except _OutsideError:
            return False
        return at == -1

    return match


def _tester(block: Block) -> Matcher:
    test = block.test
    if isinstance(test, Native):
        native = test.match
        return lambda octets, length: native(octets)
    left, right, name = _reader(test.left), _reader(test.right), test.name
    return lambda octets, length: holds(name, left(octets, length), right(octets, length))


def _reader(expr: Expr) -> Reader:
    if isinstance(expr, Num):
        constant = expr.value
        return lambda octets, length: constant
    if isinstance(expr, Length):
        return lambda octets, length: length & WORD
    if isinstance(expr, HeaderSize):
        octet = _loader(expr.at, 1, None)
        return lambda octets, length: (octet(octets, length) & 15) * 4
    if isinstance(expr, Load):
        return _loader(expr.at, expr.size, None if expr.index is None else _reader(expr.index))
    left, right, name = _reader(expr.left), _reader(expr.right), expr.name

    def value(octets: bytes, length: int) -> int:
        result = compute(name, left(octets, length), right(octets, length))
        if result is None:
            raise _OutsideError
        return result

    return value


def _loader(at: int, size: int, index: Reader | None) -> Reader:
    def load(octets: bytes, length: int) -> int:
        start = at if index is None else at + index(octets, length)
        if start + size > len(octets):
            raise _OutsideError
        return int.from_bytes(octets[start : start + size], "big")

    return load


# --- mask

def mask(root: Target, frames: Frames) -> Flags:
    """Return which frames the filter accepts: each block tests all frames that come to it."""
    accepted = np.zeros(len(frames), np.bool_)
    if isinstance(root, bool):
        accepted[:] = root
        return accepted
    waiting: dict[int, list[Values]] = {id(root): [np.arange(len(frames))]}
    for block in blocks(root):
        arrived = waiting.pop(id(block), [])
        rows = np.concatenate([np.empty(0, np.int64), *arrived])
        if not len(rows):
            continue
        held, inside = _test_rows(block, frames, rows)
        for target, chosen in ((block.yes, held & inside), (block.no, ~held & inside)):
            if isinstance(target, Block):
                waiting.setdefault(id(target), []).append(rows[chosen])
            elif target:
                accepted[rows[chosen]] = True
    return accepted


def _test_rows(block: Block, frames: Frames, rows: Values) -> tuple[Flags, Flags]:
    test = block.test
    if isinstance(test, Native):
        return test.mask(frames.take(rows)), np.ones(len(rows), np.bool_)
    left, inside = _values(test.left, frames, rows)
    right, also = _values(test.right, frames, rows)
    if test.name == "eq":
        held = left == right
    elif test.name == "set":
        held = (left & right) != 0
    else:
        held = left > right if test.name == "gt" else left >= right
    return held, inside & also


def _values(expr: Expr, frames: Frames, rows: Values) -> tuple[Values, Flags]:
    """Return an expression's values, and for which rows it lies inside the frame."""
    inside = np.ones(len(rows), np.bool_)
    if isinstance(expr, Num):
        return np.full(len(rows), expr.value, np.int64), inside
    if isinstance(expr, Length):
        return frames.wire_length[rows] & WORD, inside
    if isinstance(expr, HeaderSize):
        octet, inside = _octets(frames, rows, np.full(len(rows), expr.at, np.int64), 1)
        return (octet & 15) * 4, inside
    if isinstance(expr, Load):
        start = np.full(len(rows), expr.at, np.int64)
        if expr.index is not None:
            index, inside = _values(expr.index, frames, rows)
            start += index
        values, there = _octets(frames, rows, start, expr.size)
        return values, inside & there
    return _computed(expr, frames, rows)


def _octets(frames: Frames, rows: Values, start: Values, size: int) -> tuple[Values, Flags]:
    inside = start + size <= frames.length[rows]
    if not len(frames.buffer):
        return np.zeros(len(rows), np.int64), inside
    at = frames.offset[rows] + start
    value = frames.buffer.take(at, mode="clip").astype(np.int64)
    for further in range(1, size):
        value = value << 8 | frames.buffer.take(at + further, mode="clip")
    return value, inside


def _computed(expr: Binary, frames: Frames, rows: Values) -> tuple[Values, Flags]:
    left, inside = _values(expr.left, frames, rows)
    right, also = _values(expr.right, frames, rows)
    inside, name = inside & also, expr.name
    if name in ("div", "mod"):
        inside &= right != 0
        safe = np.where(right == 0, 1, right)
        return (left // safe if name == "div" else left % safe), inside
    if name in ("lsh", "rsh"):
        by = np.minimum(right, 31)
        shifted = (left << by if name == "lsh" else left >> by) & WORD
        return np.where(right > 31, 0, shifted), inside
    if name == "mul":
        wide = left.astype(np.uint64) * right.astype(np.uint64)
        return (wide & np.uint64(WORD)).astype(np.int64), inside
    plain = {"add": np.add, "sub": np.subtract, "and": np.bitwise_and, "or": np.bitwise_or,
             "xor": np.bitwise_xor}
    return plain[name](left, right) & WORD, inside
