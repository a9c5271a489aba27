"""What each primitive of the language tests, on the link as it is at that place of the filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from portulan.errors import UsageError
from portulan.wire.address import Ip4, Ip6, Mac
from portulan.wire.filter_graph import (
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
from portulan.wire.filter_link import (
    AARP,
    ARP,
    ATALK,
    IP,
    IP6,
    IPX_SAP,
    ISO,
    NETBEUI,
    PPPOED,
    RARP,
    STP,
    Link,
    equals,
    masked,
)
from portulan.wire.filter_syntax import LINK_NAMES, Primitive, Qualifiers
from portulan.wire.filter_tokens import Kind, Token, problem

Services: TypeAlias = Callable[[str, str], int | None]
"""A service's name and `tcp` or `udp` -> its port, if it has one."""

LINK_PROTOCOLS: Final = {
    "ip": IP, "ip6": IP6, "arp": ARP, "rarp": RARP, "atalk": ATALK, "aarp": AARP, "ipx": IPX_SAP,
    "decnet": 0x6003, "lat": 0x6004, "sca": 0x6007, "moprc": 0x6002, "mopdl": 0x6001, "iso": ISO,
    "stp": STP, "netbeui": NETBEUI, "pppoed": PPPOED,
}
_ETHERTYPES: Final = LINK_PROTOCOLS | {
    "pup": 0x0200, "xns": 0x0600, "loopback": 0x9000, "pppoes": 0x8864, "mpls": 0x8847,
    "vlan": 0x8100, "lldp": 0x88CC,
}
IP_PROTOCOLS: Final = {
    "icmp": (1,), "igmp": (2,), "igrp": (9,), "vrrp": (112,), "carp": (112,),
    "tcp": (6, 6), "udp": (17, 17), "sctp": (132, 132), "pim": (103, 103), "ah": (51, 51),
    "esp": (50, 50),
}
"""The protocol's number: in IPv4, and in IPv6 if it is one there too."""
_NUMBERS: Final = {
    "ip": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17,
    "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51,
    "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "pim": 103,
    "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136, "icmp6": 58, "igrp": 9, "carp": 112,
}
_OSI: Final = {"clnp": 0x81, "esis": 0x82, "isis": 0x83}
_ISIS: Final = {
    "l1": (26, 24, 18, 15, 17), "l2": (27, 25, 20, 16, 17), "iih": (17, 15, 16), "lsp": (18, 20),
    "snp": (26, 27, 24, 25), "csnp": (24, 25), "psnp": (26, 27),
}
_TRANSPORTS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_FRAGMENT_HEADER: Final = 44


def protocol(link: Link, name: str) -> Node:
    """Return the test for a protocol by its name."""
    if name in LINK_PROTOCOLS:
        return link.carries(LINK_PROTOCOLS[name])
    if name == "icmp6":
        return in_ip6(link, 58)
    if name in _OSI:
        return _osi(link, _OSI[name])
    if name in _ISIS:
        at = link.llc_at + 7
        return some(*(every(_osi(link, 0x83), equals(at, 1, kind)) for kind in _ISIS[name]))
    if name not in IP_PROTOCOLS:
        raise UsageError(f"{name} alone is no test")
    numbers = IP_PROTOCOLS[name]
    found = [in_ip6(link, numbers[1])] if len(numbers) > 1 else []
    return some(*found, in_ip(link, numbers[0]))


def _osi(link: Link, number: int) -> Node:
    return every(link.carries(ISO), equals(link.llc_at + 3, 1, number))


def in_ip(link: Link, number: int) -> Node:
    """Return the test that IPv4 carries a protocol."""
    return every(link.carries(IP), equals(link.payload + 9, 1, number))


def in_ip6(link: Link, number: int) -> Node:
    """Return the test that IPv6 carries a protocol, at once or behind a fragment header."""
    following = Load(link.payload + 6, 1)
    behind = every(test("eq", following, _FRAGMENT_HEADER), equals(link.payload + 40, 1, number))
    return every(link.carries(IP6), some(test("eq", following, number), behind))


