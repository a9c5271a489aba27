"""Find out what systems hosts run: their stacks are asked, all at once, and judged."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import numpy as np

from portulan.drive.clock import Clock
from portulan.drive.conductor import Conductor, Course, Runner
from portulan.drive.findings import Findings
from portulan.drive.packets import Found, Report
from portulan.drive.step import Step
from portulan.ident.systems import Judged, judge
from portulan.record import AnyEvent, Os
from portulan.scan.stack import ONCE, SEQUENCE, Doors, StackKind, Test, questions
from portulan.scan.stack_traits import Reply, traits
from portulan.scan.verdict import State
from portulan.target.address import address_texts
from portulan.target.space import Segment, Space
from portulan.wire.frames import Frames

#: Between two of its acceptances a host's clock and counters must have moved.
BETWEEN_NS: Final = 110_000_000
#: Source ports: above what Linux gives to connections, a block for each run.
SPORT_FIRST: Final = 61_000
BLOCKS: Final = (65_535 - SPORT_FIRST) // StackKind.SPORTS
#: Ports where hardly anybody listens.
UNUSED_FIRST, UNUSED_COUNT = 40_000, 9_000


@dataclass(slots=True)
class Subject:
    """A host that is asked, and what it answered, by test."""

    family: int
    address: int
    text: str
    open: int
    """An open TCP port, 0 if none is known."""
    closed: int
    """A closed TCP port, or one that most likely is."""
    asked: tuple[int, ...]
    """Keys of its probes in a space."""
    replies: dict[int, Reply]
    interface: str = ""


class Systems:
    """Asks the hosts of a port scan that are up, and says what they seem to run."""

    def __init__(self, conductor: Conductor, findings: Iterable[Findings]) -> None:
        self._conductor, self._findings = conductor, tuple(findings)
        self._sport = SPORT_FIRST + StackKind.SPORTS * secrets.randbelow(BLOCKS)
        self._unused = UNUSED_FIRST + secrets.randbelow(UNUSED_COUNT)

    def steps(self) -> Iterator[Step]:
        """Ask round by round, and yield an event for each host whose system shows."""
        subjects = sorted(self._subjects(), key=lambda each: (each.family, each.address))
        due = 0
        for number, test in enumerate(SEQUENCE):
            if (left := due - Clock.now()) > 0:
                self._conductor.stop.wait(left / 1e9)
            if self._conductor.stop.is_set():
                return
            due = Clock.now() + BETWEEN_NS
            yield from self._ask(subjects, {test, *(ONCE if number == 0 else ())})
        yield Step([event for each in subjects if (event := self._event(each)) is not None])

    def _event(self, subject: Subject) -> AnyEvent | None:
        asked = [key & 0xFFFF for key in subject.asked]
        found: Judged | None = judge(traits(asked, subject.replies))
        if found is None:
            return None
        replies = sorted(subject.replies.values(), key=lambda each: each.time_ns)
        frames = Frames.of(
            [each.octets for each in replies], time_ns=[each.time_ns for each in replies],
            link_type=replies[0].link_type)
        return Os(
            addr=subject.text, family=found.family, vendor=found.vendor, product=found.product,
            generation=found.generation, confidence=found.confidence, evidence=found.evidence,
            frames=self._conductor.prove(frames, subject.interface))

    # -- whom ------------------------------------------------------------------------------

    def _subjects(self) -> Iterator[Subject]:
        ports: dict[str, dict[int, int]] = defaultdict(dict)
        up: dict[str, None] = {}
        for findings in self._findings:
            facts = findings.facts()
            hosts = address_texts(*findings.space.host_address(facts.host))
            for text, state, port in zip(
                hosts, facts.state.tolist(), facts.port.tolist(), strict=True
            ):
                ports[text].setdefault(state, port)
            up |= dict.fromkeys(findings.up())
        for text in up:
            address = ip_address(text)
            opened = ports[text].get(State.OPEN, 0)
            yield Subject(
                address.version, int(address), text, opened,
                ports[text].get(State.CLOSED, self._unused),
                questions(family=address.version, is_open=bool(opened)), {})

    # -- asking ----------------------------------------------------------------------------

    def _ask(self, subjects: Sequence[Subject], tests: set[Test]) -> Iterator[Step]:
        chosen = [
            (each, keys) for each in subjects
            if (keys := tuple(key for key in each.asked if key & 0xFFFF in tests))]
        if not chosen:
            return
        space = Space(Segment(each.family, each.address, 1, keys) for each, keys in chosen)
        some = [each for each, _ in chosen]
        doors = Doors(
            np.array([each.open for each in some], np.uint16),
            np.array([each.closed for each in some], np.uint16),
            np.full(len(some), self._unused, np.uint16))
        conductor, up = self._conductor, self._conductor.tally.hosts_up
        kind = StackKind(
            space, conductor.paths(space), key=conductor.key, sport=self._sport, doors=doors)
        _, sweep = conductor.sweep("systems", space)
        heard = _Heard(space, some, conductor.on_links(sweep, kind))
        yield from conductor.run(Course(sweep, None, heard.runner))
        conductor.tally.hosts_up = up


class _Heard:
    """Keeps the replies of a round before they are told on."""

    def __init__(
        self, space: Space, subjects: Sequence[Subject], make: Callable[[Report], Runner]
    ) -> None:
        self._space, self._subjects, self._make = space, subjects, make

    def runner(self, report: Report) -> Runner:
        """Return the runner, whose news pass here first."""
        def hear(found: Found) -> None:
            self._keep(found)
            report(found)
        return self._make(hear)

    def _keep(self, found: Found) -> None:
        answers = found.answers
        tests = self._space.probes(answers.index).port.tolist()
        hosts = self._space.host_of(answers.index).tolist()
        for row, test, host in zip(answers.row.tolist(), tests, hosts, strict=True):
            frames = found.frames
            at = int(frames.offset[row])
            octets = frames.buffer[at : at + int(frames.length[row])].tobytes()
            subject = self._subjects[host]
            subject.interface = found.interface
            subject.replies.setdefault(
                test, Reply(octets, frames.link_type, int(frames.time_ns[row])))
