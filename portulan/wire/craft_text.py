"""A packet written as text: `IPv4(dst="10.9.0.2") / TCP(dport=80, flags="S") / b"hello"`.

The text is read by Python's own grammar and then walked over: names of headers, calls with literal
arguments, `/` between layers. Nothing in it is ever run.

>>> parse_packet('IPv4(dst="10.9.0.2") / ICMP.echo(id=7, seq=1)').pack()[20:].hex()
'0800f7f700070001'
"""

# ruff: noqa: ANN401 - literals are of any type: each field says what it takes.

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NoReturn
from warnings import catch_warnings, simplefilter

from portulan.errors import PortulanError, UsageError
from portulan.wire.header import Header, Packet, headers

LENGTH_MAX_CHARS = 65_536
"""Longer texts than any packet as hex digits take half a second to parse, and say nothing."""
LAYERS_MAX = 64
"""Layers in one packet, tunnels included: more than any network carries."""
PAYLOAD_MAX_BYTES = 65_535

ELSEWHERE = {
    "IP": "IPv4", "Ether": "Ethernet", "Dot1Q": "VLAN", "Dot1AD": "VLAN", "Raw": 'b"..."',
    "ICMPv6EchoRequest": "ICMPv6.echo()", "ICMPv6ND_NS": "ICMPv6.neighbour_solicitation()",
    "CookedLinux": "LinuxSLL", "BOOTP": "DHCP", "DNSQR": "DNS.query()", "IPV4": "IPv4",
}
"""What other tools call them: people's fingers know these names."""

Maker = Callable[..., Any]


def parse_packet(text: str) -> Packet:
    """Return the packet that a text describes; raises `UsageError` that points at the place."""
    return _Reader(text).packet()


@cache
def _ours() -> Mapping[str, Any]:
    """Return what a text may call besides headers: options, and octets as hex digits."""
    from portulan.wire import icmpv6, ipv4, ipv6, tcp

    return {
        "tcp_options": tcp.tcp_options, "mss": tcp.mss, "wscale": tcp.wscale,
        "timestamps": tcp.timestamps, "SACK_OK": tcp.SACK_OK, "NOP": tcp.NOP, "EOL": tcp.EOL,
        "ip4_options": ipv4.ip4_options, "ip6_options": ipv6.ip6_options,
        "link_address": icmpv6.link_address, "hex": bytes.fromhex,
    }


def header_names() -> dict[str, type[Header]]:
    """Return every header by the name it is written with, those of the user included."""
    import portulan.wire.dissect  # noqa: F401 - declares all of ours

    return {kind.__name__: kind for kind in headers().values()}


