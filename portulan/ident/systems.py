"""Judge which system a host runs by the traits of its TCP/IP stack.

A rule is a list of traits that a family of systems has, each with patterns and a weight. A trait
that fits speaks for the family, one that does not speaks against it, one that was not seen says
nothing. A family is named only if hardly anything speaks against it, enough was seen, and no other
family fits nearly as well; else the answer is: unknown.

>>> judge({"synack.ttl": "64"}) is None
True
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Final

WEIGHT_LEAST: Final = 6.0
"""Weight of fitting traits below which nothing is claimed: two strong traits and some others."""
FIT_LEAST: Final = 0.8
"""Share of the seen weight that must fit: a changed setting or two is no other system."""
LEAD_LEAST: Final = 2.0
"""Weight by which a family must lead: one strong trait more than any other."""
WEIGHT_FULL: Final = 16.0
"""Weight at which seeing more adds no confidence."""
CONFIDENCE_MAX: Final = 0.95
"""A stack can be set up to look like another."""


@dataclass(frozen=True)
class Generation:
    """A range of versions, and the traits that tell it from others of its family."""

    name: str
    traits: dict[str, str]


@dataclass(frozen=True)
class System:
    """A family of systems and the traits of its stack: name -> [pattern, weight]."""

    id: str
    family: str
    source: str
    """How its traits are known."""
    traits: dict[str, tuple[str, float]]
    example: dict[str, str]
    """Traits that it must be told by."""
    vendor: str = ""
    product: str = ""
    device: str = ""
    generations: tuple[Generation, ...] = ()

    @cached_property
    def _patterns(self) -> dict[str, tuple[re.Pattern[str], float]]:
        return {name: (re.compile(f"(?:{pattern})\\Z"), weight)
                for name, (pattern, weight) in self.traits.items()}

    def weigh(self, seen: Mapping[str, str]) -> Weighed:
        """Return what speaks for this system and what against it."""
        fits: dict[str, float] = {}
        against: dict[str, float] = {}
        for name, (pattern, weight) in self._patterns.items():
            if name in seen:
                (fits if pattern.match(seen[name]) else against)[name] = weight
        return Weighed(self, fits, against)

    def generation(self, seen: Mapping[str, str]) -> str:
        """Return the range of versions whose traits were all seen; empty if none."""
        for each in self.generations:
            if all(re.fullmatch(pattern, seen.get(name, ""))
                   for name, pattern in each.traits.items()):
                return each.name
        return ""


@dataclass(frozen=True)
class Weighed:
    """How well a system fits what was seen."""

    system: System
    fits: dict[str, float]
    against: dict[str, float]

    @property
    def lead(self) -> float:
        """What speaks for it, less what speaks against it."""
        return sum(self.fits.values()) - sum(self.against.values())

    @property
    def share(self) -> float:
        """The share of the weight that fits."""
        both = sum(self.fits.values()) + sum(self.against.values())
        return sum(self.fits.values()) / both if both else 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """The system that a stack looks like, and what it was told by."""

    family: str
    vendor: str
    product: str
    generation: str
    device: str
    confidence: float
    rule: str
    evidence: list[str] = field(default_factory=list)


def judge(seen: Mapping[str, str], systems: tuple[System, ...] | None = None) -> Judged | None:
    """Return the system that these traits tell, or None where they tell none."""
    ranked = sorted(
        (each.weigh(seen) for each in systems or builtin()), key=lambda w: w.lead, reverse=True)
    if not ranked:
        return None
    best = ranked[0]
    rival = next((each for each in ranked if each.system.family != best.system.family), None)
    weight = sum(best.fits.values())
    if weight < WEIGHT_LEAST or best.share < FIT_LEAST:
        return None
    if rival is not None and best.lead - rival.lead < LEAD_LEAST:
        return None
    system = best.system
    sure = min(CONFIDENCE_MAX, best.share * (0.5 + 0.5 * min(1.0, weight / WEIGHT_FULL)))
    return Judged(
        family=system.family, vendor=system.vendor, product=system.product,
        generation=system.generation(seen), device=system.device, confidence=round(sure, 2),
        rule=system.id, evidence=_evidence(best, seen),
    )


def _evidence(best: Weighed, seen: Mapping[str, str]) -> list[str]:
    by_weight = sorted(best.fits, key=lambda name: -best.fits[name])
    told = [f"{name} = {seen[name] or 'empty'}" for name in by_weight]
    return told + [f"against it: {name} = {seen[name] or 'empty'}" for name in best.against]


@cache
def builtin() -> tuple[System, ...]:
    """Return the families that come with Portulan."""
    return load((files("portulan.ident") / "data" / "stacks" / "families.toml").read_text("utf-8"))


def load(text: str) -> tuple[System, ...]:
    """Return the families of a TOML file."""
    import msgspec

    return msgspec.convert(tomllib.loads(text)["system"], tuple[System, ...])
