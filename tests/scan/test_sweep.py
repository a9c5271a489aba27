import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.scan.pace import RoundTrip
from portulan.scan.sweep import Mark, Sweep
from portulan.scan.verdict import Answers, State
from portulan.target.permutation import Shard

MS = 1_000_000


class World:
    """Virtual time: probes sent are answered by `reply(index, try_no)` after `rtt_ms`, or lost."""

    def __init__(self, sweep, reply, *, rtt_ms=10, room=7, send_ns=1000):
        self.sweep, self.reply, self.rtt_ns, self.room = sweep, reply, rtt_ms * MS, room
        self.send_ns = send_ns
        self.now = 0
        self.flying = []
        self.sent = []
        self.news = []

    def step(self):
        while (emission := self.sweep.emit(self.now, self.room)) is not None:
            start = self.now
            self.now += self.send_ns
            self.sweep.sent_batch(emission, start, self.now)
            for index in emission.index.tolist():
                self.sent.append((index, emission.try_no, start))
                if (state := self.reply(index, emission.try_no)) is not None:
                    self.flying.append((start + self.rtt_ns, index, emission.try_no, state))
            self.deliver()
        if self.sweep.done:
            return
        wake = self.sweep.deadline(self.now)
        if self.flying:
            wake = min(wake, min(self.flying)[0])
        assert wake < self.now + 400_000 * MS
        self.now = max(self.now, wake)
        self.deliver()

    def deliver(self):
        due = sorted(item for item in self.flying if item[0] <= self.now)
        self.flying = [item for item in self.flying if item[0] > self.now]
        if due:
            time, index, tries, state = zip(*due, strict=True)
            fresh, rtt = self.sweep.feed(Answers.of(
                np.array(index), state=np.array(state, np.uint8), reason=1,
                time_ns=np.array(time), try_no=np.array(tries, np.uint8),
            ))
            columns = (fresh.index.tolist(), fresh.state.tolist(), rtt.tolist())
            self.news += list(zip(*columns, strict=True))

    def run(self, steps=100_000):
        for _ in range(steps):
            if self.sweep.done:
                return self
            self.step()
        raise AssertionError("the sweep does not end")


def test_all_answer_ends_after_one_pass_without_waiting():
    world = World(Sweep(1000, seed=5), lambda index, try_no: State.OPEN).run()
    assert sorted(index for index, *_ in world.news) == list(range(1000))
    assert len(world.sent) == 1000
    assert world.now < 100 * MS


def test_round_trip_is_measured_per_probe():
    world = World(Sweep(50, seed=5), lambda index, try_no: State.OPEN, rtt_ms=30).run()
    assert {round(rtt / MS) for _, _, rtt in world.news} == {30}


def test_silence_is_asked_twice_then_left():
    world = World(Sweep(20, seed=1), lambda index, try_no: None).run()
    assert sorted(index for index, *_ in world.sent) == sorted(list(range(20)) * 2)
    first = {index: time for index, try_no, time in world.sent if try_no == 1}
    second = {index: time for index, try_no, time in world.sent if try_no == 2}
    assert min(second[index] - first[index] for index in range(20)) >= 1000 * MS


def test_answer_to_a_retry_deepens_tries_by_one():
    def reply(index, try_no):
        return State.OPEN if index == 3 and try_no == 2 else None

    world = World(Sweep(10, seed=1), reply).run()
    tries = {i: sum(index == i for index, *_ in world.sent) for i in range(10)}
    assert tries.pop(3) == 2
    assert set(tries.values()) == {3}


def test_icmp_error_to_a_retry_deepens_nothing():
    sweep = Sweep(10, seed=1)
    sweep.emit(0, 10)
    sweep.feed(Answers.of(
        np.array([3]), state=State.FILTERED, reason=5, time_ns=5, try_no=4, soft=True))
    assert sweep.tries_allowed == 2


def test_retries_zero_asks_once():
    world = World(Sweep(10, seed=1, retries=0), lambda index, try_no: None).run()
    assert len(world.sent) == 10
    assert world.now >= 1000 * MS


