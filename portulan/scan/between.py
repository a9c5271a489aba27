"""What stands between us and a host: verdicts from how its ports answer, not only whether.

A scanner believes each answer by itself. Taken together answers tell more: a host where random
high ports are open has no such services, resets that come from nearer than the open ports' answers
are not the host's, a window of 0 is nobody's offer to talk. Each verdict is graded and names the
facts it follows from; what is merely unusual (a filter that drops) is told as a fact.

>>> distance(np.array([64, 63, 250], np.uint8)).tolist()
[0, 1, 5]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.verdict import State
from portulan.wire.frames import Frames
from portulan.wire.header import octets_at
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import locate
from portulan.wire.tcp import TCP

Column = NDArray[np.int64]

#: A window smaller than the smallest segment that every host takes (RFC 9293 section 3.7.1).
TINY_WINDOW: Final = 536
#: Open ports that make random high ports worth asking, if they are half of what was asked too.
MANY_OPEN: Final = 6
#: Of the control ports so many must be open: more than a few forwarded ports explain.
CONTROLS_LEAST: Final = 3
#: Fewer ports than these say nothing about a filter or a limiter.
SILENT_LEAST: Final = 20
LIMITED_LEAST: Final = 40
#: Share of silent ports that is told as "drops the rest".
SILENT_SHARE: Final = 0.9
#: Share of closed ports that took more than one try behind a limiter: loss that large would hit
#: open ports as well.
LATE_SHARE: Final = 0.5
#: Where senders begin to count their time to live down: Linux and BSD, Windows, routers.
FIRST_TTL: Final = np.array([64, 128, 255])
#: Ports and frames named in a sentence.
NAMED_MAX: Final = 6
_OPTION_OCTETS: Final = 4
_SECOND: Final = 1_000_000_000


class Grade(IntEnum):
    """How sure a verdict is."""

    FACT = 0
    """Counted, not concluded."""
    SUSPECTED = 1
    """One kind of fact, which has other explanations."""
    LIKELY = 2
    """Several facts that agree."""
    CERTAIN = 3
    """Facts that nothing else explains."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence about a host, its grade, and the facts that led there."""

    host: int
    grade: Grade
    what: str
    facts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The verdict as one sentence."""
        grade = "" if self.grade == Grade.FACT else f" ({self.grade.name.lower()})"
        return f"{self.what}{grade}: {'; '.join(self.facts)}"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a whole connection to a port went, with a few octets sent after the handshake."""

    port: int
    control: bool
    acknowledged: bool
    reset: bool
    window: int
    """What the peer offers after the data, octets; -1 if the kernel does not tell."""
    spoke: bool
    """Whether anything but a reset came after the handshake."""


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """TCP answers; one value an answer in each column, -1 where it is not known."""

    host: Column
    port: Column
    state: Column
    ttl: Column
    try_no: Column
    time_ns: Column
    window: Column
    options: Column
    """Length and first octets of the options: the same for all answers of one stack."""
    frame: Column
    """The reply's number in the evidence, from 1."""

    def __len__(self) -> int:
        return len(self.host)

    def take(self, chosen: NDArray[np.bool_] | Column) -> Facts:
        """Return the chosen rows."""
        return Facts(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def of(self, state: State) -> Facts:
        """Return the answers with this state."""
        return self.take(self.state == state)

    @classmethod
    def none(cls) -> Facts:
        """Return no answers."""
        return cls(*(np.empty(0, np.int64) for _ in fields(cls)))


def traits(frames: Frames) -> tuple[Column, Column]:
    """Return window and options of each frame's TCP segment, -1 where there is none."""
    at = locate(frames)
    window, options = np.full(len(frames), -1), np.full(len(frames), -1)
    row = at.of(IpProtocol.TCP)
    where = at.transport_offset[row]
    segment = TCP.gather(frames.buffer, where)
    window[row] = segment.window
    length = segment.data_offset.astype(np.int64) * 4 - TCP.size
    whole = where + TCP.size + _OPTION_OCTETS <= frames.offset[row] + frames.length[row]
    whole &= length >= _OPTION_OCTETS
    options[row] = length << 32
    octets = octets_at(frames.buffer, where[whole] + TCP.size, _OPTION_OCTETS)
    options[row[whole]] |= octets.copy().view(">u4")[:, 0].astype(np.int64)
    return window, options


def distance(ttl: NDArray[np.uint8] | Column) -> Column:
    """Return over how many routers answers came, by the time to live that is left."""
    first = FIRST_TTL[np.minimum(np.searchsorted(FIRST_TTL, ttl), len(FIRST_TTL) - 1)]
    away: Column = np.maximum(first - ttl.astype(np.int64), 0)
    return away


# -- whom to look at -------------------------------------------------------------------------


def suspects(facts: Facts, asked: Column) -> Column:
    """Return the hosts where random high ports are worth asking; `asked` counts ports by host."""
    accepts = facts.of(State.OPEN)
    count = np.bincount(accepts.host, minlength=len(asked))
    tiny = (accepts.window >= 0) & (accepts.window < TINY_WINDOW)
    odd = np.bincount(accepts.host[tiny], minlength=len(asked)) > 0
    return np.flatnonzero(((count >= MANY_OPEN) & (2 * count >= asked)) | odd)


def remarkable(facts: Facts, asked: Column) -> Column:
    """Return the hosts that a verdict may be about, without looking at each alone."""
    count = len(asked)
    firm = facts.take((facts.state == State.OPEN) | (facts.state == State.CLOSED))
    answered = np.bincount(firm.host, minlength=count)
    late = np.bincount(firm.host[firm.try_no > 1], minlength=count)
    quiet = (answered > 0) & (asked - answered >= SILENT_LEAST)
    routed = firm.take(firm.ttl > 0)
    least, most = np.full(count, 1 << 16), np.full(count, -1)
    np.minimum.at(least, routed.host, distance(routed.ttl))
    np.maximum.at(most, routed.host, distance(routed.ttl))
    return np.flatnonzero(quiet | (late >= SILENT_LEAST) | ((most >= 0) & (least != most)))


# -- verdicts about one host -----------------------------------------------------------------


def judge(
    seen: Facts, asked: int, *, controls: Facts | None = None, controls_asked: int = 0,
    proofs: Sequence[Proof] = (),
) -> list[Verdict]:
    """Return the verdicts about one host, the gravest first.

    `seen` are its answers to the `asked` ports of the scan, `controls` those of random high ports.
    """
    if not len(seen):
        return []
    for verdict in _pretence(seen, asked, controls or Facts.none(), controls_asked, proofs):
        return [verdict]  # nothing else can be concluded from answers that are not the host's
    return [*_forwarded(seen), *_nearer(seen), *_limited(seen, asked), *_dropped(seen, asked)]


def _pretence(
    seen: Facts, asked: int, controls: Facts, controls_asked: int, proofs: Sequence[Proof]
) -> Iterator[Verdict]:
    """Judge a host whose every port seems open: SYN proxy, tarpit, one program for all."""
    accepts, answering = seen.of(State.OPEN), controls.of(State.OPEN)
    if len(answering) < CONTROLS_LEAST:
        return
    every = _joined(accepts, answering)
    facts = [
        f"{len(accepts)} of {asked} ports asked and {len(answering)} of {controls_asked} random "
        f"high ports ({_listed(answering.port)}) accept",
        *_sameness(every), *_proof_facts(proofs), *_frames(answering),
    ]
    known = every.window[every.window >= 0]
    tiny = len(known) > 0 and int(known.max()) < TINY_WINDOW
    tried = [proof for proof in proofs if proof.control]
    held = [p for p in tried if p.spoke and not p.reset and 0 <= p.window < TINY_WINDOW]
    dead = [p for p in tried if not p.acknowledged and p not in held]
    alike = _alike(every)
    if held:
        sure = tiny and len(held) == len(tried)
        what, grade = "tarpit", Grade.CERTAIN if sure else Grade.LIKELY
    elif tried and len(dead) == len(tried):
        sure = len(dead) > 1 and (tiny or alike)
        what, grade = "SYN proxy", Grade.CERTAIN if sure else Grade.LIKELY
    elif tiny:
        what, grade = "SYN proxy or tarpit", Grade.LIKELY
    else:
        what, grade = "every port is open", Grade.LIKELY if tried else Grade.SUSPECTED
        facts.append("one program, or something before the host, accepts whatever is asked")
    yield Verdict(int(seen.host[0]), grade, what, tuple(facts))


def _proof_facts(proofs: Sequence[Proof]) -> Iterator[str]:
    tried = [proof for proof in proofs if proof.control]
    reset = sum(proof.reset for proof in tried)
    silent = sum(not (p.acknowledged or p.reset) for p in tried)
    small = sorted({p.window for p in tried if p.spoke and 0 <= p.window < TINY_WINDOW})
    if reset:
        yield f"{reset} of {len(tried)} connections to them are reset after the handshake"
    if silent:
        yield f"data on {silent} of {len(tried)} connections to them is never acknowledged"
    if small:
        yield f"the window stays at {_listed(small)} octets"
    if tried and not reset and not silent and not small:
        yield f"data on {len(tried)} connections to them is acknowledged"
    real = [p.port for p in proofs if not p.control and p.acknowledged and not p.reset
            and not 0 <= p.window < TINY_WINDOW]
    others = [p.port for p in proofs if not p.control and p.port not in real]
    if real and (reset or silent or small):
        yield f"of the ports asked, {_listed(real)} acknowledge data"
    if others and (reset or silent):
        yield f"{_listed(others)} do not"


def _forwarded(seen: Facts) -> Iterator[Verdict]:
    """Judge open ports whose answers come over different distances: they are several hosts."""
    accepts = seen.of(State.OPEN)
    accepts = accepts.take(accepts.ttl > 0)
    away = distance(accepts.ttl)
    steps = np.unique(away)
    if len(steps) < 2:
        return
    groups = [accepts.take(away == step) for step in steps.tolist()]
    parts = [
        f"{_ports(group)} over {step} router{'s' * (step != 1)} (TTL {_listed(group.ttl)}, window "
        f"{_listed(group.window)})" for group, step in zip(groups, steps.tolist(), strict=True)
    ]
    differ = sum(
        not set(getattr(groups[0], name).tolist()) & set(getattr(groups[-1], name).tolist())
        for name in ("window", "options")
    )
    first = FIRST_TTL[np.searchsorted(FIRST_TTL, accepts.ttl)]
    differ += len(np.unique(first)) > 1
    # One path may be longer than another by balancing; then the stacks are still the same.
    grade = (Grade.SUSPECTED, Grade.LIKELY, Grade.CERTAIN)[min(differ, 2)]
    if grade == Grade.SUSPECTED and int(steps[0]) == 0:
        grade = Grade.LIKELY  # the nearest is our neighbour: no path to balance over
    yield Verdict(int(seen.host[0]), grade, "ports are forwarded to another host",
                  ("; ".join(f"answers of {part}" for part in parts), *_frames(accepts)))


def _nearer(seen: Facts) -> Iterator[Verdict]:
    """Judge resets that come over another distance than open ports' answers."""
    accepts, resets = seen.of(State.OPEN), seen.of(State.CLOSED)
    accepts, resets = accepts.take(accepts.ttl > 0), resets.take(resets.ttl > 0)
    if not len(accepts) or not len(resets):
        return
    from_open = np.unique(distance(accepts.ttl))
    from_closed = np.unique(distance(resets.ttl))
    if len(from_open) > 1 or set(from_open.tolist()) & set(from_closed.tolist()):
        return
    hops = int(from_open[0] - from_closed.min())
    if hops > 0:
        what = "resets come from before the host"
        meaning = "a firewall resets for it, or its open ports are forwarded to another host"
    else:
        what = "resets come from behind the open ports"
        meaning = "open ports are answered before the host, by a proxy or a balancer"
    yield Verdict(
        int(seen.host[0]), Grade.LIKELY, what,
        (f"{len(resets)} resets with TTL {_listed(resets.ttl)}, open {_ports(accepts)} with TTL "
         f"{_listed(accepts.ttl)}: {abs(hops)} router{'s' * (abs(hops) != 1)} apart", meaning,
         *_frames(accepts)),
    )


def _limited(seen: Facts, asked: int) -> Iterator[Verdict]:
    """Judge resets that come late and evenly, while open ports answer at once."""
    resets, accepts = seen.of(State.CLOSED), seen.of(State.OPEN)
    silent = asked - len(np.unique(seen.port))
    late = int((resets.try_no > 1).sum())
    # Silence alone is what a filter makes; answers to later tries are what a limiter makes.
    if len(resets) < LIMITED_LEAST or late < LATE_SHARE * len(resets):
        return
    if not len(accepts) or (accepts.try_no > 1).mean() >= LATE_SHARE / 2:
        return
    span = int(resets.time_ns.max() - resets.time_ns.min())
    rate = f"; {len(resets) * _SECOND / span:,.0f} resets a second on average" if span > 0 else ""
    first = len(resets) - late
    yield Verdict(
        int(seen.host[0]), Grade.LIKELY, "resets are rate-limited",
        (f"{first} closed ports answered the first try, {late} a later one, "
         f"{silent} none{rate}",
         f"open {_ports(accepts)} answered at once, so the path does not lose that much"),
    )


def _dropped(seen: Facts, asked: int) -> Iterator[Verdict]:
    answered = len(np.unique(seen.port))
    silent = asked - answered
    if silent < SILENT_LEAST or silent < SILENT_SHARE * asked:
        return
    parts = [
        f"{len(group)} {word} ({_listed(np.unique(group.port))})"
        for word, group in (("open", seen.of(State.OPEN)), ("closed", seen.of(State.CLOSED)))
        if len(group)
    ]
    if parts:
        yield Verdict(int(seen.host[0]), Grade.FACT, "a filter drops the rest without a word",
                      (f"{silent} of {asked} ports silent, {', '.join(parts)}",))


# -- wording ---------------------------------------------------------------------------------


def _joined(one: Facts, other: Facts) -> Facts:
    return Facts(*(
        np.concatenate([getattr(one, each.name), getattr(other, each.name)])
        for each in fields(Facts)
    ))


def _alike(every: Facts) -> bool:
    """Whether window, TTL and options are known and the same in all answers."""
    return all(
        len(np.unique(column)) == 1 and int(column[0]) >= 0
        for column in (every.ttl, every.window, every.options)
    )


def _sameness(every: Facts) -> Iterator[str]:
    known = every.take(every.window >= 0)
    if len(known):
        same = " and the same options" if len(np.unique(known.options)) == 1 else ""
        yield f"with TTL {_listed(known.ttl)}, window {_listed(known.window)}{same}"


def _ports(group: Facts) -> str:
    port = np.unique(group.port)
    return f"port{'s' * (len(port) > 1)} {_listed(port)}"


def _listed(values: Column | Sequence[int]) -> str:
    every = np.unique(np.asarray(values)).tolist()
    more = f" and {len(every) - NAMED_MAX} more" if len(every) > NAMED_MAX else ""
    return ", ".join(map(str, every[:NAMED_MAX])) + more


def _frames(group: Facts) -> Iterator[str]:
    frame = group.frame[group.frame > 0]
    if len(frame):
        yield f"frame{'s' * (len(frame) > 1)} {_listed(frame)}"
