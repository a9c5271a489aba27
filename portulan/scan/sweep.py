"""The machine that asks: which probe leaves when, how often, and what is known so far.

A sweep walks the index space in the order of a keyed permutation, in passes: the first pass asks
everything, each later one only what is still unanswered and overdue. It emits probe *indices and
tries*; a probe kind turns them into frames, a socket driver into `connect()` calls.

Silence to a first probe is not loss: a second try is always made, deeper ones only where answers
to retries have shown that the way to this host loses packets (`loss.py`). A late answer counts
whenever it comes.

Contract: call `emit` until it returns None, then wait until `deadline(now)` or until something
arrives, `feed` it, and begin again. Spurious calls are harmless. All times are ns of one clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.target.bitmap import Bitmap
from portulan.target.permutation import Permutation, Shard

from . import recall
from .audit import Audit
from .capacity import Capacity
from .loss import TRIES_LEAST, Loss
from .loss import TRIES_MAX as TRIES_MAX  # noqa: PLC0414 - others take it from here
from .pace import Pace, RoundTrip
from .sentlog import SentLog
from .spacing import Spacing
from .verdict import NEXT_HOLD, Answers, Hold, State
from .watch import Span, Watch

#: Positions permuted at once: large enough for vector speed, small enough for the cache.
CHUNK: Final = 16_384
#: Whose answers are worth asking for again, to see whether they still come.
SENTINELS: Final = (State.OPEN, State.CLOSED, State.UNFILTERED)
#: The first position of an emission that is no stretch of a pass.
NO_STRETCH: Final = -1
#: The try that sentinels of the capacity are asked with: passes hardly ever get there.
SENTINEL_TRY: Final = TRIES_MAX


@dataclass(frozen=True, slots=True, eq=False)
class Emission:
    """Probes to send now: their indices and the number of the try, from 1."""

    index: NDArray[np.int64]
    try_no: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a killed sweep takes up again: every earlier probe is answered or overdue."""

    pass_no: int
    position: int