def first_fragment(link: Link) -> Node:
    """Return the test that an IPv4 packet's transport header is in this one."""
    return Not(test("set", Load(link.payload + 6, 2), 0x1FFF))


def behind_ip(link: Link, at: int, size: int, index: Expr | None = None) -> Expr:
    """Return octets behind an IPv4 header of any size, at byte `at` + `index` of its payload."""
    header = HeaderSize(link.payload)
    return indexed(link.payload + at, size, header if index is None else index,
                   None if index is None else header)


def indexed(at: int, size: int, index: Expr, header: Expr | None = None) -> Load:
    """Return octets at `index` + `at`, behind a header of variable size if there is one."""
    if isinstance(index, Num):
        return Load((at + index.value) & 0xFFFF_FFFF, size, header)
    return Load(at, size, index if header is None else binary("add", index, header))


def primitive(link: Link, tree: Primitive, services: Services | None) -> Node:
    """Return the test of a qualified address, port or number; raises `UsageError` at its place."""
    qualifiers, token = tree.qualifiers, tree.token
    kind = qualifiers.kind or "host"
    if kind == "gateway":
        raise problem("gateway needs names and is not supported", token, "write ether host MAC")
    if kind in ("port", "portrange"):
        return _ports(link, qualifiers, token, services)
    if kind == "proto":
        return _numbered(link, qualifiers, token)
    return _address(link, tree)


# --- addresses

def _address(link: Link, tree: Primitive) -> Node:
    qualifiers, token = tree.qualifiers, tree.token
    if token.kind is Kind.MAC:
        if qualifiers.protocol not in LINK_NAMES or qualifiers.kind == "net":
            hint = f"write ether host {token.text}"
            raise problem("a link address needs the qualifier ether", token, hint)
        return _link_host(link, qualifiers, token)
    if qualifiers.protocol in LINK_NAMES:
        raise problem("not a link address, such as 02:00:00:00:00:01", token)
    if token.kind is Kind.WORD:
        raise problem("names are not looked up", token, "write the address")
    if token.kind is Kind.IP6:
        return _net6(link, tree)
    return _net4(link, tree)


def _link_host(link: Link, qualifiers: Qualifiers, token: Token) -> Node:
    if not link.is_ethernet:
        raise problem(f"{link.said} has no link addresses to compare", token)
    number = mac_number(token)
    return _sides(qualifiers.direction, lambda at: link_address(link.header + at, number), 6, 0)


def mac_number(token: Token) -> int:
    """Return the number of a link address in any of the ways to write it."""
    text = token.text.replace("-", ":")
    if "." in text:
        groups = text.split(".")
        octets = groups if len(groups) == 6 else [g[i : i + 2] for g in groups for i in (0, 2)]
        text = ":".join(octets)
    elif ":" not in text:
        text = ":".join(text[at : at + 2] for at in range(0, 12, 2))
    text = ":".join(part.zfill(2) for part in text.split(":"))
    return int(Mac.of(text))


def link_address(at: int, number: int) -> Node:
    """Return the test of a MAC address, its last four octets first, as libpcap has it."""
    return every(equals(at + 2, 4, number & 0xFFFF_FFFF), equals(at, 2, number >> 32))


def _sides(direction: str, found: Callable[[int], Node], src: int, dst: int) -> Node:
    if direction in ("src", "dst"):
        return found(src if direction == "src" else dst)
    both = (found(src), found(dst))
    return every(*both) if direction == "and" else some(*both)


