"""Hosts that limit how often they say no: so many ICMP errors or resets, then one every so often.

A closed port behind such a limiter is silent like a filtered one, unless it is asked when the host
may speak. Each limited host has a schedule: its limiter is taken for a token bucket whose period is
learned from replies only, and a port is asked when a token should be there. How replies are read:

- n answers in some time bound the period from above;
- a port that answers after it was silent was asked too early, which bounds it from below;
- ports silent just before another one answers are silent by themselves;
- where many are silent in a row, a port known to refuse (a sentinel) is asked again: if it is
  silent as well the host may not speak, and none of those questions counts.

Linux limits so (6 errors at once, then one a second to each asker; IPv6 by the length of the
route's prefix), and RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask every router to.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .bucket import PERIOD_MAX_NS, Bucket
from .loss import MISSED_AIM, PRIOR_TRIES, TRIES_MAX
from .verdict import Answers, State

#: What a limiter lets through or not; an open port's own words are not limited.
REFUSALS: Final = (State.CLOSED, State.UNFILTERED)
#: The first try of a schedule: passes asked before it.
TRY_FIRST: Final = 3
#: Tries while the host could speak, after which silence is believed.
SURE_TRIES: Final = 2
#: Silent ports in a row before a sentinel is asked, at first; doubled whenever it answers.
RUN_FIRST: Final = 4
RUN_MAX: Final = 256
#: Sentinels silent in a row, each after a longer wait, before a host is given up.
SENTINELS_LOST_MAX: Final = 12
#: While nothing is known, waits grow by this factor.
GROWTH: Final = 1.5
#: Tokens counted on after a pause: if wrong, as many questions are lost.
BURST_MAX: Final = 64
#: More lost than this share, and bounds proven by a silence are never quite believed.
LOSSY: Final = 0.02
#: Questions to one port at most, however they are judged.
ASKED_MAX: Final = 40
#: A question spends a token if it is answered; never count on less than this share of answers.
COST_MIN: Final = 0.05

Ask: TypeAlias = tuple[int, int]
"""A probe's index and the number of its try."""


@dataclass(slots=True)
class Question:
    """A probe under way, or one that was silent; what its silence says if it came too early."""

    probe: int
    try_no: int
    asked_ns: int
    sure: bool
    """The host could speak, by all that is proven."""
    early_ns: float
    cost: float