class Sweep:
    """Ask every index in 0..size-1 of a shard, again where nothing answers."""

    def __init__(
        self, size: int, *, seed: int, shard: Shard | None = None, rate_pps: float = 0.0,
        retries: int = 10, round_trip: RoundTrip | None = None,
        hosts: int = 1, host_of: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
        audit: bool = False, recall_least: float = 0.0,
        span_of: Span | None = None, doubt: float = 0.0,
        capacity: Capacity | None = None, sentinels: Sequence[State] = SENTINELS,
        host_timeout_ns: int = 0, spacing_ns: int = 0,
    ) -> None:
        self._size = size
        self._order = Permutation(max(size, 1), seed)
        self._shard = shard or Shard(1, 1)
        self._total = self._shard.size(size)
        self.pace = Pace(rate_pps)
        self.round_trip = round_trip or RoundTrip()
        self.tries_max = min(1 + retries, TRIES_MAX)
        self._answered = Bitmap(max(size, 1))
        self._answers = 0
        self._soft = np.empty(0, np.int64)
        self._logs: list[SentLog] = [SentLog()]
        self._cursor = self._stretch_first = 0
        self._pass_base = 1
        self.loss = Loss(hosts)
        self._host_of = host_of or np.zeros_like
        self._resumed_at = 0
        self._recall_least = recall_least
        self._audits = (audit or recall_least > 0) and self.tries_max > 1
        self._audit: Audit | None = None
        self._depth_least = 0
        self.capacity, self._sentinels = capacity, np.isin(np.arange(len(State)), sentinels)
        # Who says how slow (`spacing_ns`) knows why.
        watched = self.tries_max > 1 and not spacing_ns
        self.watch = Watch(
            hosts, span_of if watched else None, doubt, shards=self._shard.count)
        self._scheduled: list[Emission] = []
        self._host_timeout_ns, self._ends_ns = host_timeout_ns, 0
        self._spacing = Spacing(hosts, size, spacing_ns) if spacing_ns else None
        self.timed_out = np.empty(0, np.int64)
        """Hosts given up before all was asked."""
        self._placed = (np.empty(0, np.int64), np.empty(0, np.int64))
        self._chunk: tuple[NDArray[np.int64], NDArray[np.int64], int] = (
            np.empty(0, np.int64), np.empty(0, np.int64), 0,
        )
        self.sent = 0
        self.done = self._total == 0

    # -- what is known ---------------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many probes a first pass has."""
        return self._total

    @property
    def pass_no(self) -> int:
        """The pass under way, from 1."""
        return self._pass_base + len(self._logs) - 1 - bool(self._audit)

    @property
    def answered(self) -> int:
        """How many probes are answered."""
        return self._answers

    def is_answered(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which probes are answered."""
        return self._answered.get(index)

    @property
    def tries_allowed(self) -> int:
        """How deep tries go now, at the host that deserves the most."""
        return min(self.tries_max, max(self.loss.deepest, self._depth_least))

    @property
    def missed(self) -> recall.Estimate | None:
        """How many probes that answer were not heard; None before the end, and if not asked for."""
        if not self._audits or not self.done:
            return None
        return self._estimate()

    def _estimate(self) -> recall.Estimate:
        silent = self._total - self._answers
        tally = self._audit.tally(silent) if self._audit else recall.Tally(silent)
        return recall.estimate(self.loss.by_try, self.loss.at_the_end(self.pass_no), tally)

    @property
    def progress(self) -> float:
        """How much is done, 0..1: answered probes plus what silent ones have behind them.

        What schedules have to ask has nothing behind it: it takes the most time of all.
        """
        if not self._total:
            return 1.0
        silent = self._total - self._answers - self.watch.limits.owed
        passes = max(2, self.tries_allowed)
        behind = (self.pass_no - 1 + self._cursor / self._total) / passes
        return min(1.0, (self._answers + silent * min(1.0, behind)) / self._total)

    def mark(self, now: int) -> Mark:
        """Return where to take up again if we were killed now."""
        horizon = now - self.round_trip.wait_ns
        # An audit's probes are not passes: whoever takes up the sweep stands at the last one's end.
        for number, log in enumerate(self._logs[: -1 if self._audit else None]):
            overdue = max(log.overdue_until(horizon), 0 if number else self._resumed_at)
            if overdue < self._total:
                return Mark(self._pass_base + number, overdue)
        return Mark(self.pass_no, self._total if self._audit else self._cursor)

    # -- taking up again -------------------------------------------------------------------

    def resume(self, answers: Answers, mark: Mark) -> None:
        """Take up a killed sweep before the first `emit`."""
        self._settle(answers.index)
        soft = answers.index[answers.soft]
        self._soft = np.unique(soft)
        self._deepen(answers)
        self._pass_base = min(mark.pass_no, self.tries_max)
        self._cursor = self._resumed_at = mark.position
        self._learn_places(answers)
        # Asking the audit anew after every kill would cost more than its estimate is worth.
        self._audits = self._recall_least > 0
        self.done = self.done or self._answers >= self._total

    # -- asking ----------------------------------------------------------------------------

    def emit(self, now: int, room: int) -> Emission | None:
        """Return up to `room` probes to send at `now`, None if none may leave yet."""
        if self.done or self._out_of_time(now):
            return None
        if self.capacity is not None:
            self.pace.rate_pps = self.capacity.rate_pps
        room = self.pace.allowance(now, room)
        if room > 0 and self._ask_limited(now, room):
            return self._scheduled.pop()
        if room > 0 and self._ask_sentinels(now):
            room = max(room // 2, 1)
        while room > 0 and not self.done:
            index, position, at = self._chunk
            if at < len(index) and self._spacing is not None:
                return self._emit_spaced(self._spacing, now, room)
            if at < len(index):
                end = min(at + room, len(index))
                self._chunk = (index, position, end)
                last = self._cursor if end == len(index) else int(position[end])
                return Emission(index[at:end], self._try_no, int(position[at]), last)
            if not self._load(now) and not self._next_pass(now):
                return None
        return None

    def _emit_spaced(self, spacing: Spacing, now: int, room: int) -> Emission | None:
        """Return probes of the stretch under way to hosts that were not asked for long enough."""
        index, position, _ = self._chunk
        row = spacing.ready(self._host_of(index), now)[:room]
        if not len(row):
            return None
        spacing.ask(self._host_of(index[row]), now)
        left = np.ones(len(index), np.bool_)
        left[row] = False
        self._chunk = (index[left], position[left], 0)
        if not left.any():
            self._logs[-1].add(self._stretch_first, self._cursor, now, now)
        return Emission(index[row], self._try_no, NO_STRETCH, NO_STRETCH)

    @property
    def _try_no(self) -> int:
        return self.pass_no if self._audit is None else self._audit.try_no

    def _out_of_time(self, now: int) -> bool:
        """Give up what is not done when the hosts' time is over; all are asked side by side."""
        if not self._host_timeout_ns:
            return False
        self._ends_ns = self._ends_ns or now + self._host_timeout_ns
        if now >= self._ends_ns:
            self.timed_out = self.watch.limits.unfinished
            if self._cursor < self._total or self.pass_no < self.tries_allowed:
                self.timed_out = np.union1d(self.timed_out, self._silent_hosts())
            self.done = True
        return self.done

    def _silent_hosts(self) -> NDArray[np.int64]:
        """Return the hosts with probes of ours that nobody answered."""
        hosts = [np.empty(0, np.int64)]
        for at in range(0, self._size, CHUNK):
            index = self._answered.unset(at, min(at + CHUNK, self._size))
            hosts.append(np.unique(self._host_of(index[self.ours(index)])))
        return np.unique(np.concatenate(hosts))

    def _load(self, now: int) -> bool:
        """Fetch the next stretch of the order that may be asked; False if there is none now."""
        limit = self._total if len(self._logs) == 1 else self._overdue(self._logs[-2], now)
        chunk = CHUNK if self._spacing is None else self._spacing.stretch
        end = min(self._cursor + chunk, limit)
        if self._cursor >= end:
            return False
        position = np.arange(self._cursor, end, dtype=np.int64)
        index = self._order.forward(position * self._shard.count + (self._shard.number - 1))
        if self._answers:
            open_ = ~self._answered.get(index)
            index, position = index[open_], position[open_]
        if self.pass_no > TRIES_LEAST and len(index):
            worth = self._worth(self._host_of(index))
            index, position = index[worth], position[worth]
        if not len(index):
            # Nothing to ask here: the log keeps the stretch, so that later passes see it as behind.
            self._logs[-1].add(self._cursor, end, now, now)
        self._stretch_first, self._cursor = self._cursor, end
        self._chunk = (index, position, 0)
        return True

    def _worth(self, host: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell of which hosts silent probes are asked in this pass."""
        worth: NDArray[np.bool_] = np.ones(len(host), np.bool_)
        if self.pass_no > self._depth_least:
            worth = self.loss.depth(host) >= self.pass_no
        return worth & self.watch.free(host)

    def _next_pass(self, now: int) -> bool:
        if self._cursor < self._total:
            return False
        if self._audit is not None:
            return self._end_audit(now)
        self._look_for_limits(now)
        if self.pass_no >= self.tries_allowed:
            if not self.watch.limits.idle:
                return False
            if self._audits:
                return self._begin_audit()
            self.done = self._overdue(self._logs[-1], now) >= self._total
            return False
        self._logs.append(SentLog())
        self._cursor = 0
        return self._load(now)

    def _begin_audit(self) -> bool:
        """Ask sentinels and some silent probes once more, right behind the last pass."""
        count = min(self._total, recall.PLACES_MAX)
        position = np.arange(count, dtype=np.int64) * self._total // count
        index = self._order.forward(position * self._shard.count + (self._shard.number - 1))
        answered = self._answered.get(index)
        free = self.watch.free(self._host_of(index))  # silence of the others is no loss
        position, index, answered = position[free], index[free], answered[free]
        silent, sentinels = recall.choose(answered, answered & ~np.isin(index, self._soft))
        self._audit = Audit(
            min(self.pass_no + 1, TRIES_MAX), np.sort(index[silent]), np.sort(index[sentinels]),
        )
        self._logs.append(SentLog())
        chosen = np.sort(np.concatenate([silent, sentinels]))
        self._chunk = (index[chosen], position[chosen], 0)
        return len(chosen) > 0

    def _end_audit(self, now: int) -> bool:
        """Be done with the audit when it is overdue; False unless there is more to ask."""
        if self._overdue(self._logs[-1], now) < self._total:
            return False
        short = self._recall_least and not self._estimate().met(
            self._answers, self._recall_least)
        if not short or self.pass_no >= self.tries_max:
            self.done = True
            return False
        # The audit's try has left: the next pass takes the next number, so that logs stay in order.
        self._audit = None
        self._depth_least = min(self.pass_no + 1, self.tries_max)
        if self.pass_no >= self._depth_least:
            self.done = True
            return False
        self._logs.append(SentLog())
        self._cursor = 0
        return self._load(now)

    def _overdue(self, log: SentLog, now: int) -> int:
        """Return the position before which `log` waits for nothing any more.

        A log without a row is that of a pass taken up at its very end.
        """
        if not len(log):
            return self._total
        return log.overdue_until(now - self.round_trip.wait_ns)

    def sent_batch(self, emission: Emission, start_ns: int, end_ns: int) -> None:
        """Note that an emission left between the two times."""
        if emission.first != NO_STRETCH:
            self._logs[-1].add(emission.first, emission.end, start_ns, end_ns)
        elif self._spacing is not None:
            self._spacing.left(emission.index, emission.try_no, start_ns)
        self.sent += len(emission.index)
        self.pace.spend(len(emission.index))

    def deadline(self, now: int) -> int:
        """Return when (ns) `emit` should be asked again if nothing arrives."""
        if self.done:
            return now
        wake, limited = self._pass_deadline(now), self.watch.limits.deadline()
        if limited is not None:
            wake = min(wake, max(limited, self.pace.ready_at(now)))
        if self._ends_ns:
            wake = min(wake, self._ends_ns)
        return max(now, wake)

    def _pass_deadline(self, now: int) -> int:
        if self._spacing is not None and len(self._chunk[0]):
            ready = self._spacing.ready_at(self._host_of(self._chunk[0]))
            return max(ready, self.pace.ready_at(now))
        if self._chunk[2] < len(self._chunk[0]) or (
            len(self._logs) == 1 and self._cursor < self._total
        ):
            return self.pace.ready_at(now)
        wait = self.round_trip.wait_ns
        if self._audit is not None:
            left = self._logs[-1].last()
        elif self._cursor < self._total:
            left = self._logs[-2].next_after(now - wait)
        elif self.pass_no < self.tries_allowed:
            left = self._logs[-1].next_after(now - wait)
        else:
            left = self._logs[-1].last()
        if not self.watch.limits.idle and (left is None or left + wait <= now):
            return now + wait  # the passes are over: what is left to do is the schedules'
        return self.pace.ready_at(now) if left is None else max(now, left + wait)

    # -- limited hosts, and the path -------------------------------------------------------

    def _look_for_limits(self, now: int) -> None:
        """Give hosts that stopped refusing a schedule; they take part in no further pass."""
        if self.pass_no >= TRIES_LEAST:
            self.loss.forget(self.watch.look(
                self.pass_no, now, silent_hosts=self._silent_hosts, silent_of=self._silent_of))

    def _silent_of(self, first: int, count: int) -> NDArray[np.int64]:
        """Return those of `count` probes that are ours and silent, in the order of sending."""
        index = self._answered.unset(first, first + count)
        index = index[self.ours(index)]
        return index[np.argsort(self._position(index))]

    def _ask_limited(self, now: int, room: int) -> bool:
        """Fetch what schedules ask now; tell whether there is anything."""
        if not self._scheduled:
            self._scheduled = [
                Emission(index, try_no, NO_STRETCH, NO_STRETCH)
                for index, try_no in self.watch.ask(now, self.round_trip.wait_ns, room)
            ]
        return bool(self._scheduled)

    def _ask_sentinels(self, now: int) -> bool:
        """Have sentinels asked in the midst of others, while others are asked."""
        if self.capacity is None or self._chunk[2] >= len(self._chunk[0]):
            return False
        chosen = self.capacity.choose(now, self.round_trip.wait_ns, self.sent)
        if len(chosen):
            self._scheduled.append(Emission(chosen, SENTINEL_TRY, NO_STRETCH, NO_STRETCH))
        return len(chosen) > 0

    def _learn_places(self, answers: Answers) -> None:
        """Note where in the passes refusals came."""
        if self.watch.on:
            place = (self._position(answers.index) // self._shard.count + 1) / self._total
            self.watch.learn(self._host_of(answers.index), place, answers)

    # -- learning --------------------------------------------------------------------------

    def feed(self, answers: Answers) -> tuple[Answers, NDArray[np.int64]]:
        """Take answers in; return those that are news, and their round trips in ns (-1 unknown)."""
        if not len(answers):
            return answers, np.empty(0, np.int64)
        answers = answers.take(self.ours(answers.index))
        if self._audit is not None:
            self._audit.hear(answers, self._answered)
        if self.watch.limits.any:
            self.watch.limits.hear(self._host_of(answers.index), answers)
        if self.capacity is not None:
            self.capacity.hear(answers.index[answers.try_no == SENTINEL_TRY])
        # A firm answer goes before a soft one for the same probe in the same batch.
        _, first = np.unique(answers.index * 2 + answers.soft, return_index=True)
        answers = answers.take(first)
        _, first = np.unique(answers.index, return_index=True)
        answers = answers.take(first)
        answers = answers.take(self._news(answers))
        if not len(answers):
            return answers, np.empty(0, np.int64)
        self._settle(answers.index)
        self._soft = np.union1d(
            self._soft[~np.isin(self._soft, answers.index[~answers.soft])],
            answers.index[answers.soft],
        ) if len(self._soft) or answers.soft.any() else self._soft
        rtt = self._round_trips(answers)
        self.round_trip.feed(rtt[(rtt >= 0) & ~answers.soft])
        self._learn_places(answers)
        self._deepen(answers)
        if self.capacity is not None:
            known = answers.index[~answers.soft & self._sentinels[answers.state]]
            self.capacity.know(known[self.watch.free(self._host_of(known))])
        self.done = self.done or self._answers >= self._total
        return answers, rtt

    def _deepen(self, answers: Answers) -> None:
        """Learn what the way to each host loses.

        ICMP errors don't count: routers limit their rate, so a late one shows no loss, and all
        it would bring is another filtered port.
        """
        firm = answers.take(~answers.soft)
        host = self._host_of(firm.index)
        free = self.watch.free(host)
        self.loss.learn(host[free], firm.try_no[free])

    def _news(self, answers: Answers) -> NDArray[np.bool_]:
        held = np.where(self._answered.get(answers.index), Hold.FIRM, Hold.NONE)
        if len(self._soft):
            held[np.isin(answers.index, self._soft)] = Hold.SOFT
        arrives = np.where(answers.soft, Hold.SOFT, Hold.FIRM)
        after = np.asarray(NEXT_HOLD, np.int64)[held, arrives]
        news: NDArray[np.bool_] = after != held
        return news

    def settle(self, index: NDArray[np.int64]) -> None:
        """Ask these probes no more (their host is known to be up, or ran out of time)."""
        self._settle(index)
        self.done = self.done or self._answers >= self._total

    def _position(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of probes in the order; those of one batch are asked for repeatedly."""
        if self._placed[0] is not index:
            self._placed = index, self._order.inverse(index)
        return self._placed[1]

    def ours(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell our shard's probes from others', whose replies reach the same machine."""
        if self._shard.count == 1:
            return np.ones(len(index), np.bool_)
        ours: NDArray[np.bool_] = (
            self._position(index) % self._shard.count == self._shard.number - 1
        )
        return ours

    def _settle(self, index: NDArray[np.int64]) -> None:
        index = index[self.ours(index)]
        index = index[~self._answered.get(index)]
        self._answers += len(np.unique(index))
        self._answered.set(index)

    def _round_trips(self, answers: Answers) -> NDArray[np.int64]:
        sent = self.sent_at(answers.index, answers.try_no)
        return np.where(sent >= 0, np.maximum(answers.time_ns - sent, 0), -1)

    def sent_at(self, index: NDArray[np.int64], try_no: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return when (ns) each probe's given try left, -1 where unknown."""
        if self._spacing is not None:
            return self._spacing.left_at(index, try_no)
        position = self._position(index) // self._shard.count
        time = np.full(len(index), -1, np.int64)
        for number, log in enumerate(self._logs):
            mine = try_no == self._pass_base + number
            if mine.any():
                time[mine] = log.time_of(position[mine])
        if self.watch.limits.any:
            asked = [self.watch.limits.asked_at(*each) for each in zip(
                index.tolist(), try_no.tolist(), strict=True)]
            time = np.where(np.array(asked, np.int64) >= 0, asked, time)
        return time
