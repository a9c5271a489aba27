import random

import numpy as np
import pytest

from portulan.scan.capacity import RATE_MIN_PPS, START_PPS, Capacity, likeliest

MS = 1_000_000
TICK_NS = 2 * MS


class Path:
    """A path that lets `takes` packets a second through and loses some, in virtual time."""

    def __init__(self, capacity, *, takes=np.inf, loss=0.0, rtt_ms=1, answering=0.5, seed=1):
        self.capacity, self.takes, self.loss = capacity, takes, loss
        self.rtt_ns, self.answering = rtt_ms * MS, answering
        self.chance = random.Random(seed)
        self.now = self.sent = self.arrived = self.sentinels = 0
        self.level, self.credit, self.flying, self.rates = 64.0, 0.0, [], []

    def run(self, seconds):
        end = self.now + int(seconds * 1000) * MS
        while self.now < end:
            self.tick()
        return self

    def tick(self):
        self.now += TICK_NS
        burst = 64.0 if self.takes < np.inf else np.inf
        self.level = min(burst, self.level + self.takes * TICK_NS / 1e9)
        self.credit += self.capacity.rate_pps * TICK_NS / 1e9
        wait = max(100 * MS, 2 * self.rtt_ns)
        batch = [(probe, True) for probe in self.capacity.choose(
            self.now, wait, self.sent).tolist()]
        self.sentinels += len(batch)
        self.credit -= len(batch)
        while self.credit >= 1:
            self.credit -= 1
            batch.append((self.sent + len(batch), False))
        self.chance.shuffle(batch)
        for probe, sentinel in batch:
            self.sent += 1
            if self._passes():
                self.arrived += 1
                if sentinel or self.chance.random() < self.answering:
                    self.flying.append((self.now + self.rtt_ns, probe, sentinel))
        due = [each for each in self.flying if each[0] <= self.now]
        self.flying = [each for each in self.flying if each[0] > self.now]
        for known in (True, False):
            index = np.array([probe for _, probe, sentinel in due if sentinel is known], np.int64)
            (self.capacity.hear if known else self.capacity.know)(index)
        self.rates.append(self.capacity.rate_pps)

    def _passes(self):
        if self.level < 1:
            return False
        self.level -= 1
        return self.chance.random() >= self.loss


@pytest.mark.parametrize("options", [
    {}, {"rtt_ms": 80}, {"loss": 0.1}, {"answering": 0.01},
], ids=["plain", "far", "lossy", "few answer"])
def test_policed_path_is_used_and_hardly_overrun(options):
    path = Path(Capacity(10_000), takes=2_000, **options).run(3)
    sent, arrived = path.sent, path.arrived
    path.run(8)
    assert path.arrived - arrived >= 0.85 * (1 - options.get("loss", 0)) * 8 * 2_000
    assert path.sent - sent <= 1.3 * 8 * 2_000


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.36])
def test_loss_at_any_rate_slows_nothing_down(loss):
    path = Path(Capacity(10_000), loss=loss).run(8)
    assert path.sent >= 0.85 * 8 * 10_000
    assert path.capacity.own_loss == pytest.approx(loss, abs=0.09)


def test_sentinels_cost_a_few_probes_in_a_hundred():
    path = Path(Capacity(10_000)).run(8)
    assert path.sentinels <= 0.04 * path.sent


def test_rate_begins_below_and_doubles():
    path = Path(Capacity(100_000)).run(1)
    assert path.rates[0] == START_PPS
    assert path.rates[-1] == 100_000
    assert max(b / a for a, b in zip(path.rates, path.rates[1:], strict=False)) <= 2


def test_path_that_gets_better_is_noticed():
    path = Path(Capacity(10_000), takes=1_000).run(5)
    assert path.rates[-1] <= 1_500
    path.takes = 4_000
    path.run(8)
    assert path.rates[-1] >= 3_000


def test_path_that_takes_next_to_nothing_is_not_given_up():
    path = Path(Capacity(10_000), takes=0).run(3)
    path.takes = 500
    assert path.rates[-1] >= RATE_MIN_PPS
    path.run(20)
    assert 300 <= path.rates[-1] <= 900


def test_bounds_hold_whatever_is_lost():
    path = Path(Capacity(5_000, least_pps=3_000), takes=1_000).run(5)
    assert min(path.rates) >= START_PPS
    assert path.rates[-1] == 3_000
    assert max(path.rates) <= 5_000


def test_nothing_known_to_answer_means_the_cap():
    capacity = Capacity(8_000)
    for now in range(0, 2000 * MS, TICK_NS):
        assert not len(capacity.choose(now, 100 * MS, now // 100_000))
    assert capacity.rate_pps == 8_000


def test_pauses_measure_nothing():
    path = Path(Capacity(10_000)).run(1)
    path.now += 1000 * MS
    assert not len(path.capacity.choose(path.now, 100 * MS, path.sent))


def test_losses_at_several_rates_tell_a_capacity_from_the_path_s_own():
    rate, count = np.array([1e3, 2e3, 4e3, 8e3]), np.full(4, 100.0)
    assert likeliest(rate, np.full(4, 20.0), count)[1] == np.inf
    own, takes = likeliest(rate, np.array([0.0, 0.0, 50.0, 75.0]), count)
    assert own <= 0.02
    assert takes == pytest.approx(2_000, rel=0.1)
