"""What a filter becomes: a graph of tests on a frame's octets, the same one for all its readers.

A test compares two expressions; expressions read octets at an offset, the length on the wire, and
compute in 32 bits. A read outside the captured octets ends the walk and rejects the frame, as in
BPF. Walks only go forward, so that kernel, mask and predicate take the same way by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.frames import Frames

WORD = 0xFFFF_FFFF
BLOCKS_PER_TEST_MAX = 8
"""Knowing what was tested on the way may copy blocks; a graph that grows more is left as it is."""


PRUNED_MAX_BLOCKS = 1500
"""Larger graphs stay as they are: too long for the kernel anyway, and pruning takes seconds."""


@dataclass(frozen=True, slots=True)
class Num:
    """A constant."""

    value: int


@dataclass(frozen=True, slots=True)
class Length:
    """The frame's length on the wire."""


@dataclass(frozen=True, slots=True)
class HeaderSize:
    """The size of the IPv4 header that starts at a byte."""

    at: int


@dataclass(frozen=True, slots=True)
class Load:
    """The number of `size` octets at byte `at`, or at `index` + `at`."""

    at: int
    size: int
    index: Expr | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """A computation in 32 bits; the name is that of the BPF operation."""

    name: str
    left: Expr
    right: Expr


Expr: TypeAlias = Num | Length | HeaderSize | Load | Binary


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name` is eq, gt, ge, or set (common bits), as in BPF."""

    name: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Native:
    """A test that no BPF program can make; both readers must agree on every frame."""

    reason: str
    match: Callable[[bytes], bool]
    mask: Callable[[Frames], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """All parts hold, asked in this order until one does not."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of the parts holds, asked in this order until one does."""

    parts: tuple[Node, ...]


Node: TypeAlias = bool | Comparison | Native | Not | All | Any


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A test and where to go on; True accepts the frame, False rejects it."""

    test: Comparison | Native
    yes: Target
    no: Target


Target: TypeAlias = Block | bool


def compute(name: str, a: int, b: int) -> int | None:
    """Return a computed with b in 32 bits, None on a division by zero."""
    if name in ("div", "mod"):
        return None if not b else (a // b if name == "div" else a % b)
    if name in ("lsh", "rsh"):
        return 0 if b > 31 else (a << b & WORD if name == "lsh" else a >> b)
    results = {"add": a + b, "sub": a - b, "mul": a * b, "and": a & b, "or": a | b, "xor": a ^ b}
    return results[name] & WORD


def holds(name: str, a: int, b: int) -> bool:
    """Say whether a comparison holds."""
    if name == "eq":
        return a == b
    return a > b if name == "gt" else a >= b if name == "ge" else bool(a & b)


def binary(name: str, left: Expr, right: Expr) -> Expr:
    """Return a computation, folded where its value is known; raises on a constant's misuse."""
    if isinstance(right, Num):
        if name in ("div", "mod") and not right.value:
            raise UsageError("division by zero")
        if name in ("lsh", "rsh") and right.value > 31:
            raise UsageError("shift by more than 31 bits")
        if isinstance(left, Num):
            return Num(compute(name, left.value, right.value) or 0)
        # libpcap drops the read of what is multiplied away, and frames too short for it pass.
        if name in ("mul", "and") and not right.value:
            return Num(0)
        if name in ("add", "sub", "or", "xor", "lsh", "rsh") and not right.value:
            return left
    return Binary(name, left, right)


def test(name: str, left: Expr, right: Expr | int) -> Node:
    """Return a comparison, or its outcome if that is known."""
    right = Num(right) if isinstance(right, int) else right
    if isinstance(left, Num) and isinstance(right, Num):
        return holds(name, left.value, right.value)
    return Comparison(name, left, right)


def every(*parts: Node) -> Node:
    """Return the conjunction of the parts, in order."""
    return parts[0] if len(parts) == 1 else All(parts)


def some(*parts: Node) -> Node:
    """Return the disjunction of the parts, in order."""
    return parts[0] if len(parts) == 1 else Any(parts)


def graph(node: Node) -> Target:
    """Return the graph of a condition, without tests whose outcome is known on the way."""
    made: dict[tuple[Comparison | Native, int, int], Block] = {}
    root = _build(node, True, False, made)
    return root if len(made) > PRUNED_MAX_BLOCKS else _Pruner(root).pruned()


def _build(
    node: Node, yes: Target, no: Target, made: dict[tuple[Comparison | Native, int, int], Block]
) -> Target:
    if isinstance(node, bool):
        return yes if node else no
    if isinstance(node, Not):
        return _build(node.part, no, yes, made)
    if isinstance(node, All):
        for part in reversed(node.parts):
            yes = _build(part, yes, no, made)
        return yes
    if isinstance(node, Any):
        for part in reversed(node.parts):
            no = _build(part, yes, no, made)
        return no
    if yes is no:
        return yes
    key = (node, id(yes), id(no))
    if key not in made:
        made[key] = Block(node, yes, no)
    return made[key]


def blocks(root: Target) -> list[Block]:
    """Return every block, each before those it goes on to."""
    order, seen = list[Block](), set[int]()
    stack: list[tuple[Target, bool]] = [(root, False)]
    while stack:
        block, done = stack.pop()
        if isinstance(block, bool):
            continue
        if done:
            order.append(block)
        elif id(block) not in seen:
            seen.add(id(block))
            stack += [(block, True), (block.yes, False), (block.no, False)]
    return order[::-1]


_Key: TypeAlias = tuple[int, int, int]


class _Pruner:
    """Follows every way through a graph with what its tests have shown so far.

    Two facts decide a test, as in libpcap's optimizer: the same test was made before, or the same
    expression equals another constant. Facts are bit sets of test numbers; only those that a
    later test can use are kept, so that ways which differ in nothing else are followed once.
    """

    def __init__(self, root: Target) -> None:
        self.root, self.order = root, blocks(root)
        tests = dict.fromkeys(block.test for block in self.order)
        self.number = {test: at for at, test in enumerate(tests)}
        self.exclusive = [1 << at for at in range(len(tests))]
        for at, together in self._equalities(tests):
            self.exclusive[at] = together
        self.later: dict[int, int] = {}
        for block in reversed(self.order):
            self.later[id(block)] = (
                1 << self.number[block.test] | self._later(block.yes) | self._later(block.no))
        self.done: dict[_Key, Target] = {}
        self.made: dict[tuple[Comparison | Native, int, int], Block] = {}

    def _equalities(self, tests: Iterable[Comparison | Native]) -> Iterator[tuple[int, int]]:
        """Return each test for a constant, and the bits of all such of the same expression."""
        same: dict[Expr, list[int]] = {}
        for test in tests:
            if isinstance(test, Comparison) and test.name == "eq" and isinstance(test.right, Num):
                same.setdefault(test.left, []).append(self.number[test])
        for numbers in same.values():
            together = sum(1 << at for at in numbers)
            yield from ((at, together) for at in numbers)

    def _later(self, target: Target) -> int:
        return 0 if isinstance(target, bool) else self.later[id(target)]

    def pruned(self) -> Target:
        """Return the graph without decided tests."""
        if isinstance(self.root, bool):
            return self.root
        limit = BLOCKS_PER_TEST_MAX * len(self.order) + 1000
        first = self._enter(self.root, 0, 0)
        stack = [first]
        while stack:
            target, true, false = stack[-1]
            if isinstance(target, bool) or self._key(stack[-1]) in self.done:
                stack.pop()
                continue
            bit = 1 << self.number[target.test]
            ways = (self._enter(target.yes, true | bit, false),
                    self._enter(target.no, true, false | bit))
            missing = [w for w in ways if not isinstance(w[0], bool)
                       and self._key(w) not in self.done]
            if missing:
                stack += missing
                continue
            self.done[self._key(stack.pop())] = self._join(target.test, *map(self._result, ways))
            if len(self.done) > limit:
                return self.root
        return self._result(first)

    def _result(self, way: tuple[Target, int, int]) -> Target:
        return way[0] if isinstance(way[0], bool) else self.done[self._key(way)]

    def _key(self, way: tuple[Target, int, int]) -> _Key:
        return id(way[0]), way[1], way[2]

    def _join(self, test: Comparison | Native, yes: Target, no: Target) -> Target:
        if yes is no:
            return yes
        return self.made.setdefault((test, id(yes), id(no)), Block(test, yes, no))

    def _enter(self, target: Target, true: int, false: int) -> tuple[Target, int, int]:
        while not isinstance(target, bool):
            number = self.number[target.test]
            if true >> number & 1:
                target = target.yes
            elif false >> number & 1 or true & self.exclusive[number]:
                target = target.no
            else:
                break
        if isinstance(target, bool):
            return target, 0, 0
        later, kept, rest = self.later[id(target)], 0, true
        while rest:
            bit = rest & -rest
            rest ^= bit
            if self.exclusive[bit.bit_length() - 1] & later:
                kept |= bit
        return target, kept, false & later
