"""A host behind a token bucket, in virtual time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from portulan.scan.limits import Limits
from portulan.scan.verdict import Answers, State

MS = 1_000_000
SECOND = 1000 * MS


@dataclass
class Host:
    """Refuses as its bucket allows: `closed` ports do, `silent` ones never; loss goes both ways."""

    closed: int
    silent: int = 0
    period_ns: float = SECOND
    burst: int = 6
    rtt_ns: int = MS
    wait_ns: int = 100 * MS
    loss: float = 0.0
    level: float = 0.3
    seed: int = 1
    begin_ns: int = 200 * MS
    changes: dict[int, float] = field(default_factory=dict)
    """Time -> period from then on."""
    named: set[int] = field(default_factory=set)
    named_ns: int = 0
    end_ns: int = 0
    sent: int = 0
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    _at: float = 0.0

    @property
    def sentinel(self) -> int:
        return self.closed + self.silent

    def allows(self, now: float) -> bool:
        for time, period in self.changes.items():
            if now >= time:
                self.period_ns = period
        self.level = min(self.burst, self.level + (now - self._at) / self.period_ns)
        self._at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def run(self) -> Host:
        """Ask until the schedule has no more questions."""
        chance = random.Random(self.seed)
        order = np.arange(self.sentinel)
        np.random.default_rng(self.seed).shuffle(order)
        limits = Limits()
        now, flying = self.begin_ns, []
        limits.owe(
            0, order, sentinel=self.sentinel, burst=min(self.burst, 64), since_ns=0, now=now)
        while not limits.idle:
            for probe, try_no in limits.ask(now, self.wait_ns, 64):
                self.sent += 1
                self.asked.append((now, probe, try_no))
                refuses = probe < self.closed or probe == self.sentinel
                if chance.random() >= self.loss and refuses and self.allows(
                        now + self.rtt_ns / 2) and chance.random() >= self.loss:
                    flying.append((now + self.rtt_ns, probe, try_no))
            wake = limits.deadline()
            if wake is None:
                break
            now = max(now, min([wake, *(time for time, *_ in flying)]))
            due = [each for each in flying if each[0] <= now]
            flying = [each for each in flying if each[0] > now]
            if due:
                self._hear(limits, due, now)
        assert limits.owed == 0
        self.end_ns = now
        return self

    def _hear(self, limits, due, now):
        _, probe, tries = zip(*due, strict=True)
        limits.hear(np.zeros(len(due), np.int64), Answers.of(
            np.array(probe), state=State.CLOSED, reason=7, time_ns=now,
            try_no=np.array(tries, np.uint8)))
        if set(probe) - {self.sentinel}:
            self.named |= set(probe) - {self.sentinel}
            self.named_ns = now
