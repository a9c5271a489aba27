"""Whom a scan asks, and on which ports: texts to disjoint ranges, each with its ports.

Overlapping targets are united, ports included, so that no (address, port) appears twice.
Exclusions always win: they are cut out last, whatever notation named them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from portulan.errors import UsageError
from portulan.target.hosts import HostSpec, Word, net_around, parse_host
from portulan.target.ports import EVERY_PORT, NO_PORTS, PortSet
from portulan.target.ranges import Range, address_count, merge

Resolve: TypeAlias = Callable[[str], Sequence[str]]
"""Gives a name's addresses as text, the preferred one first; none if it has none."""

Address: TypeAlias = tuple[int, int]
"""(family, number)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A range of addresses that are asked on the same ports."""

    range: Range
    ports: PortSet


@dataclass(frozen=True, slots=True)
class Targets:
    """Disjoint blocks in the order of addresses, and what the user called them."""

    blocks: tuple[Block, ...]
    names: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    """The names that the user gave and that led to the address."""
    zones: Mapping[Address, str] = field(default_factory=dict)
    """The interfaces of link-local addresses, where given."""
    unused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further addresses of names, not asked: a name means its first one, as with nmap."""

    @property
    def ranges(self) -> tuple[Range, ...]:
        """All addresses, merged."""
        return merge(block.range for block in self.blocks)

    @property
    def host_count(self) -> int:
        """How many addresses there are."""
        return address_count(block.range for block in self.blocks)

    @property
    def probe_count(self) -> int:
        """How many (address, protocol, port) there are."""
        return sum(block.range.count * len(block.ports) for block in self.blocks)


def read_lines(text: str, where: str) -> list[Word]:
    """Return the targets of a file's text: divided by whitespace, `#` begins a comment.

    Each carries `where:LINE` for messages about it.
    """
    return [
        Word(word, f"{where}:{number}")
        for number, line in enumerate(text.split("\n"), 1)
        for word in line.partition("#")[0].split()
    ]


def parse_targets(
    specs: Iterable[str | Word],
    *,
    ports: PortSet,
    resolve: Resolve,
    exclude: Iterable[str | Word] = (),
    family: int | None = None,
    where: str = "target",
    protocols: Sequence[str] = ("tcp",),
    ports_out: PortSet = NO_PORTS,
) -> Targets:
    """Return what the texts name, without what `exclude` names; raises `UsageError`.

    `ports` go to targets that name none, `ports_out` are taken from those that name some;
    `protocols` are those of ports without a prefix. A name means its first address, of IPv4 if it
    has one and `family` is None; excluding it excludes all.
    """
    reader = _Reader(resolve, family, protocols, ports_out)
    for spec in specs:
        reader.add(_word(spec, where), ports)
    if not reader.wanted:
        raise UsageError("no target", where=where, hint="name hosts or nets, as 10.0.0.0/24")
    holes = [hole for spec in exclude for hole in reader.holes(_word(spec, "--exclude"))]
    blocks = tuple(_cut(reader.wanted, holes))
    if not blocks:
        reason = "every target is excluded" if holes else "no port to ask"
        raise UsageError(reason, where=where, hint="nothing would be sent")
    return reader.targets(blocks)


def _word(spec: str | Word, where: str) -> Word:
    return spec if isinstance(spec, Word) else Word(spec, where)


class _Reader:
    """Reads specs one by one, resolves names, and remembers what they were called."""

    def __init__(
        self, resolve: Resolve, family: int | None, protocols: Sequence[str], ports_out: PortSet,
    ) -> None:
        self.resolve, self.family, self.protocols = resolve, family, protocols
        self._ports_out = ports_out
        self.wanted: list[Block] = []
        self._names: dict[Address, dict[str, None]] = {}
        self._zones: dict[Address, str] = {}
        self._unused: dict[str, tuple[str, ...]] = {}
        self._answers: dict[str, tuple[HostSpec, ...]] = {}

    def add(self, word: Word, ports: PortSet) -> None:
        spec = parse_host(word.text, where=word.where, protocols=self.protocols)
        ports = spec.ports.without(self._ports_out) if spec.ports else ports
        if not spec.name:
            self._add_literal(spec, ports)
            return
        usable = [item for item in self._resolved(spec) if self._fits(item)]
        if not usable:
            raise UsageError(f"the name has no IPv{self.family} address", text=spec.name,
                             where=word.where, hint=f"leave -{self.family} out")
        usable.sort(key=lambda item: item.ranges[0].family)  # stable: IPv4 first, order kept
        self._add_named(spec, usable, ports)

    def _add_literal(self, spec: HostSpec, ports: PortSet) -> None:
        if not self._fits(spec):
            raise UsageError(f"not an IPv{self.family} address", text=spec.word.text,
                             where=spec.word.where, hint=f"leave it or -{self.family} out")
        self._remember_zone(spec)
        self.wanted.extend(Block(item, ports) for item in spec.ranges)

    def _add_named(self, spec: HostSpec, usable: list[HostSpec], ports: PortSet) -> None:
        item = usable[0].ranges[0]
        if rest := tuple(other.word.text for other in usable[1:]):
            self._unused[spec.name] = rest
        self._remember_zone(usable[0])
        self._names.setdefault((item.family, item.start), {})[spec.name] = None
        if spec.prefix is not None:
            item = net_around(item, spec.prefix, spec.word)
        self.wanted.append(Block(item, ports))

    def holes(self, word: Word) -> list[Block]:
        spec = parse_host(word.text, where=word.where, protocols=self.protocols)
        ports = spec.ports or EVERY_PORT
        found = [item for one in (self._resolved(spec) if spec.name else [spec])
                 for item in one.ranges]
        if spec.prefix is not None:
            found = [net_around(item, spec.prefix, word) for item in found
                     if spec.prefix <= 32 or item.family == 6]
        return [Block(item, ports) for item in found]

    def targets(self, blocks: tuple[Block, ...]) -> Targets:
        names = {address: tuple(names) for address, names in self._names.items()}
        return Targets(blocks, names, self._zones, self._unused)

    def _fits(self, spec: HostSpec) -> bool:
        return self.family is None or spec.ranges[0].family == self.family

    def _resolved(self, spec: HostSpec) -> tuple[HostSpec, ...]:
        if spec.name not in self._answers:
            answers = tuple(dict.fromkeys(self.resolve(spec.name)))
            if not answers:
                raise UsageError("no address is known for this name", text=spec.name,
                                 where=spec.word.where, hint="check its spelling")
            self._answers[spec.name] = tuple(_answer(text, spec.word) for text in answers)
        return self._answers[spec.name]

    def _remember_zone(self, spec: HostSpec) -> None:
        if not spec.zone:
            return
        for item in spec.ranges:
            address = item.family, item.start
            if self._zones.setdefault(address, spec.zone) != spec.zone:
                raise UsageError("one address on two interfaces", text=spec.word.text,
                                 where=spec.word.where, hint="scan one interface at a time")


def _answer(text: str, word: Word) -> HostSpec:
    """Return a resolver's answer; it comes from outside, so it is checked as user's text is."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise UsageError("the resolver gave no address for this name", text=word.text,
                         where=word.where) from None
    return parse_host(text, where=word.where)