class _Reader:
    """Walks over the syntax tree of one text."""

    def __init__(self, text: str) -> None:
        # A packet may be written over several lines, which the grammar wants in brackets.
        self._text = text.replace("\n", " ")
        self._headers = header_names()

    def packet(self) -> Packet:
        parts = self._layers(self._tree())
        found: list[Header | bytes] = []
        for part in parts:
            value = self._value(part)
            if isinstance(value, Packet):
                found += value.layers
            elif isinstance(value, Header | bytes):
                found.append(value)
            elif isinstance(value, str):
                found.append(value.encode())
            else:
                self._refuse(part, "not a layer", hint='write IPv4(...) / UDP(...) / b"..."')
        if not isinstance(found[0], Header):
            self._refuse(parts[0], "a packet begins with a header")
        return Packet(tuple(found))

    def _tree(self) -> ast.expr:
        if len(self._text) > LENGTH_MAX_CHARS:
            raise UsageError(
                f"text of {len(self._text)} characters, {LENGTH_MAX_CHARS} are read",
                where="packet")
        try:
            # Python warns of what it forgives, such as `1and 2`: we take it or say what is wrong.
            with catch_warnings():
                simplefilter("ignore", SyntaxWarning)
                return ast.parse(self._text.strip(), mode="eval").body
        except SyntaxError as error:
            column = (error.offset or 1) + len(self._text) - len(self._text.lstrip())
            raise UsageError(error.msg.lower(), text=self._text.strip(), hint=_EXAMPLE,
                             where=f"packet, column {max(column, 1)}") from None
        except (ValueError, RecursionError, MemoryError):
            raise UsageError("too deeply nested, or with a zero byte", where="packet") from None

    def _layers(self, tree: ast.expr) -> list[ast.expr]:
        """Return the operands of `/`, first to last."""
        found: list[ast.expr] = []
        while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Div):
            found.append(tree.right)
            tree = tree.left
            if len(found) >= LAYERS_MAX:
                raise UsageError(f"more than {LAYERS_MAX} layers", where="packet")
        return [tree, *reversed(found)]

    def _value(self, node: ast.expr) -> Any:
        found: Any = None
        match node:
            case ast.Constant(value=int() | str() | bytes() as value):
                found = value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                found = -value
            case ast.Tuple(elts=items):
                found = tuple(self._value(item) for item in items)
            case ast.List(elts=items):
                found = [self._value(item) for item in items]
            case ast.BinOp(op=ast.Mult()):
                found = self._repeated(node)
            case ast.BinOp(op=ast.Div()):
                found = self._inner(node)
            case ast.Name():
                found = self._named(node)
            case ast.Call():
                found = self._call(node)
            case _:
                self._refuse(node, "not allowed in a packet", hint=_ALLOWED)
        return found

    def _inner(self, node: ast.expr) -> Packet:
        """Return a packet inside a call: what an ICMP error quotes."""
        parts = [self._value(part) for part in self._layers(node)]
        made = [part.encode() if isinstance(part, str) else part for part in parts]
        if not all(isinstance(part, Header | Packet | bytes) for part in made):
            self._refuse(node, "not layers")
        packet = Packet(())
        for part in made:
            packet = packet / part
        return packet

    def _repeated(self, node: ast.BinOp) -> bytes | str:
        """Return octets or text as often as said: `b"x" * 1000`."""
        left, right = self._value(node.left), self._value(node.right)
        if isinstance(left, bytes | str) and isinstance(right, int):
            if len(left) * right > PAYLOAD_MAX_BYTES:
                self._refuse(node, f"more than {PAYLOAD_MAX_BYTES} bytes")
            return left * right
        self._refuse(node, "only octets are multiplied", hint='put (b"x" * 100) in parentheses')

    def _named(self, node: ast.Name) -> Any:
        if node.id in self._headers:
            return self._make(node, self._headers[node.id], [], {})
        if isinstance(_ours().get(node.id), bytes):
            return _ours()[node.id]
        self._unknown(node, node.id)

    def _call(self, node: ast.Call) -> Any:
        maker = self._maker(node.func)
        arguments = [self._value(each) for each in node.args]
        values: dict[str, Any] = {}
        for each in node.keywords:
            if each.arg is None:
                self._refuse(each.value, "not allowed in a packet", hint="write name=value")
            if each.arg in values:
                self._refuse(each.value, f"{each.arg} is given twice")
            values[each.arg] = self._value(each.value)
        if isinstance(maker, type) and issubclass(maker, Header):
            if arguments:
                self._refuse(node.args[0], "fields are given by name",
                             hint=f"{maker.__name__} has {', '.join(maker.layout.by_name)}")
            self._check_fields(node, maker, values)
        arguments = [bytes(each) if isinstance(each, Packet) else each for each in arguments]
        values = {name: bytes(v) if isinstance(v, Packet) else v for name, v in values.items()}
        return self._make(node, maker, arguments, values)

    def _check_fields(
        self, node: ast.Call, kind: type[Header], values: Mapping[str, Any]
    ) -> None:
        """Point at the argument that is no field, or whose value does not fit."""
        known = kind.layout.by_name
        for each in node.keywords:
            name = each.arg or ""
            if name not in known:
                near = get_close_matches(name, known, 1)
                made = ", ".join(f"{kind.__name__}.{each}(...)" for each in recipes(kind))
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
                hint += f", and is made by {made}" if made and not near else ""
                self._refuse(each, f"{kind.__name__} has no field {name}", hint=hint)
            self._make(each.value, kind, [], {name: values[name]})

    def _maker(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name) if name in self._headers:
                return self._headers[name]
            case ast.Name(id=name) if callable(_ours().get(name)):
                return _ours()[name]
            case ast.Attribute(value=ast.Name(id=name), attr=made) if name in self._headers:
                return self._recipe(node, self._headers[name], made)
            case ast.Attribute(value=ast.Name(id="bytes"), attr="fromhex"):
                return bytes.fromhex
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name)):
                self._unknown(node, name)
        self._refuse(node, "cannot be called in a packet")

    def _recipe(self, node: ast.expr, kind: type[Header], name: str) -> Maker:
        """Return a header's own way to make a common message: `ICMP.echo`."""
        known = recipes(kind)
        if name not in known:
            hint = f"it has {', '.join(known)}" if known else "give its fields by name"
            self._refuse(node, f"{kind.__name__} has no {name}", hint=hint)
        made: Maker = getattr(kind, name)
        return made

    def _make(
        self, node: ast.expr, maker: Any, arguments: list[Any], values: Mapping[str, Any]
    ) -> Any:
        try:
            return maker(*arguments, **values)
        except UsageError as error:
            self._refuse(node, error.reason, text=error.text, hint=error.hint)
        except (PortulanError, TypeError, ValueError, OverflowError) as error:
            self._refuse(node, str(error))
        except Exception as error:  # struct.error and the like: wrong values
            self._refuse(node, f"does not fit: {error}")

    def _unknown(self, node: ast.expr, name: str) -> NoReturn:
        near = {key.lower(): key for key in self._headers}
        found = get_close_matches(name.lower(), near, 1)
        meant = ELSEWHERE.get(name) or (near[found[0]] if found else "")
        hint = (f"did you mean {meant}?" if meant
                else "headers are Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP, DNS, ...")
        self._refuse(node, "no such header", text=name, hint=hint)

    def _refuse(
        self, node: ast.expr | ast.keyword, reason: str, *, text: str = "", hint: str = ""
    ) -> NoReturn:
        # The grammar counts UTF-8 octets, people count characters.
        line = self._text.strip().encode()[: node.col_offset].decode("utf-8", "replace")
        column = len(self._text) - len(self._text.lstrip()) + len(line) + 1
        if not text:
            text = ast.get_source_segment(self._text.strip(), node) or ""
        raise UsageError(reason, text=text, where=f"packet, column {column}", hint=hint)


_ALLOWED = "names of headers, numbers, strings, bytes, tuples, lists, / are"
_EXAMPLE = 'write IPv4(dst="192.0.2.1") / TCP(dport=80)'


def recipes(kind: type[Header]) -> list[str]:
    """Return the names of a header's own ways to make common messages."""
    return [
        name for name, each in vars(kind).items()
        if isinstance(each, classmethod) and not name.startswith("_") and not hasattr(Header, name)
    ]
