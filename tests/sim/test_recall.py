"""With the usual tries the interval holds the truth in at least 95 of 100 runs."""

from __future__ import annotations

import numpy as np
import pytest

from portulan.scan.sweep import Sweep
from portulan.scan.verdict import Answers, Reason, State

MS = 1_000_000
HOSTS, PORTS = 20, 50


class Iid:
    def __init__(self, chance, rate):
        self.chance, self.rate = chance, rate

    def lost(self, index, now):
        return self.chance.random(len(index)) < self.rate


class PerHost(Iid):
    """Hosts behind paths of their own, from good to three times the mean."""

    def __init__(self, chance, rate):
        super().__init__(chance, rate)
        self.rates = np.minimum(rate * 3 * chance.random(HOSTS) ** 2, 0.9)

    def lost(self, index, now):
        return self.chance.random(len(index)) < self.rates[index // PORTS]


class Bursty(Iid):
    """Times of 50 ms when nine in ten packets are lost, and hardly any between (Gilbert)."""

    def lost(self, index, now):
        burst = np.random.default_rng((int(self.rate * 1e6), now // (50 * MS))).random() < self.rate
        return self.chance.random(len(index)) < (0.9 if burst else self.rate / 10)


def scan(path, *, seed, retries=10, recall_least=0.0, drops=0.4, blocks_at=None):
    """Run a sweep in virtual time; return the machine and how many that answer it missed."""
    chance = np.random.default_rng(seed)
    truth = chance.random(HOSTS * PORTS) >= drops
    sweep = Sweep(
        len(truth), seed=seed, rate_pps=40_000, retries=retries, hosts=HOSTS,
        host_of=lambda index: index // PORTS, audit=True, recall_least=recall_least)
    found, now, arriving = np.zeros(len(truth), bool), seed * 1_000 * MS, []
    for _ in range(20_000):
        if sweep.done:
            break
        emission = sweep.emit(now, 512)
        if emission is not None:
            sweep.sent_batch(emission, now, now)
            index = emission.index[truth[emission.index]]
            index = index[~path.lost(index, now)]
            if blocks_at is None or sweep.sent <= blocks_at:
                arriving.append((now + 20 * MS, index, emission.try_no))
            continue
        now = max(now + 1_000, min([sweep.deadline(now)] + [when for when, _, _ in arriving]))
        for when, index, try_no in [item for item in arriving if item[0] <= now]:
            sweep.feed(Answers.of(
                index, state=State.OPEN, reason=Reason.SYN_ACK, ttl=64, try_no=try_no,
                time_ns=when, soft=False))
            found[index] = True
        arriving = [item for item in arriving if item[0] > now]
    assert sweep.done
    return sweep, int((truth & ~found).sum())


#: Lost round trips where 1, 5, 10 and 20 % of packets are lost each way.
BOTH_WAYS = [0.02, 0.1, 0.19, 0.36]


@pytest.mark.parametrize("rate", BOTH_WAYS)
@pytest.mark.parametrize("model", [Iid, PerHost, Bursty], ids=["iid", "per host", "bursty"])
def test_interval_holds_the_truth_in_95_of_100_runs(model, rate):
    true = 0
    for seed in range(100):
        sweep, missed = scan(model(np.random.default_rng(seed + 1_000), rate), seed=seed)
        true += sweep.missed.low <= missed <= sweep.missed.high
    assert true >= 95


def test_recall_out_of_reach_is_asked_for_until_tries_end():
    aims = [0.0, 0.999]
    runs = [scan(Iid(np.random.default_rng(5), 0.1), seed=5, recall_least=aim) for aim in aims]
    (plain, _), (sure, missed) = runs
    assert sure.sent > plain.sent
    assert missed == 0
    assert sure.pass_no == sure.tries_max


def test_recall_within_reach_ends_the_scan_before_tries_do():
    sweep, missed = scan(Iid(np.random.default_rng(5), 0.01), seed=5, recall_least=0.99)
    assert missed <= 0.01 * (sweep.answered + missed)
    assert sweep.missed.met(sweep.answered, 0.99)
    assert sweep.pass_no < sweep.tries_max


def test_scan_blocked_on_its_way_says_that_it_may_have_missed():
    sweep, missed = scan(Iid(np.random.default_rng(1), 0.0), seed=1, blocks_at=600)
    assert missed > 100
    assert sweep.missed.low <= missed <= sweep.missed.high
