"""Rules: patterns on named fields that tell product and version, kept in `data/*.toml`.

One RE2 set per field finds all rules that match in a single linear pass; only those found are
run again for their groups. Rule files hold for each rule its own positive and negative examples.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Final

FIELD_MAX = 8192
"""Characters of a field that rules look at: names stand near its start."""
PATTERN_BYTES_MAX = 64 << 20
"""Memory RE2 may use for one field's set."""


@dataclass(frozen=True)
class Rule:
    """Tell what a field that matches `pattern` says.

    Groups of the pattern named `version`, `product`, `info`, `os` win over the fixed texts.
    `cpe` is a CPE 2.3 template in which `{version}` stands for the version, `*` without one.
    """

    id: str
    field: str
    pattern: str
    product: str = ""
    vendor: str = ""
    os: str = ""
    device: str = ""
    cpe: str = ""
    strength: float = 0.9
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    @cached_property
    def compiled(self) -> Any:  # noqa: ANN401 - re2 has no types
        """Return the pattern compiled by RE2."""
        import re2

        return re2.compile(self.pattern, _options())

    def read(self, text: str) -> dict[str, str] | None:
        """Return what `text` tells by this rule, without empty entries, or None."""
        found = self.compiled.match(text[:FIELD_MAX])
        if not found:
            return None
        told = {
            "product": self.product, "vendor": self.vendor, "os": self.os, "device": self.device,
        }
        # A group that took no part gives None: nothing is told by it.
        told |= {name: value.strip() for name, value in found.groupdict().items() if value}
        if self.cpe:
            told["cpe"] = self.cpe.replace("{version}", escape_cpe(told.get("version", "")) or "*")
        return {name: value for name, value in told.items() if value}


class Book:
    """Hold rules by field, in their order: the first that matches is the most specific."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_field: dict[str, list[Rule]] = defaultdict(list)
        self._sets: dict[str, Any] = {}
        self._rules: list[Rule] = []
        self._add(rules)

    def _add(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            self._rules.append(rule)
            self._by_field[rule.field].append(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in their order."""
        return tuple(self._rules)

    def fields(self) -> list[str]:
        """Return the fields that rules look at."""
        return list(self._by_field)

    def matching(self, field: str, text: str) -> Iterator[Rule]:
        """Yield the rules on `field` that match `text`, in their order."""
        rules = self._by_field.get(field)
        if not rules:
            return
        for number in sorted(self._set(field).Match(text[:FIELD_MAX]) or ()):
            yield rules[number]

    def _set(self, field: str) -> Any:  # noqa: ANN401 - re2 has no types
        found = self._sets.get(field)
        if found is None:
            import re2

            found = re2.Set.MatchSet(_options())
            for rule in self._by_field[field]:
                # MatchSet anchors at the start alone.
                found.Add(rule.pattern)
            found.Compile()
            self._sets[field] = found
        return found


class _Builtin(Book):
    """The rules that come with Portulan; those of a protocol are read when it is first met.

    Reading all of them takes longer than most of what is done with them.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        super().__init__(())
        self._texts = list(texts)
        self._of: dict[str, list[int]] = defaultdict(list)
        for number, text in enumerate(self._texts):
            for protocol in set(_PROTOCOL.findall(text)):
                self._of[protocol].append(number)
        self._read: dict[int, list[Rule]] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order of their files."""
        for number in range(len(self._texts)):
            self._need(number)
        return tuple(rule for number in sorted(self._read) for rule in self._read[number])

    def fields(self) -> list[str]:
        """Return the fields that rules look at."""
        return list(dict.fromkeys(rule.field for rule in self.rules))

    def matching(self, field: str, text: str) -> Iterator[Rule]:
        """Yield the rules on `field` that match `text`, in their order."""
        for number in self._of.get(field.partition(".")[0], ()):
            self._need(number)
        return super().matching(field, text)

    def _need(self, number: int) -> None:
        if number not in self._read:
            self._read[number] = load(self._texts[number])
            # A field's rules stand in files that are read together, so their order holds.
            self._add(self._read[number])


_PROTOCOL: Final = re.compile(r"^field *= *[\"']([^.\"']+)\.", re.MULTILINE)


def escape_cpe(text: str) -> str:
    """Return `text` as one attribute of a CPE 2.3 formatted string (NISTIR 7695 section 6.2)."""
    safe = "".join(c for c in text.lower().replace(" ", "_") if c.isascii() and c.isprintable())
    return "".join(c if c.isalnum() or c in "_.-" else "\\" + c for c in safe)


@cache
def builtin() -> Book:
    """Return the rules that come with Portulan."""
    folder = files("portulan.ident") / "data"
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".toml"))
    return _Builtin((folder / name).read_text("utf-8") for name in names)


def load(text: str) -> list[Rule]:
    """Return the rules of one TOML file."""
    import msgspec

    return msgspec.convert(tomllib.loads(text)["rule"], list[Rule])


def faults(rules: Iterable[Rule]) -> list[str]:
    """Return what is wrong with rules, a line each: examples, anchors, duplicates, shadowing."""
    rules = list(rules)
    found, ids, patterns = [], set(), set()
    for rule in rules:
        if rule.id in ids or (rule.field, rule.pattern) in patterns:
            found.append(f"{rule.id}: duplicate")
        ids.add(rule.id)
        patterns.add((rule.field, rule.pattern))
        found += [f"{rule.id}: {fault}" for fault in _own_faults(rule)]
    if not found:
        found += _shadowed(Book(rules))
    return found


def _own_faults(rule: Rule) -> Iterator[str]:
    import re2

    if not rule.pattern.startswith(("^", "(?i)^", "(?s)^")):
        yield "pattern is not anchored by ^"
    if not rule.positive or not rule.negative:
        yield "needs a positive and a negative example"
    try:
        rule.compiled  # noqa: B018
    except re2.error:
        yield "pattern is not RE2"
        return
    for text in rule.positive:
        if rule.read(text) is None:
            yield f"does not match its example {text!r}"
    for text in rule.negative:
        if rule.read(text) is not None:
            yield f"matches its negative example {text!r}"


def _shadowed(book: Book) -> Iterator[str]:
    for rule in book.rules:
        for text in rule.positive:
            first = next(book.matching(rule.field, text), rule)
            if first is not rule:
                yield f"{rule.id}: shadowed by {first.id} on {text!r}"
        for text in rule.negative:
            rival = next((r for r in book.matching(rule.field, text)), None)
            if rival and rival.product == rule.product and rival.vendor == rule.vendor:
                yield f"{rule.id}: its negative {text!r} is taken by its rival {rival.id}"


@cache
def _options() -> Any:  # noqa: ANN401 - re2 has no types
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES_MAX
    return options