@dataclass(slots=True)
class Schedule:
    """One limited host: the ports it owes an answer, and when to ask each."""

    sentinel: int
    bucket: Bucket
    queue: deque[int]
    owed: set[int] = field(default_factory=set)
    _again: deque[int] = field(default_factory=deque)
    """Silent ones that may have been asked too early."""
    _tries: dict[int, int] = field(default_factory=dict)
    _sure: dict[int, int] = field(default_factory=dict)
    """How often a port was silent though the host could speak."""
    _lost: int = 0
    _early: dict[int, Question] = field(default_factory=dict)
    _flying: dict[int, Question] = field(default_factory=dict)
    _run: list[Question] = field(default_factory=list)
    """Questions without an answer since the last one that had one, though the host could speak."""
    _run_max: int = RUN_FIRST
    _hold_ns: int = 0
    _wants_sentinel: bool = False
    _sentinels_lost: int = 0
    _refusals: int = 2
    _silences: int = 0

    def __post_init__(self) -> None:
        self.owed.update(self.queue)

    @property
    def done(self) -> bool:
        """Whether every port is answered, or silent beyond doubt."""
        return not self.owed

    # -- asking ----------------------------------------------------------------------------

    def next_ns(self, wait_ns: int) -> int:
        """Return when (ns) `ask` has something to do."""
        due = min((each.asked_ns + wait_ns for each in self._flying.values()), default=None)
        if not self._may_ask():
            return due or 0
        ready = max(self._ready_at(), self._hold_ns)
        return ready if due is None else min(ready, due)

    def _ready_at(self) -> int:
        bucket = self.bucket
        if not bucket.known or (self._wants_sentinel and not bucket.proven):
            return 0
        tokens = 1.0 + sum(each.cost for each in self._flying.values())
        return bucket.ready_at(tokens, surely=bool(self._again) or self._wants_sentinel)

    def _may_ask(self) -> bool:
        if self._wants_sentinel:
            return not self._flying
        for queue in (self._again, self.queue):
            while queue and queue[0] not in self.owed:
                queue.popleft()
        if self.sentinel in self._flying or not (self._again or self.queue):
            return False
        room = max(self._run_max, self.bucket.burst) if self.bucket.known else 1
        return len(self._flying) < room

    def ask(self, now: int, wait_ns: int, room: int) -> list[Ask]:
        """Return what to ask now, after judging questions that had no answer for `wait_ns`."""
        for question in [q for q in self._flying.values() if q.asked_ns + wait_ns <= now]:
            del self._flying[question.probe]
            self._silent(question)
        if not self._flying and not self._may_ask():
            if self._run:
                self._wants_sentinel = True
            else:
                self._end()
        self.bucket.fill(now)
        asked: list[Ask] = []
        while len(asked) < room and not self.done and self._may_ask():
            if max(self._ready_at(), self._hold_ns) > now:
                break
            asked.append(self._ask(now))
        return asked

    def _ask(self, now: int) -> Ask:
        cost = self._share()
        if self._wants_sentinel:
            self._wants_sentinel = False
            probe, cost = self.sentinel, 1.0
        else:
            probe = (self._again or self.queue).popleft()
        asked = self._tries.get(probe, 0)
        self._tries[probe] = asked + 1
        try_no = TRY_FIRST + asked % (TRIES_MAX - TRY_FIRST + 1)
        taken = sum(each.cost for each in self._flying.values())
        sure = self.bucket.proven and self.bucket.floor - taken >= 1.0
        self._flying[probe] = Question(
            probe, try_no, now, sure, self.bucket.early(now, len(self._flying)), cost)
        return probe, try_no

    def _share(self) -> float:
        """Return the share of questions that spend a token, as far as it is known."""
        return max(self._refusals / (self._refusals + self._silences), COST_MIN)

    @property
    def _loss(self) -> float:
        """The share of questions that were lost though the host could speak."""
        return self._lost / (self._refusals + self._lost + PRIOR_TRIES)

    @property
    def _tries_needed(self) -> int:
        """Return the least k with refusals x loss^k <= `MISSED_AIM`."""
        if not self._lost:
            return SURE_TRIES
        needed = math.log(MISSED_AIM / self._refusals) / math.log(self._loss)
        return max(SURE_TRIES, math.ceil(needed))

    def _end(self) -> None:
        """Be done with what is silent beyond doubt, or ask it again: losses were seen since."""
        needed = self._tries_needed
        left = [probe for probe in self.owed if self._sure.get(probe, 0) < needed]
        if not left:
            self.owed.clear()
        for probe in left:
            self._queue_again(probe, self.queue)

    # -- hearing ---------------------------------------------------------------------------

    def refused(self, probe: int, try_no: int) -> None:
        """Take in that a probe was answered by what is limited."""
        question = self._flying.get(probe)
        if question is None or question.try_no != try_no:
            self._late(probe)
            return
        del self._flying[probe]
        self.owed.discard(probe)
        self._sentinels_lost = 0
        self._refusals += probe != self.sentinel
        lost = self._sure.pop(probe, 0) + any(each.probe == probe for each in self._run)
        if lost:  # the answer may have been lost on its way, and a token with it
            self._lost += lost
            self.bucket.lossy = self._loss > LOSSY
            self.bucket.spend()
        earlier = self._early.pop(probe, None)
        if earlier is not None:
            self.bucket.was_empty(earlier.asked_ns, earlier.early_ns)
        self.bucket.answered(question.asked_ns)
        self._believe_run(by_sentinel=probe == self.sentinel)

    def _late(self, probe: int) -> None:
        """Take in an answer that we waited for no longer: a token was spent after all."""
        if probe in self.owed:
            self.answered(probe)
            self.bucket.spend()

    def answered(self, probe: int) -> None:
        """Take in that a probe was answered by what is not limited."""
        self.owed.discard(probe)
        self._early.pop(probe, None)
        self._flying.pop(probe, None)

    def _believe_run(self, *, by_sentinel: bool) -> None:
        """Believe what was silent before an answer."""
        run, self._run = self._run, []
        if by_sentinel and run:
            self._run_max = min(2 * self._run_max, RUN_MAX)
        for each in run:
            probe = each.probe
            if probe not in self.owed:
                continue
            if each.sure:
                self._silences += 1
                self._early.pop(probe, None)
                self._sure[probe] = self._sure.get(probe, 0) + 1
            else:
                self._early[probe] = each
            if self._sure.get(probe, 0) < self._tries_needed:
                self._queue_again(probe, self.queue)

    def _queue_again(self, probe: int, queue: deque[int]) -> None:
        if self._tries[probe] >= ASKED_MAX:
            self.owed.discard(probe)
        elif probe in self.owed:
            queue.append(probe)

    def _silent(self, question: Question) -> None:
        probe = question.probe
        if probe == self.sentinel:
            self._sentinel_lost(question)
            return
        if question.sure or not self.bucket.proven:
            self._run.append(question)
            self._wants_sentinel |= not self.bucket.proven or len(self._run) >= self._run_max
        else:
            self._early[probe] = question
            self._queue_again(probe, self._again)

    def _sentinel_lost(self, question: Question) -> None:
        """Take in that the host may not speak now: what was silent before says nothing."""
        self._sentinels_lost += 1
        if self._sentinels_lost >= SENTINELS_LOST_MAX:
            self.owed.clear()
            return
        bucket = self.bucket
        if bucket.proven and self._sentinels_lost == 1 and self._lost:
            self._wants_sentinel = True  # it may be lost on the way
            return
        if bucket.proven:
            bucket.forget(question.asked_ns)
        else:
            bucket.was_empty(question.asked_ns, question.early_ns)
        bucket.level = 1.0
        run, self._run = self._run, []
        self._run_max = max(self._run_max // 2, RUN_FIRST)
        for each in run:
            self._early.setdefault(each.probe, each)
            self._queue_again(each.probe, self._again)
        waited = int((GROWTH - 1) * (question.asked_ns - bucket.answered_ns))
        self._hold_ns = question.asked_ns + min(waited, PERIOD_MAX_NS)


class Limits:
    """The schedules of all limited hosts."""

    def __init__(self) -> None:
        self._schedules: dict[int, Schedule] = {}
        self._host: dict[int, int] = {}
        self._wakes: list[tuple[int, int]] = []
        self._wake_of: dict[int, int] = {}
        self._wait_ns = 0
        self.owed = 0
        """How many probes wait for their answer."""
        self._asked: dict[Ask, int] = {}

    @property
    def hosts(self) -> NDArray[np.int64]:
        """The hosts that have a schedule, or had one."""
        return np.fromiter(self._schedules, np.int64, len(self._schedules))

    @property
    def any(self) -> bool:
        """Whether there is, or was, any schedule."""
        return bool(self._schedules)

    @property
    def unfinished(self) -> NDArray[np.int64]:
        """The hosts that still owe answers."""
        return np.array(
            [host for host, each in self._schedules.items() if not each.done], np.int64)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to ask."""
        return self.deadline() is None

    def owe(
        self, host: int, probes: NDArray[np.int64], *, sentinel: int, burst: int, since_ns: int,
        now: int,
    ) -> None:
        """Begin a schedule for a host whose last refusal answered a question of `since_ns`."""
        bucket = Bucket(since_ns, burst=min(max(burst, 1), BURST_MAX), _filled_ns=now)
        self._schedules[host] = Schedule(sentinel, bucket, deque(probes.tolist()))
        self.owed += len(self._schedules[host].owed)
        self._wake(host, now)

    def ask(self, now: int, wait_ns: int, room: int) -> list[Ask]:
        """Return what to ask now."""
        self._wait_ns = wait_ns
        asked: list[Ask] = []
        while (wake := self.deadline()) is not None and wake <= now and len(asked) < room:
            _, host = heapq.heappop(self._wakes)
            del self._wake_of[host]
            schedule = self._schedules[host]
            before = len(schedule.owed)
            asked += schedule.ask(now, wait_ns, room - len(asked))
            self.owed += len(schedule.owed) - before
            if not schedule.done:
                self._wake(host, max(schedule.next_ns(wait_ns), now + 1))
        for each in asked:
            self._asked[each] = now
        return asked

    def _wake(self, host: int, time_ns: int) -> None:
        """Look after a host at this time instead of any other."""
        if self._wake_of.get(host) != time_ns:
            self._wake_of[host] = time_ns
            heapq.heappush(self._wakes, (time_ns, host))

    def deadline(self) -> int | None:
        """Return when (ns) `ask` has something to do, None if never."""
        while self._wakes and self._wake_of.get(self._wakes[0][1]) != self._wakes[0][0]:
            heapq.heappop(self._wakes)  # it was put off, or brought forward
        return self._wakes[0][0] if self._wakes else None

    def hear(self, host: NDArray[np.int64], answers: Answers) -> None:
        """Take in answers, those of sentinels and duplicates included."""
        refusal = np.isin(answers.state, REFUSALS)
        rows = zip(host.tolist(), answers.index.tolist(), answers.try_no.tolist(),
                   refusal.tolist(), strict=True)
        for number, probe, try_no, refused in rows:
            schedule = self._schedules.get(number)
            if schedule is None or schedule.done:
                continue
            before = len(schedule.owed)
            if refused:
                schedule.refused(probe, try_no)
            else:
                schedule.answered(probe)
            self.owed += len(schedule.owed) - before
            self._wake(number, schedule.next_ns(self._wait_ns))

    def asked_at(self, probe: int, try_no: int) -> int:
        """Return when (ns) a question of a schedule was asked, -1 if it was not."""
        return self._asked.get((probe, try_no), -1)
