"""One target as people write it: addresses, nets, ranges, names, URLs, with ports or without.

`10.0.0.1`, `10.0.0.0/24`, `10.0.0-3.1,5,9`, `10.0.0.*`, `10.0.0.1-20`, `10.0.0.5-10.0.1.7`, `::1`,
`fe80::1%eth0`, `2001:db8::/112`, `[::1]:22`, `name`, `name/24`, `host:22,80`, `https://host:8443/x`.
Bits of a net past its prefix may be set, as with nmap: `10.0.0.7/24` is `10.0.0.0/24`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple, NoReturn

from portulan.errors import UsageError
from portulan.target.address import BITS
from portulan.target.ports import PortSet, parse_ports
from portulan.target.ranges import Range, merge

TEXT_MAX: Final = 2_048
"""Characters of one target: URLs are longer than names."""

NAME_MAX: Final = 253
"""Characters of a host name (RFC 1035 section 2.3.4, without the length octets)."""

V6_COUNT_MAX: Final = 1 << 24
"""Addresses of one IPv6 net or range, a /104: the 2**64 of a common net can't be walked through."""

SCATTER_MAX: Final = 1 << 17
"""Ranges one octet pattern may fall into: `10.*.*.1` makes 65,536, `*.*.*.1` 16 million."""

_OCTET: Final = r"[0-9]+"
_V4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_V4_LIKE: Final = re.compile(r"[0-9.,*-]*[0-9*][0-9.,*-]*")
_OCTET_PART: Final = re.compile(r"\*|([0-9]*)-([0-9]*)|([0-9]+)")
_V6_LIKE: Final = re.compile(r"[0-9a-f.-]*:[0-9a-f.-]*:[0-9a-f:.-]*(?:%.*)?", re.IGNORECASE)
_ZONE: Final = re.compile(r"[A-Za-z0-9_.@:-]{1,15}")  # Linux: an interface name has IFNAMSIZ - 1
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[([^\]]*)\]((?:/[^:]*)?)(?::(.*))?", re.DOTALL)


class Word(NamedTuple):
    """A target's text and where it stood: an option, or FILE:LINE."""

    text: str
    where: str


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What one text means: addresses, or a name to resolve, and ports if it names some."""

    word: Word
    ranges: tuple[Range, ...] = ()
    name: str = ""
    """In ASCII (IDNA), lower case; '' where `ranges` are given."""
    prefix: int | None = None
    """The net around what the name resolves to."""
    ports: PortSet | None = None
    zone: str = ""
    """The interface of a link-local address (RFC 4007 section 11)."""


def parse_host(text: str, *, where: str = "", protocols: Sequence[str] = ("tcp",)) -> HostSpec:
    """Return what one target's text means; raises `UsageError` and nothing else.

    A URL's port is the one it shows or its scheme's. `protocols` are those of ports without prefix.
    """
    word = Word(text, where)
    if len(text) <= 15 and _V4.fullmatch(text):  # most lines of long lists
        return HostSpec(word, (Range(4, _v4_number(text, word)),))
    if not text or len(text) > TEXT_MAX:
        _refuse(f"a target must have 1 to {TEXT_MAX} characters", word)
    if not text.isprintable() or " " in text:
        _refuse("a target with blanks or control characters", word)
    host, ports = _split_ports(word)
    found = None
    if ports is not None:
        spoken = ("tcp",) if "://" in text else protocols
        shown = f"{where}: {text[:80]}" if where else text[:80]
        found = parse_ports(ports, protocols=spoken, where=shown)
    host, slash, length = host.partition("/")
    if not host or len(host) > NAME_MAX:
        _refuse(f"a host has 1 to {NAME_MAX} characters", word)
    if _V6_LIKE.fullmatch(host):
        return _v6(host, length if slash else None, word, ports=found)
    if _V4_LIKE.fullmatch(host):
        return HostSpec(word, _v4(host, length if slash else None, word), ports=found)
    prefix = _length(length, 128, word) if slash else None
    return HostSpec(word, name=_name(host, word), prefix=prefix, ports=found)


def _refuse(reason: str, word: Word, hint: str = "") -> NoReturn:
    raise UsageError(reason, text=word.text, where=word.where, hint=hint) from None


def _split_ports(word: Word) -> tuple[str, str | None]:
    """Return the host and the text of its ports, None where there is none."""
    if url := _URL.match(word.text):
        host, ports = _split_authority(url[2].rpartition("@")[2], word)
        return host, url[1] if ports is None else ports
    return _split_authority(word.text, word)


def _split_authority(text: str, word: Word) -> tuple[str, str | None]:
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        if not found:
            _refuse("a bracket without its end", word, "write [2001:db8::1]:22")
        if ":" not in found[1]:
            _refuse("only IPv6 addresses stand in brackets", word, "write [2001:db8::1]:22")
        return found[1] + found[2], found[3]
    if _V6_LIKE.fullmatch(text.partition("/")[0]):
        return text, None
    host, colon, ports = text.partition(":")
    return host, ports if colon else None


def _length(text: str, most: int, word: Word) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > most:
        _refuse(f"a prefix length must be from 0 to {most}", word)
    return int(text)


def _net(family: int, number: int, length: int) -> Range:
    count = 1 << (BITS[family] - length)
    return Range(family, number & -count, count)


def net_around(item: Range, length: int, word: Word) -> Range:
    """Return the net of this prefix length around an address."""
    if length > BITS[item.family]:
        _refuse(f"a prefix length must be from 0 to {BITS[item.family]}", word)
    return _capped(_net(item.family, item.start, length), word)


def _capped(item: Range, word: Word) -> Range:
    if item.family == 6 and item.count > V6_COUNT_MAX:
        _refuse("more IPv6 addresses than can be walked through", word,
                "name hosts, or nets of /104 and smaller (16,777,216 addresses); "
                "`portulan discover --link IFACE` finds who is on a link")
    return item


# IPv4


def _v4(host: str, length: str | None, word: Word) -> tuple[Range, ...]:
    first, dash, last = host.partition("-")
    if dash and _V4.fullmatch(first) and _V4.fullmatch(last):
        if length is not None:
            _refuse("a range cannot have a prefix length", word)
        start, stop = _v4_number(first, word), _v4_number(last, word)
        if start > stop:
            _refuse("a range that runs backwards", word, f"write {last}-{first}")
        return (Range(4, start, stop - start + 1),)
    if length is not None:
        bits = _length(length, 32, word)
        if not _V4.fullmatch(host):
            _refuse("not an IPv4 net", word, "write 10.0.0.0/24")
        return (_net(4, _v4_number(host, word), bits),)
    if _V4.fullmatch(host):
        return (Range(4, _v4_number(host, word)),)
    return _v4_pattern(host, word)


def _v4_number(text: str, word: Word) -> int:
    number = 0
    for octet in text.split("."):
        number = number << 8 | _octet(octet, word)
    return number


def _octet(text: str, word: Word) -> int:
    if len(text) > 1 and text[0] == "0":
        _refuse("an octet with a leading zero", word, "octal and decimal readings differ; drop it")
    if len(text) > 3 or int(text) > 255:
        _refuse(f"octet {text[:12]} is above 255", word)
    return int(text)


def _v4_pattern(host: str, word: Word) -> tuple[Range, ...]:
    octets = host.split(".")
    if len(octets) != 4:
        _refuse("an IPv4 address has four octets", word, "write 10.0.0.1, 10.0.0.0/24 or 10.0.0.*")
    spans = [_spans(octet, word) for octet in octets]
    return _pattern_ranges(spans, word)


def _spans(octet: str, word: Word) -> list[tuple[int, int]]:
    """Return the sorted, disjoint (first, last) of one octet's list."""
    parts = []
    for part in octet.split(","):
        found = _OCTET_PART.fullmatch(part)
        if not found:
            _refuse("not an octet, list or range", word, "write 1-20 or 1,5")
        if found[3]:
            first = last = _octet(found[3], word)
        else:
            first = _octet(found[1], word) if found[1] else 0
            last = _octet(found[2], word) if found[2] else 255
        if first > last:
            _refuse(f"octet range {part} runs backwards", word, f"write {last}-{first}")
        parts.append(Range(4, first, last - first + 1))
    return [(item.start, item.stop - 1) for item in merge(parts)]


