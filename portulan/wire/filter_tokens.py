"""Words of a filter: what `pcap-filter(7)` calls numbers, addresses, names and operators.

A word is as long as it can be, as in libpcap: `5-9` is one name, `2 - 1` a sum of three words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from portulan.errors import UsageError
from portulan.wire.address import Ip6

LENGTH_MAX_CHARS = 16_384
"""A list of 1,000 hosts fits; more belongs into a net, and would be no BPF program anyway."""


class Kind(Enum):
    """What a token is."""

    NUMBER = "number"
    WORD = "name"
    IP4 = "IPv4 address"
    IP6 = "IPv6 address"
    MAC = "MAC address"
    TEXT = "quoted text"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the filter; `at` counts characters from 0, `number` is a number's value."""

    kind: Kind
    text: str
    at: int
    number: int = 0
    escaped: bool = False


_OPERATORS = re.compile(r"<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^<>=!()\[\]:,]")
_WORD = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?")
_COLONS = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_MAC = re.compile(
    r"[0-9A-Fa-f]{1,2}([-:.])[0-9A-Fa-f]{1,2}(?:\1[0-9A-Fa-f]{1,2}){4}(?![-_:.0-9A-Za-z])"
    r"|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}(?![-_:.0-9A-Za-z])"
    r"|[0-9A-Fa-f]{12}(?![-_:.0-9A-Za-z])")
_IP4 = re.compile(r"\d+(?:\.\d+){1,3}")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


def problem(reason: str, token: Token, hint: str = "") -> UsageError:
    """Return the error that points at a token."""
    return UsageError(reason, text=token.text, where=f"filter, column {token.at + 1}", hint=hint)


def tokens(text: str) -> list[Token]:
    """Return the words of a filter, the last one of kind `END`."""
    if len(text) > LENGTH_MAX_CHARS:
        raise UsageError(f"filter of {len(text)} characters, {LENGTH_MAX_CHARS} are read",
                         hint="join addresses into nets, ports into ranges")
    found, at = list[Token](), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at)
        found.append(token)
    return [*found, Token(Kind.END, "", len(text))]


def _next(text: str, at: int) -> tuple[Token, int]:
    for kind, pattern in ((Kind.MAC, _MAC), (Kind.IP6, _COLONS), (Kind.TEXT, _TEXT)):
        match = pattern.match(text, at)
        if match and not (kind is Kind.MAC and match[0].isdigit() and len(match[0]) == 12):
            if kind is Kind.IP6 and not _is_ip6(match[0]):
                continue
            return Token(kind, match[1] if kind is Kind.TEXT else match[0], at), match.end()
    if match := _WORD.match(text, at):
        return _word(match[0], at), match.end()
    if text[at] == "\\" and (match := _WORD.match(text, at + 1)):
        return Token(Kind.WORD, match[0], at, escaped=True), match.end()
    if match := _OPERATORS.match(text, at):
        return Token(Kind.OPERATOR, match[0], at), match.end()
    raise problem("no word of a filter begins like this", Token(Kind.END, text[at : at + 20], at))


def _is_ip6(text: str) -> bool:
    try:
        Ip6.of(text)
    except (ValueError, UsageError):
        return False
    return True


def _word(text: str, at: int) -> Token:
    hexadecimal = text[:2] in ("0x", "0X") and len(text) > 2
    if text.isdigit() or (hexadecimal and all(c in "0123456789abcdefABCDEF" for c in text[2:])):
        return _number(text, at)
    kind = Kind.IP4 if _IP4.fullmatch(text) else Kind.WORD
    return Token(kind, text, at)


def _number(text: str, at: int) -> Token:
    octal = text[0] == "0" and text.isdigit() and len(text) > 1
    try:
        number = int(text[:40], 8 if octal else 0)
    except ValueError:
        token = Token(Kind.NUMBER, text, at)
        raise problem("number with leading 0 is octal, but has other digits", token) from None
    if number >= 1 << 32 or len(text) > 40:
        raise problem("number overflows 32 bits", Token(Kind.NUMBER, text, at))
    return Token(Kind.NUMBER, text, at, number)