def test_rate_cap_holds_in_every_window():
    world = World(Sweep(500, seed=1, rate_pps=1000, retries=0), lambda i, t: State.CLOSED).run()
    times = np.array([time for *_, time in world.sent])
    for start in range(0, int(times.max()), 20 * MS):
        assert ((times >= start) & (times < start + 20 * MS)).sum() <= 46
    assert 450 * MS <= times.max() <= 520 * MS


def test_first_firm_answer_wins_and_soft_gives_way():
    sweep = Sweep(2, seed=1)
    sweep.sent_batch(sweep.emit(0, 10), 0, 1)
    one = np.array([0])
    soft, _ = sweep.feed(Answers.of(one, state=State.FILTERED, reason=5, time_ns=5, soft=True))
    assert soft.state.tolist() == [State.FILTERED]
    again, _ = sweep.feed(Answers.of(one, state=State.FILTERED, reason=5, time_ns=6, soft=True))
    assert not len(again)
    late, _ = sweep.feed(Answers.of(one, state=State.OPEN, reason=1, time_ns=7))
    assert late.state.tolist() == [State.OPEN]
    reset, _ = sweep.feed(Answers.of(one, state=State.CLOSED, reason=2, time_ns=8))
    assert not len(reset)
    assert sweep.answered == 1


def test_duplicates_in_one_batch_count_once_and_firm_is_preferred():
    sweep = Sweep(2, seed=1)
    sweep.emit(0, 10)
    fresh, _ = sweep.feed(Answers.of(
        np.array([1, 1, 1]), state=np.array([3, 1, 2], np.uint8), reason=1, time_ns=5,
        soft=np.array([True, False, False]),
    ))
    assert fresh.index.tolist() == [1]
    assert fresh.state.tolist() == [State.OPEN]


def lossy(loss, seed):
    rng = np.random.default_rng(seed)
    return lambda index, try_no: State.OPEN if rng.random() >= loss else None


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 400), shards=st.integers(1, 5), seed=st.integers(0, 2**32),
    room=st.integers(1, 64), loss=st.floats(0, 0.6), salt=st.integers(0, 999),
)
def test_shards_under_loss_ask_exactly_their_set(size, shards, seed, room, loss, salt):
    asked, found = [], []
    for number in range(1, shards + 1):
        sweep = Sweep(size, seed=seed, shard=Shard(number, shards), retries=5)
        world = World(sweep, lossy(loss, salt + number), room=room).run()
        asked += [index for index, try_no, _ in world.sent if try_no == 1]
        found += [index for index, *_ in world.news]
        assert max((t for _, t, _ in world.sent), default=0) <= 6
    assert sorted(asked) == list(range(size))
    assert len(set(found)) == len(found)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 300), kill=st.integers(0, 400), seed=st.integers(0, 999),
    loss=st.floats(0, 0.3),
)
def test_killed_anywhere_and_resumed_knows_the_truth(size, kill, seed, loss):
    rng = np.random.default_rng(seed)
    silent = set(range(0, size, 3))

    def reply(index, try_no):
        return State.OPEN if index not in silent and rng.random() >= loss else None

    first = World(Sweep(size, seed=seed, rate_pps=2000, retries=8), reply)
    for _ in range(kill):
        if first.sweep.done:
            break
        first.step()
    mark = first.sweep.mark(first.now)
    known = Answers.of(
        np.array([index for index, *_ in first.news], np.int64),
        state=State.OPEN, reason=1, time_ns=0, try_no=max([1, *(t for _, t, _ in first.sent)]),
    )
    again = Sweep(size, seed=seed, rate_pps=2000, retries=8)
    again.resume(known, mark)
    second = World(again, reply)
    second.now = first.now
    second.run()
    found = {index for index, *_ in first.news} | {index for index, *_ in second.news}
    asked = {index for index, *_ in first.sent} | {index for index, *_ in second.sent}
    assert asked == set(range(size))
    assert not {i for i, *_ in first.news} & {i for i, *_ in second.news}
    assert found <= set(range(size)) - silent
    if not loss:
        assert found == set(range(size)) - silent