def _cut(wanted: Sequence[Block], holes: Sequence[Block]) -> Iterator[Block]:
    """Yield disjoint blocks in the order of addresses, ports united, holes taken out.

    A sweep over the edges of ranges: between two neighbours the groups that count don't change.
    """
    groups = [*_by_ports(wanted), *_by_ports(holes)]
    choose = _Chooser([ports for ports, _ in groups], len(_by_ports(wanted)))
    edges = sorted(
        edge
        for number, (_, ranges) in enumerate(groups)
        for item in ranges
        for edge in ((item.family, item.start, 1, number), (item.family, item.stop, -1, number))
    )
    active: set[int] = set()
    last: Block | None = None
    for (family, at, step, number), following in pairwise(edges):
        (active.add if step > 0 else active.discard)(number)
        ports = choose.ports(frozenset(active)) if following[1] != at and active else None
        if not ports:
            continue
        if last and last.ports is ports and (family, at) == (last.range.family, last.range.stop):
            last = Block(Range(family, last.range.start, following[1] - last.range.start), ports)
            continue
        if last:
            yield last
        last = Block(Range(family, at, following[1] - at), ports)
    if last:
        yield last


def _by_ports(blocks: Iterable[Block]) -> list[tuple[PortSet, tuple[Range, ...]]]:
    """Return each distinct set of ports with its merged ranges."""
    # By identity first: hashing 65,535 ports for each line of a long target list takes minutes.
    by_identity: dict[int, tuple[PortSet, list[Range]]] = {}
    for block in blocks:
        by_identity.setdefault(id(block.ports), (block.ports, []))[1].append(block.range)
    by_value: dict[PortSet, list[Range]] = {}
    for ports, ranges in by_identity.values():
        by_value.setdefault(ports, []).extend(ranges)
    return [(ports, merge(ranges)) for ports, ranges in by_value.items()]


class _Chooser:
    """Gives the ports that remain where some groups overlap; equal sets are one object."""

    def __init__(self, sets: list[PortSet], wanted: int) -> None:
        self._sets, self._wanted = sets, wanted
        self._made: dict[frozenset[int], PortSet] = {}
        self._equal: dict[PortSet, PortSet] = {}

    def ports(self, active: frozenset[int]) -> PortSet:
        if active not in self._made:
            made = self._compute(active)
            self._made[active] = self._equal.setdefault(made, made)
        return self._made[active]

    def _compute(self, active: frozenset[int]) -> PortSet:
        plus = [self._sets[number] for number in active if number < self._wanted]
        made = plus[0].union(*plus[1:]) if plus else PortSet()
        for number in active:
            if number >= self._wanted:
                hole = self._sets[number]
                made = PortSet() if hole is EVERY_PORT else made.without(hole)
        return made
