"""Comparisons of registry fields: `tcp.dport == 443`, `dns.qname contains "example"`.

A field whose header stands at a place that tests can find (link, up to two VLAN tags, ARP, IPv4,
IPv6, and what IP carries, if no extension header comes first) becomes tests that BPF can make.
All other fields are taken from `columns`. A missing field compares as false, also by `!=`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any as Value

import numpy as np
from numpy.typing import NDArray

from portulan.errors import UsageError
from portulan.wire.filter_graph import (
    Expr,
    Load,
    Native,
    Node,
    Not,
    Num,
    binary,
    every,
    some,
    test,
)
from portulan.wire.filter_link import IP, IP6, VLAN_TYPES, Link
from portulan.wire.filter_primitives import behind_ip, first_fragment
from portulan.wire.filter_syntax import Operand, Relation
from portulan.wire.filter_tokens import Kind, Token, problem
from portulan.wire.frames import Frames, LinkType
from portulan.wire.header import Header, fields, headers
from portulan.wire.layout import Field
from portulan.wire.locate import TAGS_MAX

_LAYERS = {"ipv4": "ip", "ipv6": "ip6", "ether": "ethernet", "eth": "ethernet", "icmp6": "icmpv6"}
_LINKS = {"ethernet": LinkType.ETHERNET, "linuxsll": LinkType.LINUX_SLL,
          "linuxsll2": LinkType.LINUX_SLL2}
_IN_BOTH = frozenset({"tcp", "udp", "sctp"})
_IN_ONE = {"icmp": 4, "igmp": 4, "icmpv6": 6}
_COMPARE: dict[str, Callable[[Value, Value], Value]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Place:
    """One way to where fields stand: the tests that lead there, and the link on that way."""

    tests: tuple[Node, ...]
    link: Link
    family: int


def field_name(token: Token) -> str:
    """Return a field's registry name; raises `UsageError` naming near ones."""
    from portulan.wire.columns import check_names

    layer, dot, attr = token.text.partition(".")
    name = f"{_LAYERS.get(layer, layer)}{dot}{attr}"
    try:
        check_names([name])
    except UsageError as error:
        raise problem(error.reason, token, error.hint) from None
    return name


def placed(name: str) -> Field | None:
    """Return a field that tests can find, None if it is one for `columns`."""
    found = fields().get(name)
    if found is None:
        return None
    layer, header = found.header, headers()[found.header]
    known = layer in _LINKS or layer in _IN_BOTH or layer in _IN_ONE
    known = known or layer in ("vlan", "arp", "ip", "ip6")
    own = not header.__module__.startswith("portulan.")
    own = own and (header.protocol_number is not None or header.ethertype_number is not None)
    return found if known or own else None


def places(link: Link, layers: set[str]) -> Iterator[Place]:
    """Return the ways on which fields of these layers can stand together."""
    inner = layers - _LINKS.keys() - {"vlan"}
    carried = {layer for layer in inner if layer not in ("ip", "ip6")
               and headers()[layer].ethertype_number is None}
    families = (4, 6) if carried else (0,)
    tags = TAGS_MAX if inner and link.is_ethernet and not link.labels else 0
    here, tests = replace(link), tuple[Node, ...]()
    for depth in range(tags + 1):
        for family in families:
            yield Place(tests, replace(here), family)
        if depth < tags:
            tests = (*tests, some(*(here.carries(kind) for kind in VLAN_TYPES)))
            here.type_at, here.payload = here.type_at + 4, here.payload + 4


def stand(  # noqa: PLR0911 - one return a kind of place
    place: Place, header: type[Header], outer: Link
) -> tuple[list[Node], Callable[[int, int], Expr]] | None:
    """Return the tests that a header stands there, and how its octets are read."""
    layer, link = header.layer, place.link
    if layer in _LINKS:
        at = outer.header
        return ([], lambda o, n: Load(at + o, n)) if link.kind == _LINKS[layer] else None
    if layer == "vlan":
        if not outer.is_ethernet:
            return None
        tagged = some(*(outer.carries(kind) for kind in VLAN_TYPES))
        return [tagged], lambda o, n: Load(outer.payload + o, n)
    if place.family == 0 or layer in ("ip", "ip6"):
        kind = {"ip": IP, "ip6": IP6}.get(layer, header.ethertype_number or 0)
        return [link.carries(kind)], lambda o, n: Load(link.payload + o, n)
    number = header.protocol_number
    if number is None or _IN_ONE.get(layer, place.family) != place.family:
        return None
    if place.family == 6:
        tests = [link.carries(IP6), test("eq", Load(link.payload + 6, 1), number)]
        return tests, lambda o, n: Load(link.payload + 40 + o, n)
    tests = [link.carries(IP), test("eq", Load(link.payload + 9, 1), number), first_fragment(link)]
    return tests, lambda o, n: behind_ip(link, o, n)