def test_resume_sends_little_more_than_an_undisturbed_run():
    def reply(index, try_no):
        return State.CLOSED if index % 2 else None

    whole = len(World(Sweep(4000, seed=3, rate_pps=20_000), reply).run().sent)
    for kill in range(0, 1200, 75):
        first = World(Sweep(4000, seed=3, rate_pps=20_000), reply)
        for _ in range(kill):
            if not first.sweep.done:
                first.step()
        again = Sweep(4000, seed=3, rate_pps=20_000)
        known = np.array([index for index, *_ in first.news], np.int64)
        again.resume(
            Answers.of(known, state=2, reason=2, time_ns=0), first.sweep.mark(first.now),
        )
        second = World(again, reply)
        second.now = first.now
        second.run()
        assert len(first.sent) + len(second.sent) <= 1.3 * whole


class Limited:
    """Hosts of `ports` each that refuse as their buckets allow: six at once, then one a second."""

    def __init__(self, ports, silent=()):
        self.ports, self.silent = ports, set(silent)
        self.level, self.last, self.world = {}, {}, None

    def __call__(self, index, try_no):
        if index in self.silent:
            return None
        host, now = index // self.ports, self.world.now / (1000 * MS)
        level = min(6, self.level.get(host, 6) + now - self.last.get(host, now))
        self.level[host], self.last[host] = max(level - 1, level % 1), now
        return State.CLOSED if level >= 1 else None


def limited_sweep(hosts, ports, **options):
    return Sweep(
        hosts * ports, seed=5, hosts=hosts, host_of=lambda index: index // ports,
        span_of=lambda host: (host * ports, ports), doubt=0.02, rate_pps=10_000, **options)


def limited_world(reply, sweep, now=0):
    reply.world = World(sweep, reply, room=1000)
    reply.world.now = now
    return reply.world


def test_limited_host_is_asked_when_it_may_speak():
    world = limited_world(Limited(100, silent=[5, 50]), limited_sweep(1, 100)).run()
    assert sorted(index for index, *_ in world.news) == sorted(set(range(100)) - {5, 50})
    assert world.now <= 1.15 * 92 * 1000 * MS
    assert len(world.sent) <= 200 + 1.2 * 98


def test_progress_of_a_limited_scan_follows_its_limit():
    world = limited_world(Limited(100), limited_sweep(1, 100))
    before = 0.0
    for seconds in (5, 20, 40, 60):
        while world.now < seconds * 1000 * MS:
            world.step()
        assert before < world.sweep.progress <= (seconds + 8) / 100
        before = world.sweep.progress
    assert world.run().sweep.progress == 1.0


def test_limited_hosts_take_hardly_longer_than_one():
    world = limited_world(Limited(40), limited_sweep(14, 40)).run()
    assert len(world.news) == 14 * 40
    assert world.now <= 1.15 * 34 * 1000 * MS


def test_limited_host_is_no_lossy_one():
    sweep = limited_sweep(2, 60)
    world = limited_world(Limited(60, silent=range(60, 118)), sweep).run()
    assert len(world.news) == 62
    assert sweep.loss.rate < 0.1
    free = [index for index, *_ in world.sent if index >= 60]
    assert len(free) <= 60 * 6


def test_limited_host_without_retries_is_asked_once():
    world = limited_world(Limited(30), limited_sweep(1, 30, retries=0)).run()
    assert len(world.sent) == 30


@pytest.mark.parametrize("seconds", [0.05, 0.3, 3, 20, 40])
def test_limited_scan_killed_and_resumed_neither_forgets_nor_repeats(seconds):
    reply = Limited(50)
    first = limited_world(reply, limited_sweep(2, 50))
    while first.now < seconds * 1000 * MS and not first.sweep.done:
        first.step()
    mark, named = first.sweep.mark(first.now), {index for index, *_ in first.news}
    tries = {index: try_no for index, try_no, _ in first.sent}
    again = limited_sweep(2, 50)
    again.resume(Answers.of(
        np.array(sorted(named), np.int64), state=State.CLOSED, reason=1, time_ns=0,
        try_no=np.array([min(tries[index], 16) for index in sorted(named)], np.uint8)), mark)
    second = limited_world(reply, again, first.now).run()
    found = {index for index, *_ in second.news}
    assert named | found == set(range(100))
    assert not named & found
    asked = [index for index, *_ in second.sent if index in named]
    assert all(asked.count(each) <= 16 for each in asked)  # sentinels, until a limit is known
    assert len(set(asked)) <= 2
    assert second.now <= 1.25 * 44 * 1000 * MS


