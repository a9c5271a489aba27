"""From the tree to tests, in the order of the text: `vlan` moves what stands right of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from portulan.errors import UsageError
from portulan.wire.filter_air import Air, direction_number, subtype_number, type_number
from portulan.wire.filter_chain import chain
from portulan.wire.filter_fields import (
    compared,
    field_name,
    literal_relation,
    native,
    placed,
    places,
    stand,
    words,
)
from portulan.wire.filter_geneve import Tunnel
from portulan.wire.filter_graph import (
    All,
    Any,
    Expr,
    Length,
    Load,
    Node,
    Not,
    Num,
    binary,
    every,
    some,
    test,
)
from portulan.wire.filter_link import IP, IP6, Link, masked
from portulan.wire.filter_primitives import (
    IP_PROTOCOLS,
    LINK_PROTOCOLS,
    Services,
    behind_ip,
    first_fragment,
    indexed,
    link_address,
    mac_number,
    primitive,
    protocol,
)
from portulan.wire.filter_syntax import (
    AIR_PLACES,
    CONSTANTS,
    LINK_NAMES,
    Access,
    Arithmetic,
    Bare,
    Junction,
    Negation,
    Operand,
    Operation,
    Primitive,
    Radio,
    Relation,
    Tree,
)
from portulan.wire.filter_tokens import Kind, Token, problem
from portulan.wire.frames import LinkType
from portulan.wire.header import headers
from portulan.wire.layout import Field

_OPERATIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "&": "and", "|": "or",
               "^": "xor", "<<": "lsh", ">>": "rsh"}
_Made = TypeVar("_Made")
AIR_LINKS = (LinkType.IEEE802_11, LinkType.IEEE802_11_RADIOTAP)
_NAMED = frozenset({Kind.IP4, Kind.IP6, Kind.MAC, Kind.TEXT})


class Meaning:
    """Turns trees into tests; the link's offsets move as the text is read."""

    def __init__(
        self, link_type: int, services: Services | None = None, *, saved: bool = False
    ) -> None:
        self.link, self.link_type, self.services = (
            Link.of(link_type, saved=saved), link_type, services)
        self.tunnel: Tunnel | None = None
        self.air = Air(link_type) if link_type in AIR_LINKS else None

    def of(self, tree: Tree) -> Node:
        """Return the tests of a tree."""
        if isinstance(tree, Negation):
            return Not(self.of(tree.part))
        if isinstance(tree, Junction):
            parts = tuple(self.of(part) for part in tree.parts)
            return All(parts) if tree.word == "and" else Any(parts)
        return self._at(tree.token, lambda: self._one(tree))

    def _one(self, tree: Primitive | Bare | Relation | Radio) -> Node:
        if isinstance(tree, Relation):
            return self._relation(tree)
        if isinstance(tree, Bare):
            return self._bare(tree)
        return self._radio(tree) if isinstance(tree, Radio) else self._primitive(tree)

    def _primitive(self, tree: Primitive) -> Node:
        if tree.qualifiers.kind == "protochain":
            if self.tunnel or self.air:
                raise problem("protochain cannot be asked of what a frame carries", tree.token)
            return chain(self.link, self.link_type, tree)
        if self.air and tree.token.kind is Kind.MAC and tree.qualifiers.protocol in LINK_NAMES:
            return self.air.host(tree.qualifiers.direction, mac_number(tree.token))
        if tree.qualifiers.direction in AIR_PLACES:
            raise problem(f"{self.link.said} has no such address", tree.token)
        return self._placed_on(lambda link: primitive(link, tree, self.services))

    def _radio(self, tree: Radio) -> Node:
        if self.air is None:
            raise UsageError(f"{self.link.said} has no types and directions of frames",
                             hint="802.11 has")
        if tree.direction:
            return self.air.direction(_number_of(tree.direction, direction_number))
        kind = None if tree.type is None else _number_of(tree.type, type_number)
        if tree.subtype is None:
            return self.air.type(kind, None)
        if tree.subtype.kind is Kind.NUMBER:
            return self.air.type(kind, tree.subtype.number)
        return self.air.type(*subtype_number(tree.subtype.text, kind))

    def _placed_on(self, make: Callable[[Link], Node]) -> Node:
        """Return a test on the frame, on what it carries by radio, or on the one in the tunnel."""
        within = self.tunnel or self.air
        return within.inside(make) if within else make(self.link)

    def _at(self, token: Token, make: Callable[[], _Made]) -> _Made:
        """Return what is made; an error without a place gets this one."""
        try:
            return make()
        except UsageError as error:
            if error.where:
                raise
            raise problem(error.reason, token, error.hint) from None

    def _bare(self, tree: Bare) -> Node:
        word = tree.token.text
        number = None if tree.number is None else tree.number.number
        if word == "geneve":
            if self.tunnel:
                raise UsageError("one geneve only")
            if self.air:
                raise UsageError("not on 802.11")
            self.tunnel = Tunnel(self.link, number)
            return self.tunnel.there
        if self.air and word in ("broadcast", "multicast") and tree.protocol in ("", *LINK_NAMES):
            return self.air.cast(word)
        if word in ("less", "greater"):
            found = test("gt" if word == "less" else "ge", Length(), number or 0)
            return Not(found) if word == "less" else found
        return self._placed_on(lambda link: self._word(tree, link, number))

    def _word(  # noqa: PLR0911 - one return a word
        self, tree: Bare, link: Link, number: int | None
    ) -> Node:
        word = tree.token.text
        if word in ("broadcast", "multicast"):
            return self._cast(tree, link)
        if word in ("inbound", "outbound"):
            return link.direction(outbound=word == "outbound")
        if word == "vlan":
            return link.vlan(number)
        if word == "mpls":
            return link.mpls(number)
        if word == "pppoes":
            return link.pppoes(number)
        if word == "llc":
            return link.llc(tree.protocol)
        if word == "ifindex":
            return link.interface(number)
        if word == "radio":
            raise UsageError("this primitive is not supported")
        if word in LINK_NAMES:
            raise UsageError("names the link, not a test", hint=f"write {word} host MAC")
        return protocol(link, "isis" if word == "is-is" else "esis" if word == "es-is" else word)

    def _cast(self, tree: Bare, link: Link) -> Node:
        word, name = tree.token.text, tree.protocol
        if name in LINK_NAMES or not name:
            if not link.is_ethernet:
                raise UsageError(f"{link.said} has no link {word}s")
            if word == "broadcast":
                return link_address(link.header, 0xFFFF_FFFF_FFFF)
            return test("set", Load(link.header, 1), 1)
        if name == "ip" and word == "multicast":
            return every(link.carries(IP), test("ge", Load(link.payload + 16, 1), 0xE0))
        if name == "ip":
            # Without a netmask, which no capture file tells: all ones or all zeros.
            to = Load(link.payload + 16, 4)
            return every(link.carries(IP), some(test("eq", to, 0), test("eq", to, 0xFFFF_FFFF)))
        if name == "ip6" and word == "multicast":
            return every(link.carries(IP6), masked(link.payload + 24, 1, 0xFF, 0xFF))
        raise UsageError(f"{name} has no {word}")

    # --- relations

    def _relation(self, tree: Relation) -> Node:
        names = {token: field_name(token) for token in _field_tokens(tree)}
        if not names:
            for operand in (tree.left, tree.right):
                _refuse_named(operand)
            if tree.token.text == "contains":
                raise problem("contains needs a field before it", tree.token)
            if self.air and _of_link(tree):
                return self.air.framed(self._octet_relation(tree, self.link))
            if not any(_read_tokens(tree)):  # numbers and lengths are the same anywhere
                return self._octet_relation(tree, self.link)
            return self._placed_on(lambda link: self._octet_relation(tree, link))
        found = {name: placed(name) for name in names.values()}
        known = {name: field for name, field in found.items() if field is not None}
        if self.air or len(known) < len(found) or tree.token.text == "contains":
            if len(found) > 1 or not isinstance(tree.left, Operand):
                raise problem("only one field, compared with a literal, can stand here", tree.token)
            return native(next(iter(found)), tree, self.link_type)
        return self._placed(tree, names, known)

    def _octet_relation(self, tree: Relation, link: Link) -> Node:
        own, self.link = self.link, link
        try:
            checks = list[Node]()
            left, right = self._number(tree.left, checks), self._number(tree.right, checks)
        finally:
            self.link = own
        return every(*checks, compared(tree.token.text, left, right))

    def _placed(self, tree: Relation, names: dict[Token, str], known: dict[str, Field]) -> Node:
        ways = list[Node]()
        for place in places(self.link, {field.header for field in known.values()}):
            checks, reads = list(place.tests), {}
            for name, field in known.items():
                there = stand(place, headers()[field.header], self.link)
                if there is None:
                    break
                checks += there[0]
                reads[name] = there[1]
            else:
                ways.append(every(*checks, self._on_place(tree, names, known, reads)))
        return some(*ways) if ways else False

    def _on_place(
        self, tree: Relation, names: dict[Token, str], known: dict[str, Field],
        reads: dict[str, Callable[[int, int], Expr]],
    ) -> Node:
        literal = _literal(tree)
        if literal is not None and literal not in names:
            name, field = next(iter(known.items()))
            return literal_relation(field, tree, reads[name])
        values = {}
        for token, name in names.items():
            parts = words(known[name], reads[name])
            if len(parts) > 1:
                raise problem("more than 32 bits are only compared with a literal", token)
            values[token] = parts[0]
        checks = list[Node]()
        left = self._number(tree.left, checks, values)
        right = self._number(tree.right, checks, values)
        return every(*checks, compared(tree.token.text, left, right))

    def _number(
        self, tree: Arithmetic, checks: list[Node], values: dict[Token, Expr] | None = None
    ) -> Expr:
        if isinstance(tree, Operand):
            token = tree.token
            if values and token in values:
                return values[token]
            if token.kind is Kind.NUMBER:
                return Num(token.number)
            if token.text in ("len", "length"):
                return Length()
            if token.text in CONSTANTS:
                return Num(CONSTANTS[token.text])
            raise problem("not a number", token)
        if isinstance(tree, Operation):
            left = self._number(tree.left, checks, values)
            # libpcap asks for the protocols of a left operand only; so do we, for the same verdict.
            right = self._number(tree.right, [], values)
            return self._at(
                tree.token, lambda: binary(_OPERATIONS[tree.token.text], left, right))
        return self._at(
            tree.token, lambda: self._octets(tree, checks, values))

    def _octets(
        self, tree: Access, checks: list[Node], values: dict[Token, Expr] | None
    ) -> Expr:
        size = 1 if tree.size is None else tree.size.number
        if size not in (1, 2, 4):
            raise problem("data size must be 1, 2 or 4", tree.size or tree.token)
        index, name, link = self._number(tree.index, checks, values), tree.token.text, self.link
        if name in LINK_NAMES:
            return indexed(link.header, size, index)
        if name in LINK_PROTOCOLS:
            checks.append(link.carries(LINK_PROTOCOLS[name]))
            return indexed(link.payload, size, index)
        if name == "icmp6":
            checks.append(every(link.carries(IP6), test("eq", Load(link.payload + 6, 1), 58)))
            return indexed(link.payload + 40, size, index)
        if name not in IP_PROTOCOLS:
            raise UsageError(f"{name} has no octets to read")
        checks += [link.carries(IP), protocol(link, name), first_fragment(link)]
        if isinstance(index, Num):
            return behind_ip(link, index.value, size)
        return behind_ip(link, 0, size, index)