def words(field: Field, read: Callable[[int, int], Expr]) -> list[Expr]:
    """Return a field's value: one expression, or its words if it is wider than 32 bits."""
    parts, at, left = list[Expr](), field.offset, field.octets
    while left:
        size = 4 if left >= 4 else 2 if left >= 2 else 1
        parts.append(read(at, size))
        at, left = at + size, left - size
    if field.octets == 3:
        parts = [binary("or", binary("lsh", parts[0], Num(8)), parts[1])]
    if len(parts) > 1:
        return parts
    shifted = binary("rsh", parts[0], Num(field.shift))
    if field.bits + field.shift < 8 * field.octets:
        shifted = binary("and", shifted, Num((1 << field.bits) - 1))
    return [shifted]


def wide_equal(field: Field, parts: list[Expr], number: int, mask: int) -> Node:
    """Return the test that a field of several words has a value under a mask."""
    tests, left = list[Node](), field.octets
    for part in parts:
        size = 4 if left >= 4 else 2 if left >= 2 else 1
        left -= size
        full = (1 << 8 * size) - 1
        here, value = mask >> 8 * left & full, number >> 8 * left & full
        tests.append(test("eq", part if here == full else binary("and", part, Num(here)), value))
    return every(*tests)


def constant(field: Field, relation: Relation) -> tuple[int, int]:
    """Return the number and the mask a field is compared with."""
    if not isinstance(relation.right, Operand):
        raise problem(f"{field.name} is compared with a literal only", relation.token)
    token, whole = relation.right.token, (1 << field.bits) - 1
    if token.kind is Kind.NUMBER:
        if token.number > whole:
            raise problem(f"does not fit the {field.bits} bits of {field.name}", token)
        return token.number, whole
    text = token.text
    if token.kind is Kind.MAC:
        text = text.replace("-", ":").lower()
    try:
        number = field.number(text)
    except UsageError as error:
        raise problem(error.reason, token, f"for {field.name}") from None
    if relation.mask is None:
        return number, whole
    if relation.token.text not in ("=", "==", "!="):
        raise problem("nets are only equal or not", relation.token)
    if relation.mask.number > field.bits:
        raise problem(f"a mask here has at most {field.bits} bits", relation.mask)
    mask = whole ^ (whole >> relation.mask.number)
    if number & ~mask:
        raise problem("address has bits outside its mask", token)
    return number, mask


def literal_relation(
    field: Field, relation: Relation, read: Callable[[int, int], Expr]
) -> Node:
    """Return the comparison of a field that stands somewhere with a literal."""
    number, mask = constant(field, relation)
    parts, name = words(field, read), relation.token.text
    if name in ("=", "==", "!="):
        if len(parts) > 1:
            found = wide_equal(field, parts, number, mask)
        else:
            whole = mask == (1 << field.bits) - 1
            found = test("eq", parts[0] if whole else binary("and", parts[0], Num(mask)), number)
        return Not(found) if name == "!=" else found
    if len(parts) > 1:
        raise problem(f"{field.name} has {field.bits} bits and is only equal or not",
                      relation.token)
    return compared(name, parts[0], Num(number))


def compared(name: str, left: Expr, right: Expr) -> Node:
    """Return the comparison of two numbers."""
    found = test({"<": "ge", "<=": "gt", ">": "gt", ">=": "ge"}.get(name, "eq"), left, right)
    return Not(found) if name in ("!=", "<", "<=") else found


def native(name: str, relation: Relation, link_type: int) -> Native:
    """Return the comparison of a field that only `columns` can find with a literal."""
    if not isinstance(relation.right, Operand) or not isinstance(relation.left, Operand):
        raise problem(f"{name} is compared with a literal only", relation.token)
    if relation.mask is not None:
        raise problem("a mask is for ip and arp addresses", relation.mask)
    token, word = relation.right.token, relation.token.text
    text = token.text
    wanted: int | str = token.number if token.kind is Kind.NUMBER else text

    def outcome(value: Value) -> bool:  # noqa: ANN401 - fields hold what their types decode to
        if isinstance(value, (list, tuple)):
            return any(outcome(each) for each in value)
        if word == "contains":
            return text in str(value)
        if isinstance(value, (int, float)) == isinstance(wanted, int):
            return bool(_COMPARE[word](value, wanted))
        return bool(_COMPARE[word](str(value), str(wanted))) if word[0] in "=!" else False

    def mask(frames: Frames) -> NDArray[np.bool_]:
        from portulan.wire.columns import columns, texts

        found = np.zeros(len(frames), np.bool_)
        if len(frames):
            column = columns(frames, [name])[name]
            there = ~np.ma.getmaskarray(column)
            rows = np.flatnonzero(there)
            # Only rows that have the field become Python values.
            found[rows] = [outcome(value) for value in texts(name, column[rows])]
        return found

    def match(octets: bytes) -> bool:
        return bool(mask(Frames.of([octets], link_type=link_type))[0])

    return Native(f"{name} {word}", match, mask)