def _pattern_ranges(spans: list[list[tuple[int, int]]], word: Word) -> tuple[Range, ...]:
    """Return the addresses of four octets' spans, from the last octet up."""
    runs = [(first, last - first + 1) for first, last in spans[3]]
    for place in (2, 1, 0):
        unit = 1 << 8 * (3 - place)
        if runs == [(0, unit)]:
            runs = [(first * unit, (last - first + 1) * unit) for first, last in spans[place]]
        else:
            values = [v for first, last in spans[place] for v in range(first, last + 1)]
            if len(values) * len(runs) > SCATTER_MAX:
                _refuse(f"more than {SCATTER_MAX} ranges in a pattern", word, "name whole nets")
            runs = [(v * unit + start, count) for v, (start, count) in product(values, runs)]
    return tuple(Range(4, start, count) for start, count in runs)


# IPv6


def _v6(host: str, length: str | None, word: Word, *, ports: PortSet | None) -> HostSpec:
    address, _, zone = host.partition("%")
    if "%" in host and not _ZONE.fullmatch(zone):
        _refuse("not an interface name after %", word)
    first, dash, last = address.partition("-")
    start = _v6_number(first, word)
    if dash:
        stop = _v6_number(last, word)
        if length is not None:
            _refuse("a range cannot have a prefix length", word)
        if start > stop:
            _refuse("a range that runs backwards", word, f"write {last}-{first}")
        item = Range(6, start, stop - start + 1)
    else:
        item = _net(6, start, 128 if length is None else _length(length, 128, word))
    if zone and item.count > 1:
        _refuse("an interface goes with one address", word, f"leave it out, and add -e {zone}")
    return HostSpec(word, (_capped(item, word),), ports=ports, zone=zone)


def _v6_number(text: str, word: Word) -> int:
    try:
        return int(ipaddress.IPv6Address(text))
    except ValueError:
        _refuse("not an IPv6 address", word, "ports need brackets: [2001:db8::1]:22")


# Names


def _name(host: str, word: Word) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        _refuse("not a host name", word)
    name = name.lower()
    labels = name.removesuffix(".").split(".")
    if len(name) > NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("neither an address nor a host name", word)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        _refuse("neither an address nor a host name", word, "an IPv4 address is as 10.0.0.1")
    return name