def _net4(link: Link, tree: Primitive) -> Node:
    qualifiers, token = tree.qualifiers, tree.token
    number, mask = _net4_number(tree)
    any_layer = ("ip",) if link.labels else ("ip", "arp", "rarp")
    wanted = (qualifiers.protocol,) if qualifiers.protocol else any_layer
    places = {"ip": (12, 16), "arp": (14, 24), "rarp": (14, 24)}
    if not places.keys() >= set(wanted):
        raise problem(f"{qualifiers.protocol} has no IPv4 addresses to compare", token)
    return some(*(_sides(
        qualifiers.direction,
        lambda at, name=name: every(  # type: ignore[misc]
            link.carries(LINK_PROTOCOLS[name]), masked(link.payload + at, 4, number, mask)),
        *places[name]) for name in wanted))


def _net4_number(tree: Primitive) -> tuple[int, int]:
    """Return the address and its mask; a short one such as 10.1 is a net, as in libpcap."""
    token, is_net = tree.token, tree.qualifiers.kind == "net"
    if tree.mask is not None and not is_net:
        raise problem("a mask is for nets only", tree.mask, f"write net {token.text}/...")
    if token.kind is Kind.NUMBER:
        number, bits = token.number, 32
        while is_net and 0 < number < 1 << 24:
            number, bits = number << 8 & 0xFFFF_FFFF, bits - 8
        return number, 0xFFFF_FFFF << 32 - bits & 0xFFFF_FFFF
    number, bits = _quad(token)
    if tree.mask is None:
        return number, 0xFFFF_FFFF << 32 - bits & 0xFFFF_FFFF
    if tree.mask.kind is Kind.NUMBER:
        if tree.mask.number > 32:
            raise problem("a mask has at most 32 bits", tree.mask)
        mask = 0xFFFF_FFFF << 32 - tree.mask.number & 0xFFFF_FFFF
    else:
        mask = _quad(tree.mask)[0]
    if number & ~mask:
        raise problem("address has bits outside its mask", token, f"write {Ip4(number & mask)}")
    return number, mask


def _quad(token: Token) -> tuple[int, int]:
    parts = [int(part) if len(part) < 10 else 256 for part in token.text.split(".")]
    if any(part > 255 for part in parts):
        raise problem("not an IPv4 address", token)
    bits = 8 * len(parts)
    return int.from_bytes(bytes(parts), "big") << 32 - bits, bits


def _net6(link: Link, tree: Primitive) -> Node:
    qualifiers, token = tree.qualifiers, tree.token
    if qualifiers.protocol not in ("", "ip6"):
        raise problem(f"{qualifiers.protocol} has no IPv6 addresses to compare", token)
    bits = 128
    if tree.mask is not None:
        bits = tree.mask.number
        if tree.mask.kind is not Kind.NUMBER or bits > 128:
            raise problem("an IPv6 mask is a number up to 128", tree.mask)
    number, mask = int(Ip6.of(token.text)), (1 << 128) - (1 << 128 - bits)
    if number & ~mask:
        raise problem("address has bits outside its mask", token, f"write {Ip6(number & mask)}")
    if bits < 128 and qualifiers.kind != "net":
        raise problem("a mask is for nets only", token, f"write net {token.text}/{bits}")

    def found(at: int) -> Node:
        return every(link.carries(IP6), ip6_address(link.payload + at, number, mask))

    return _sides(qualifiers.direction, found, 8, 24)


def ip6_address(at: int, number: int, mask: int) -> Node:
    """Return the test of an IPv6 address under a mask, word by word."""
    words = [(number >> shift & 0xFFFF_FFFF, mask >> shift & 0xFFFF_FFFF)
             for shift in (96, 64, 32, 0)]
    return every(*(masked(at + 4 * i, 4, *word) for i, word in enumerate(words)))


# --- ports and protocol numbers