def _of_link(tree: Relation | Arithmetic) -> bool:
    """Return whether octets are read of the link's header, and of no other."""
    asked = {token.text in LINK_NAMES for token in _read_tokens(tree)}
    if len(asked) > 1:
        raise UsageError("compares octets of the link with others: not on 802.11")
    return True in asked


def _read_tokens(tree: Relation | Arithmetic) -> Iterator[Token]:
    if isinstance(tree, (Relation, Operation)):
        yield from _read_tokens(tree.left)
        yield from _read_tokens(tree.right)
    elif isinstance(tree, Access):
        yield tree.token
        yield from _read_tokens(tree.index)


def _number_of(token: Token, named: Callable[[str], int]) -> int:
    return token.number if token.kind is Kind.NUMBER else named(token.text)


def _field_tokens(tree: Relation | Arithmetic) -> Iterator[Token]:
    if isinstance(tree, (Relation, Operation)):
        yield from _field_tokens(tree.left)
        yield from _field_tokens(tree.right)
    elif isinstance(tree, Access):
        yield from _field_tokens(tree.index)
    elif tree.token.kind is Kind.WORD and "." in tree.token.text:
        yield tree.token


def _literal(tree: Relation) -> Token | None:
    """Return what a field alone is compared with, unless it is a number of the frame itself."""
    if not isinstance(tree.left, Operand) or "." not in tree.left.token.text:
        return None
    token = tree.right.token if isinstance(tree.right, Operand) else None
    known = token is not None and (token.text in CONSTANTS or token.text in ("len", "length"))
    return None if known else token


def _refuse_named(operand: Arithmetic) -> None:
    if isinstance(operand, Operand) and operand.token.kind in _NAMED:
        raise problem("only a field equals an address or a text", operand.token)
