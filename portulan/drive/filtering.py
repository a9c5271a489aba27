"""Stray ACKs after a SYN scan: they tell a stateful filter from a stateless one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from portulan.drive.conductor import Conductor, Course
from portulan.drive.findings import Findings
from portulan.drive.step import Step
from portulan.record import AnyEvent, Note, Port
from portulan.scan.filtering import OPEN_ASKED, SILENT_ASKED, Stray, choose, judge_filter
from portulan.scan.kind import Kind
from portulan.scan.verdict import State
from portulan.target.address import address_texts
from portulan.target.space import TCP, Segment, Space

#: Hosts that are asked: in a net behind one filter, a sample says it.
HOSTS_MAX: Final = 256

MakeKind: TypeAlias = Callable[[Space], Kind]
Key: TypeAlias = tuple[str, int]
"""Address and port."""


class Filtering:
    """Asks hosts that have silent ports beside open ones, and yields verdicts as notes."""

    def __init__(self, conductor: Conductor, findings: Findings, make_kind: MakeKind) -> None:
        self._conductor, self._findings, self._make_kind = conductor, findings, make_kind
        self._asked: dict[Key, bool] = {}
        """Whether the port is open."""
        self._silent: dict[str, int] = {}
        self._reset: dict[Key, tuple[int, ...]] = {}

    def steps(self) -> Iterator[Step]:
        """Ask, and yield what that says."""
        space = Space(self._segments())
        if not space.size or self._conductor.stop.is_set():
            return
        kind, tally = self._make_kind(space), self._conductor.tally
        _, sweep = self._conductor.sweep("filtering", space)
        findings = self._conductor.findings(space, kind, every_state=True)
        up, opened = tally.hosts_up, tally.open
        make = self._conductor.on_links(sweep, kind)
        yield from self._conductor.run(Course(sweep, findings, make, amend=self._take))
        tally.hosts_up, tally.open = up, opened
        if not self._conductor.stop.is_set():
            yield Step(list(self._notes()))

    def _segments(self) -> Iterator[Segment]:
        """Yield the ports to ask of each host that has silent and open ones."""
        facts, space = self._findings.facts(), self._findings.space
        opened = facts.of(State.OPEN)
        for host in np.unique(opened.host)[:HOSTS_MAX].tolist():
            first, count = space.host_span(host)
            ports = space.probes(np.arange(first, first + count)).port.astype(np.int64)
            silent = np.setdiff1d(ports, facts.take(facts.host == host).port)
            if not len(silent):
                continue
            family, hi, lo = space.host_address(np.array([host]))
            text = address_texts(family, hi, lo)[0]
            asked = dict.fromkeys(choose(silent.tolist(), SILENT_ASKED), False)
            asked |= dict.fromkeys(
                choose(sorted(opened.take(opened.host == host).port.tolist()), OPEN_ASKED), True)
            self._silent[text] = len(silent)
            self._asked |= {(text, port): is_open for port, is_open in asked.items()}
            yield Segment(int(family[0]), int(hi[0]) << 64 | int(lo[0]), 1,
                          tuple(TCP << 16 | port for port in sorted(asked)))

    def _take(self, events: list[AnyEvent]) -> list[AnyEvent]:
        """Note resets; none of it is a finding of the scan."""
        for event in events:
            if isinstance(event, Port) and event.reason == "reset":
                self._reset[event.addr, event.port] = tuple(event.frames)
        return []

    def _notes(self) -> Iterator[Note]:
        for number, (text, silent) in enumerate(self._silent.items()):
            strays = [
                Stray(port, is_open, (addr, port) in self._reset,
                      self._reset.get((addr, port), ()))
                for (addr, port), is_open in self._asked.items() if addr == text
            ]
            verdict = judge_filter(number, silent, strays)
            if verdict is not None:
                yield Note(addr=text, text=verdict.text)