def _ports(
    link: Link, qualifiers: Qualifiers, token: Token, services: Services | None
) -> Node:
    name = qualifiers.protocol
    if name and name not in _TRANSPORTS:
        raise problem(f"{name} has no ports", token, "write tcp, udp, sctp or nothing before port")
    low, high, only = _range(token, name, services, is_range=qualifiers.kind == "portrange")
    names = [name or only] if name or only else ["sctp", "tcp", "udp"]

    def compared(read: Callable[[int], Expr]) -> Node:
        def side(at: int) -> Node:
            if qualifiers.kind == "port":
                return test("eq", read(at), low)
            return every(test("ge", read(at), low), Not(test("gt", read(at), high)))

        return _sides(qualifiers.direction, side, 0, 2)

    base = link.payload
    six = [every(equals(base + 6, 1, _TRANSPORTS[each]),
                 compared(lambda at: Load(base + 40 + at, 2))) for each in names]
    four = [every(equals(base + 9, 1, _TRANSPORTS[each]), first_fragment(link),
                  compared(lambda at: behind_ip(link, at, 2))) for each in names]
    return some(every(link.carries(IP6), some(*six)), every(link.carries(IP), some(*four)))


def _range(
    token: Token, protocol_name: str, services: Services | None, *, is_range: bool
) -> tuple[int, int, str]:
    if token.kind is Kind.NUMBER:
        if token.number > 0xFFFF:
            raise problem("ports go up to 65535", token)
        return token.number, token.number, ""
    if token.kind is not Kind.WORD:
        raise problem("not a port", token)
    if not is_range or "-" not in token.text:
        port, only = _port(token, token.text, protocol_name, services)
        return port, port, only
    first, last = token.text.split("-", 1)
    low, only = _port(token, first, protocol_name, services)
    high, also = _port(token, last, protocol_name, services)
    if only != also:
        # Each end on its own protocol says nothing about the protocol of what lies between.
        only = ""
    return min(low, high), max(low, high), only


def _port(
    token: Token, name: str, protocol_name: str, services: Services | None
) -> tuple[int, str]:
    """Return a named port, and the only protocol that has the name if there is only one."""
    if name.isdigit() and len(name) < 9:
        if int(name) > 0xFFFF:
            raise problem("ports go up to 65535", token)
        return int(name), ""
    found = {} if services is None else {
        each: port for each in ("tcp", "udp") if (port := services(name, each)) is not None}
    if not found:
        raise problem("no port has this name here", token, "write the number")
    if protocol_name in ("tcp", "udp") and protocol_name not in found:
        raise problem(f"{name} is no {protocol_name} port", token)
    port = found.get(protocol_name, next(iter(found.values())))
    one = len(set(found.values())) > 1 or len(found) == 1
    return port, next(iter(found)) if one and not protocol_name else ""


def _numbered(link: Link, qualifiers: Qualifiers, token: Token) -> Node:
    name, number = qualifiers.protocol, token.number
    if qualifiers.direction:
        raise problem("proto has no direction", token)
    if name in LINK_NAMES:
        if token.kind is Kind.WORD:
            if token.text not in _ETHERTYPES:
                raise problem("no ethertype has this name here", token, "write the number")
            number = _ETHERTYPES[token.text]
        elif token.kind is not Kind.NUMBER:
            raise problem("not an ethertype", token)
        return link.carries(number)
    if name in ("iso", "isis"):
        if token.kind is not Kind.NUMBER:
            raise problem(f"{name} proto needs a number", token)
        inside = link.carries(ISO) if name == "iso" else _osi(link, _OSI["isis"])
        return every(inside, equals(link.llc_at + (3 if name == "iso" else 7), 1, number))
    if name not in ("", "ip", "ip6"):
        raise problem(f"{name} does not number what it carries", token, "write ip, ip6 or ether")
    number = ip_number(token)
    if name:
        return (in_ip if name == "ip" else in_ip6)(link, number)
    return some(in_ip6(link, number), in_ip(link, number))


def ip_number(token: Token) -> int:
    """Return an IP protocol's number or raise at its place."""
    if token.kind is Kind.NUMBER:
        return token.number
    if token.kind is not Kind.WORD or token.text not in _NUMBERS:
        raise problem("no IP protocol has this name here", token, "write the number")
    return _NUMBERS[token.text]