def test_audit_leaves_limited_hosts_out():
    sweep = limited_sweep(2, 60, audit=True)
    limited_world(Limited(60, silent=range(60, 118)), sweep).run()
    assert sweep.missed is not None
    assert sweep.missed.high <= 5


def spaced_sweep(**options):
    return Sweep(
        120, seed=5, hosts=4, host_of=lambda index: index // 30,
        span_of=lambda host: (host * 30, 30), spacing_ns=50 * MS, **options)


def test_spaced_hosts_are_never_asked_sooner_and_side_by_side():
    world = World(spaced_sweep(), lambda i, t: State.CLOSED if i % 3 else None, room=50).run()
    for host in range(4):
        times = np.array([time for index, _, time in world.sent if index // 30 == host])
        assert np.diff(times).min() >= 50 * MS
        assert len(times) == 30 + 10
    assert world.now <= 41 * 50 * MS + 1000 * MS
    assert {round(rtt / MS) for *_, rtt in world.news} == {10}


def test_spaced_sweep_killed_and_resumed_asks_all():
    reply = lambda i, t: State.CLOSED if i % 3 else None  # noqa: E731
    first = World(spaced_sweep(), reply, room=50)
    for _ in range(15):
        first.step()
    again = spaced_sweep()
    again.resume(Answers.of(
        np.array([i for i, *_ in first.news]), state=2, reason=2, time_ns=0),
        first.sweep.mark(first.now))
    second = World(again, reply, room=50)
    second.now = first.now
    second.run()
    assert {i for i, *_ in first.sent} | {i for i, *_ in second.sent} == set(range(120))


def test_host_timeout_keeps_what_was_found_and_names_who_was_given_up():
    sweep = limited_sweep(3, 40, host_timeout_ns=10_000 * MS)
    reply = Limited(40, silent=range(80, 120))
    reply.level = {0: 1e9}
    world = limited_world(reply, sweep)
    while not sweep.done:
        reply.level[0] = 6
        world.step()
    assert world.now <= 10_100 * MS
    assert 14 <= len({i for i, *_ in world.news if i // 40 == 1}) <= 17
    assert {i for i, *_ in world.news if i // 40 == 0} == set(range(40))
    assert sweep.timed_out.tolist() == [1]


def test_host_timeout_in_the_first_pass_gives_up_whoever_is_silent():
    sweep = Sweep(
        100, seed=1, rate_pps=20, hosts=2, host_of=lambda index: index // 50,
        host_timeout_ns=1000 * MS)
    World(sweep, lambda i, t: State.CLOSED).run()
    assert sweep.sent <= 22
    assert sweep.timed_out.tolist() == [0, 1]


def test_mark_before_sending_is_the_beginning():
    assert Sweep(10, seed=1).mark(0) == Mark(1, 0)


def test_empty_space_is_done():
    sweep = Sweep(0, seed=1)
    assert sweep.done
    assert sweep.emit(0, 5) is None


def test_settled_probes_are_not_asked():
    sweep = Sweep(100, seed=1, retries=0)
    sweep.settle(np.arange(0, 90))
    world = World(sweep, lambda i, t: None).run()
    assert sorted(i for i, *_ in world.sent) == list(range(90, 100))


def test_wait_follows_round_trips():
    trip = RoundTrip()
    assert trip.wait_ns == 1000 * MS
    trip.feed(np.array([400 * MS] * 8))
    assert 400 * MS < trip.wait_ns <= 1200 * MS
    for _ in range(50):
        trip.feed(np.array([1 * MS]))
    assert trip.wait_ns == 100 * MS


@pytest.mark.parametrize("retries", [0, 3, 99])
def test_tries_stay_below_the_limit(retries):
    assert Sweep(1, seed=1, retries=retries).tries_max == min(1 + retries, 16)
