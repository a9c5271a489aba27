"""`geneve`: what stands behind it in a filter is asked of the frame in the tunnel.

A test of the inner frame is the same test, its reads moved by where that frame begins: once for
each IP version outside, and for each kind of frame inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from portulan.errors import UsageError
from portulan.wire.filter_graph import (
    All,
    Any,
    Binary,
    Comparison,
    Expr,
    HeaderSize,
    Load,
    Node,
    Not,
    Num,
    binary,
    every,
    some,
    test,
)
from portulan.wire.filter_link import IP, IP6, Link
from portulan.wire.filter_primitives import first_fragment
from portulan.wire.frames import LinkType

PORT: Final = 6081
_UDP: Final = 17
_UDP_OCTETS: Final = 8
_IP6_OCTETS: Final = 40
_KINDS: Final = ((0x6558, LinkType.ETHERNET), (IP, LinkType.IPV4), (IP6, LinkType.IPV6))
"""Protocol types (RFC 8926 section 3.4) and how frames of each begin."""


class Tunnel:
    """The ways into one Geneve tunnel, and the links that its frames have."""

    def __init__(self, link: Link, number: int | None) -> None:
        if number is not None and number > 0xFF_FFFF:
            raise UsageError("Geneve networks go up to 16777215")
        self._outer = [_outer(link, family, number) for family in (4, 6)]
        self._links = [(kind, Link.of(link_type)) for kind, link_type in _KINDS]

    @property
    def there(self) -> Node:
        """The test that a frame is such a tunnel's."""
        return some(*(tests for tests, _ in self._outer))

    def inside(self, make: Callable[[Link], Node]) -> Node:
        """Return a test of the inner frame, made for each link that it may have."""
        made, refused = list[tuple[int, Node]](), list[UsageError]()
        for kind, link in self._links:
            try:
                made.append((kind, make(link)))
            except UsageError as error:
                refused.append(error)
        if not made:
            raise refused[0]
        return some(*(
            every(tests, test("eq", Load(2, 2, at), kind), moved(node, _behind(at)))
            for tests, at in self._outer for kind, node in made))


def _outer(link: Link, family: int, number: int | None) -> tuple[Node, Expr]:
    """Return the test for a Geneve header behind one IP version, and where it begins."""
    start = link.payload
    if family == 4:
        at = binary("add", HeaderSize(start), Num(start + _UDP_OCTETS))
        tests = [link.carries(IP), test("eq", Load(start + 9, 1), _UDP), first_fragment(link)]
        port = Load(start + 2, 2, HeaderSize(start))
    else:
        at = Num(start + _IP6_OCTETS + _UDP_OCTETS)
        tests = [link.carries(IP6), test("eq", Load(start + 6, 1), _UDP)]
        port = Load(start + _IP6_OCTETS + 2, 2)
    version = binary("and", Load(0, 1, at), Num(0xC0))
    tests += [test("eq", port, PORT), test("eq", version, 0)]
    if number is not None:
        tests.append(test("eq", binary("and", Load(4, 4, at), Num(0xFFFF_FF00)), number << 8))
    return every(*tests), at


def _behind(at: Expr) -> Expr:
    """Return where the inner frame begins: behind 8 octets and the options."""
    options = binary("mul", binary("and", Load(0, 1, at), Num(0x3F)), Num(4))
    return binary("add", binary("add", options, Num(8)), at)


def moved(node: Node, base: Expr) -> Node:
    """Return a test whose reads count from `base`, not from the frame's first octet."""
    if isinstance(node, bool):
        return node
    if isinstance(node, Not):
        return Not(moved(node.part, base))
    if isinstance(node, All | Any):
        return type(node)(tuple(moved(part, base) for part in node.parts))
    if isinstance(node, Comparison):
        return Comparison(node.name, _shifted(node.left, base), _shifted(node.right, base))
    raise UsageError("cannot be asked of what a frame carries here")


def _shifted(expr: Expr, base: Expr) -> Expr:
    if isinstance(expr, Load):
        index = base if expr.index is None else binary("add", _shifted(expr.index, base), base)
        return Load(expr.at, expr.size, index)
    if isinstance(expr, HeaderSize):
        octet = binary("and", Load(expr.at, 1, base), Num(15))
        return binary("mul", octet, Num(4))
    if isinstance(expr, Binary):
        return binary(expr.name, _shifted(expr.left, base), _shifted(expr.right, base))
    return expr
