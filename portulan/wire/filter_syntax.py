"""From words to a tree: the grammar of `pcap-filter(7)`, and fields by their registry names.

`and` and `or` bind alike, from the left; `not` binds closer. A lone address, port or name takes
the qualifiers of the primitive before it: `tcp port 80 or 443`. In arithmetic, `^` and `%` take
all that stands right of them, as in libpcap, where they have no precedence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from portulan.wire.filter_tokens import Kind, Token, problem, tokens

DEPTH_MAX = 40
"""Parentheses and `not` in each other; people write 5. Python's own stack ends at some 1,000."""

CHAIN_MAX = 100
"""Computations in one sum, which is a tree as deep."""

_LINK_WORDS = "ether link fddi tr wlan ppp slip"
_PROTOCOL_WORDS = """ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp atalk
    aarp decnet lat sca moprc mopdl iso esis isis clnp l1 l2 iih lsp snp csnp psnp stp ipx
    netbeui"""
_KIND_WORDS = "host net port portrange proto protochain gateway"
_OTHER_WORDS = """src dst and or not less greater len length byte mask broadcast multicast inbound
    outbound vlan mpls pppoed pppoes geneve llc ifindex type subtype dir radio"""
LINK_NAMES: Final = frozenset(_LINK_WORDS.split())
PROTOCOLS: Final = LINK_NAMES | frozenset(_PROTOCOL_WORDS.split())
_ALIASES: Final = {"es-is": "esis", "is-is": "isis"}
AIR_PLACES: Final = ("ra", "ta", "addr1", "addr2", "addr3", "addr4")
"""Qualifiers of a station's address, besides src and dst."""
KINDS: Final = frozenset(_KIND_WORDS.split())
_WORDS: Final = KINDS | PROTOCOLS | frozenset(_OTHER_WORDS.split())
CONSTANTS: Final = {
    "icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4,
    "icmp-redirect": 5, "icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10,
    "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14,
    "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
    "icmp6type": 0, "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2,
    "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4, "icmp6-echo": 128,
    "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
    "icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132,
    "icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
    "icmp6-neighboradvert": 136, "icmp6-redirect": 137, "icmp6-routerrenum": 138,
    "icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
    "icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
    "icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144,
    "icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146,
    "icmp6-mobileprefixadvert": 147, "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
    "icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152,
    "icmp6-multicastroutertermination": 153, "tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2,
    "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
}
_RELATIONS: Final = frozenset({"=", "==", "!=", "<", ">", "<=", ">="})
_BINDING: Final = {"|": 1, "&": 1, "<<": 2, ">>": 2, "+": 3, "-": 3, "*": 4, "/": 4,
                   "^": 9, "%": 9}


@dataclass(frozen=True, slots=True)
class Qualifiers:
    """What stands before an address, a port or a number; empty where it was not said."""

    protocol: str = ""
    direction: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Primitive:
    """Qualifiers and what they qualify; `mask` is what follows `/` or `mask`."""

    qualifiers: Qualifiers
    token: Token
    mask: Token | None = None


