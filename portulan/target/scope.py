"""What may be asked at all: a file of `allow NET` and `deny NET` lines, kept with the chart.

Deny wins. What no line allows lies outside. Names are refused: a scope must mean the same tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from portulan.errors import UsageError
from portulan.target.hosts import parse_host
from portulan.target.ranges import Range, merge, subtract


@dataclass(frozen=True, slots=True)
class ScopeRules:
    r"""Allowed and denied addresses, each merged.

    >>> rules = ScopeRules.parse("allow 10.0.0.0/8  # ours\ndeny 10.9.0.0/16", "scope.txt")
    >>> [str(item) for item in rules.check([Range(4, 10 << 24, 1 << 24), Range(4, 1)])]
    ['0.0.0.1', '10.9.0.0/16']
    """

    allowed: tuple[Range, ...]
    denied: tuple[Range, ...] = ()

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Return the rules of a file's text; raises `UsageError` with `where:LINE`."""
        found: dict[str, list[Range]] = {"allow": [], "deny": []}
        for number, line in enumerate(text.split("\n"), 1):
            words = line.partition("#")[0].split()
            if words:
                rule, nets = _rule(words, f"{where}:{number}")
                found[rule].extend(nets)
        if not found["allow"]:
            raise UsageError("a scope that allows nothing", where=where,
                             hint="write lines as: allow 192.0.2.0/24")
        return cls(merge(found["allow"]), merge(found["deny"]))

    def check(self, ranges: Iterable[Range]) -> tuple[Range, ...]:
        """Return what of `ranges` lies outside; empty if all of it may be asked."""
        return subtract(ranges, subtract(self.allowed, self.denied))


def _rule(words: list[str], where: str) -> tuple[str, tuple[Range, ...]]:
    if len(words) != 2 or words[0] not in ("allow", "deny"):
        raise UsageError("not a scope rule", text=" ".join(words), where=where,
                         hint="write: allow NET, or: deny NET")
    spec = parse_host(words[1], where=where)
    if spec.name or spec.ports is not None:
        raise UsageError("a scope takes addresses and nets only", text=words[1], where=where)
    return words[0], spec.ranges