@dataclass(frozen=True, slots=True)
class Bare:
    """A protocol, or a word with at most a number: `tcp`, `vlan 5`, `ether broadcast`.

    `llc` may have a kind of frame behind it, which is its `protocol`: `llc rr`.
    """

    token: Token
    protocol: str = ""
    number: Token | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Octets of a protocol: `tcp[tcpflags:1]`."""

    token: Token
    index: Arithmetic
    size: Token | None


@dataclass(frozen=True, slots=True)
class Operand:
    """A number, a constant, `len`, a field's name, or what only a field can equal."""

    token: Token


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator between two operands; a minus alone stands behind a zero of no text."""

    token: Token
    left: Arithmetic
    right: Arithmetic


Arithmetic: TypeAlias = Access | Operand | Operation


@dataclass(frozen=True, slots=True)
class Relation:
    """A comparison; the operator may be `contains`."""

    token: Token
    left: Arithmetic
    right: Arithmetic
    mask: Token | None = None


@dataclass(frozen=True, slots=True)
class Negation:
    """`not`."""

    part: Tree


@dataclass(frozen=True, slots=True)
class Junction:
    """`and` or `or` of parts."""

    word: str
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Radio:
    """What is said of an 802.11 frame: `type mgt subtype beacon`, `dir tods`."""

    token: Token
    type: Token | None = None
    subtype: Token | None = None
    direction: Token | None = None


Tree: TypeAlias = Primitive | Bare | Relation | Radio | Negation | Junction


def parse(text: str) -> Tree | None:
    """Return the tree of a filter, None for an empty one, which accepts all."""
    words = tokens(text)
    if len(words) == 1:
        return None
    parser = _Parser(words)
    tree, _ = parser.expression(None)
    left = words[parser.at]
    if left.kind is not Kind.END:
        raise problem("not expected here", left, "join primitives with and, or")
    return tree


_Found: TypeAlias = tuple[Tree, Qualifiers | None]


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self.words, self.at, self.depth = words, 0, 0
        self.closes = _matching(words)

    @property
    def now(self) -> Token:
        return self.words[self.at]

    def _peek(self, ahead: int = 1) -> Token:
        return self.words[min(self.at + ahead, len(self.words) - 1)]

    def _next(self) -> Token:
        token = self.now
        self.at = min(self.at + 1, len(self.words) - 1)
        return token

    def _is(self, *texts: str) -> bool:
        known = self.now.kind in (Kind.OPERATOR, Kind.WORD) and not self.now.escaped
        return known and self.now.text in texts

    def _expect(self, text: str) -> None:
        if not self._is(text):
            self._missing(repr(text))
        self._next()

    def _missing(self, what: str) -> None:
        if self.now.kind is Kind.END:
            raise problem(f"ends where {what} should follow", self.now)
        raise problem(f"{what} should stand here", self.now)

    def _deeper(self, by: int) -> None:
        self.depth += by
        if self.depth > DEPTH_MAX:
            raise problem(f"nested deeper than {DEPTH_MAX} levels", self.now)

    def expression(self, inherited: Qualifiers | None) -> _Found:
        """Parse terms joined by and, or; lone addresses take the qualifiers before them."""
        self._deeper(1)
        tree, qualifiers = self._term(inherited)
        changes = 0
        while self._is("and", "&&", "or", "||"):
            word = "and" if self._next().text in ("and", "&&") else "or"
            right, qualifiers = self._term(qualifiers)
            if isinstance(tree, Junction) and tree.word == word and changes:
                tree = Junction(word, (*tree.parts, right))
            else:
                changes += 1
                tree = Junction(word, (tree, right))
                if changes > CHAIN_MAX:
                    raise problem(f"and, or take turns more than {CHAIN_MAX} times", self.now)
        self._deeper(-1)
        return tree, qualifiers

    def _term(self, inherited: Qualifiers | None) -> _Found:
        if self._is("not", "!"):
            self._next()
            self._deeper(1)
            tree, qualifiers = self._term(inherited)
            self._deeper(-1)
            return Negation(tree), qualifiers
        if self._arithmetic_ahead():
            return self._relation(), None
        if self._is("("):
            self._next()
            tree, _ = self.expression(inherited)
            self._expect(")")
            return tree, inherited
        if self._names_something():
            if inherited is None:
                hint = f"say what it is: host {self.now.text}" if self._address() else ""
                raise problem("no qualifier before it applies to this", self.now, hint)
            return self._id(inherited), inherited
        return self._primitive()

    def _arithmetic_ahead(self) -> bool:
        token, follows = self.now, self._peek()
        if token.text == "(" and token.kind is Kind.OPERATOR:
            follows = self.words[min(self.closes.get(self.at, self.at) + 1, len(self.words) - 1)]
            return follows.kind is Kind.OPERATOR and follows.text in _RELATIONS | _BINDING.keys()
        if token.kind is Kind.OPERATOR:
            return token.text == "-"
        if token.kind is Kind.NUMBER:
            operator = follows.kind is Kind.OPERATOR
            return operator and follows.text in _RELATIONS | _BINDING.keys()
        if token.kind is not Kind.WORD or token.escaped:
            return False
        if token.text in ("len", "length") or token.text in CONSTANTS or _is_field(token):
            return True
        return follows.text in ("[", "contains") and token.text.split("/")[0] not in KINDS

    def _names_something(self) -> bool:
        if self.now.kind is Kind.WORD:
            return self.now.escaped or _canonical(self.now.text) not in _WORDS
        return self._address() or self.now.kind is Kind.NUMBER

    def _address(self) -> bool:
        return self.now.kind in (Kind.IP4, Kind.IP6, Kind.MAC)

    def _primitive(self) -> _Found:
        start = self.now
        word = _canonical(start.text) if start.kind is Kind.WORD else ""
        if word not in _WORDS or word in ("and", "or", "mask"):
            self._missing("a primitive")
        protocol = ""
        if word in PROTOCOLS:
            protocol = word
            self._next()
        if self._is("broadcast", "multicast"):
            return Bare(self._next(), protocol), None
        if self._is("type", "subtype", "dir") and (not protocol or protocol in LINK_NAMES):
            return self._radio(), None
        direction, kind = self._direction(protocol), ""
        if self._is(*KINDS):
            kind = self._next().text
        if protocol and not direction and not kind:
            return Bare(start, protocol), None
        if not protocol and not direction and not kind:
            return self._other(), None
        qualifiers = Qualifiers(protocol, direction, kind)
        return self._id(qualifiers), qualifiers

    def _radio(self) -> Radio:
        token, value = self._next(), self._value()
        if token.text == "dir":
            return Radio(token, direction=value)
        if token.text == "subtype":
            return Radio(token, subtype=value)
        if not self._is("subtype"):
            return Radio(token, value)
        self._next()
        return Radio(token, value, self._value())

    def _value(self) -> Token:
        if self.now.kind not in (Kind.WORD, Kind.NUMBER):
            self._missing("a name or a number")
        return self._next()

    def _direction(self, protocol: str) -> str:
        if protocol in LINK_NAMES and self._is(*AIR_PLACES):
            return self._next().text
        if not self._is("src", "dst"):
            return ""
        first = self._next().text
        other = "dst" if first == "src" else "src"
        if self._is("or", "||", "and", "&&") and self._peek().text == other:
            both = "and" if self._next().text in ("and", "&&") else "or"
            self._next()
            return both
        return first

    def _other(self) -> Bare:
        token = self._next()
        if token.text == "byte":
            raise problem("byte is not supported", token, "write ether[N] = M")
        number = None
        if token.text == "llc" and self._names_something() and self.now.kind is Kind.WORD:
            return Bare(token, self._next().text)
        if self.now.kind is Kind.NUMBER and not self._arithmetic_ahead():
            number = self._next()
        elif token.text in ("less", "greater"):
            self._missing("a number")
        return Bare(token, "", number)

    def _id(self, qualifiers: Qualifiers) -> Tree:
        if self._is("("):
            self._next()
            tree, _ = self.expression(qualifiers)
            self._expect(")")
            return tree
        if self._is("not", "!"):
            self._next()
            self._deeper(1)
            tree = self._id(qualifiers)
            self._deeper(-1)
            return Negation(tree)
        if not self._names_something():
            self._missing(_wanted(qualifiers))
        token, mask = self._next(), None
        if token.kind in (Kind.IP4, Kind.IP6):
            if self._is("/"):
                self._next()
                mask = self._mask((Kind.NUMBER,))
            elif self._is("mask"):
                self._next()
                mask = self._mask((Kind.IP4,))
        return Primitive(qualifiers, token, mask)

    def _mask(self, kinds: tuple[Kind, ...]) -> Token:
        if self.now.kind not in kinds:
            self._missing(f"a mask ({kinds[0].value})")
        return self._next()

    def _relation(self) -> Relation:
        left = self._arithmetic(0)
        if self._is("contains"):
            token = self._next()
            if self.now.kind is not Kind.TEXT:
                self._missing("text in double quotes")
            return Relation(token, left, Operand(self._next()))
        if not (self.now.kind is Kind.OPERATOR and self.now.text in _RELATIONS):
            self._missing("a comparison (= != < > <= >=)")
        token = self._next()
        right, mask = self._arithmetic(0), None
        literal = isinstance(right, Operand) and right.token.kind in (Kind.IP4, Kind.IP6)
        if literal and self._is("/"):
            self._next()
            mask = self._mask((Kind.NUMBER,))
        return Relation(token, left, right, mask)

    def _arithmetic(self, least: int) -> Arithmetic:
        self._deeper(1)
        left, count = self._operand(), 0
        while self.now.kind is Kind.OPERATOR and _BINDING.get(self.now.text, 0) > least:
            if _literal(left):
                break
            token = self._next()
            count += 1
            if count > CHAIN_MAX:
                raise problem(f"more than {CHAIN_MAX} operators", token)
            binding = _BINDING[token.text]
            left = Operation(token, left, self._arithmetic(0 if binding == 9 else binding))
        self._deeper(-1)
        return left

    def _operand(self) -> Arithmetic:
        token = self.now
        if self._is("("):
            self._next()
            inner = self._arithmetic(0)
            self._expect(")")
            return inner
        if self._is("-"):
            self._next()
            zero = Operand(Token(Kind.NUMBER, "", token.at))
            return Operation(token, zero, self._arithmetic(4))
        if token.kind in (Kind.NUMBER, Kind.IP4, Kind.IP6, Kind.MAC, Kind.TEXT):
            return Operand(self._next())
        if token.kind is not Kind.WORD:
            self._missing("a number, a field or octets such as ip[8]")
        self._next()
        if self._is("["):
            return self._access(token)
        return Operand(token)

    def _access(self, token: Token) -> Access:
        self._next()
        index, size = self._arithmetic(0), None
        if self._is(":"):
            self._next()
            if self.now.kind is not Kind.NUMBER:
                self._missing("a size of 1, 2 or 4")
            size = self._next()
        self._expect("]")
        protocol = _canonical(token.text)
        if protocol not in PROTOCOLS:
            raise problem("not a protocol", token)
        return Access(replace(token, text=protocol), index, size)


def _matching(words: list[Token]) -> dict[int, int]:
    stack, closes = list[int](), dict[int, int]()
    for at, token in enumerate(words):
        if token.kind is Kind.OPERATOR and token.text == "(":
            stack.append(at)
        elif token.kind is Kind.OPERATOR and token.text == ")" and stack:
            closes[stack.pop()] = at
    return closes


def _canonical(text: str) -> str:
    return _ALIASES.get(text, text)


def _is_field(token: Token) -> bool:
    head, dot, tail = token.text.partition(".")
    return bool(dot and tail) and head[0].isalpha() and token.kind is Kind.WORD


def _literal(operand: Arithmetic) -> bool:
    return isinstance(operand, Operand) and operand.token.kind in (Kind.IP4, Kind.IP6, Kind.MAC)


def _wanted(qualifiers: Qualifiers) -> str:
    kind = qualifiers.kind or "host"
    wanted = {"net": "a net, as in 10.0.0.0/8", "host": "an address", "portrange": "a port range",
              "port": "a port", "proto": "a protocol's number or \\name"}
    return wanted.get(kind, "a number")
