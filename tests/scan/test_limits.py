import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.scan.limits import SURE_TRIES, TRY_FIRST, Limits
from portulan.scan.loss import TRIES_MAX
from portulan.scan.verdict import Answers, State

from .limiter import MS, SECOND, Host


@pytest.mark.parametrize("host", [
    Host(190, 4), Host(40, 2), Host(190, 4, rtt_ns=50 * MS, wait_ns=200 * MS), Host(100, 100),
    Host(60, 4, period_ns=2 * SECOND), Host(190, 4, period_ns=500 * MS, burst=1),
    Host(190, 4, period_ns=62.5 * MS), Host(190, 4, period_ns=62.5 * MS, rtt_ns=80 * MS),
    Host(1000, 4, period_ns=5 * MS, burst=200), Host(8, level=0.99), Host(8, level=0.0),
], ids=["linux", "few ports", "far", "half silent", "slow", "no burst", "linux ipv6", "far ipv6",
        "fast", "token almost there", "token just spent"])
def test_limited_host_names_every_closed_port_in_hardly_more_than_the_limit_s_time(host):
    host.run()
    assert host.named == set(range(host.closed))
    assert host.named_ns <= 1.15 * host.closed * host.period_ns + 2 * SECOND


def test_linux_s_limit_costs_few_probes_more_than_there_are_ports():
    host = Host(190, 4).run()
    assert host.sent <= 1.15 * (190 + SURE_TRIES * 4)


def test_tries_of_a_schedule_have_numbers_that_a_probe_can_carry():
    host = Host(100, 100, loss=0.2).run()
    assert {try_no for *_, try_no in host.asked} <= set(range(TRY_FIRST, TRIES_MAX + 1))


@settings(max_examples=40, deadline=None)
@given(
    closed=st.integers(1, 60), silent=st.integers(0, 40), seed=st.integers(0, 999),
    period_ms=st.floats(1, 2000), burst=st.integers(1, 100), level=st.floats(0, 1),
    rtt_ms=st.integers(1, 90),
)
def test_any_limiter_without_loss_leaves_no_closed_port_unnamed(
    closed, silent, seed, period_ms, burst, level, rtt_ms,
):
    host = Host(
        closed, silent, seed=seed, period_ns=period_ms * MS, burst=burst, level=level,
        rtt_ns=rtt_ms * MS).run()
    assert host.named == set(range(closed))
    assert host.sent <= 12 * (closed + silent) + 40


@pytest.mark.parametrize("seed", range(5))
def test_loss_beside_a_limit_misses_next_to_nothing(seed):
    host = Host(100, 20, loss=0.05, seed=seed).run()
    assert len(host.named) >= 99
    assert host.end_ns <= 300 * SECOND


def test_limit_that_becomes_stricter_is_followed():
    host = Host(60, changes={20 * SECOND: 3 * SECOND}).run()
    assert host.named == set(range(60))
    assert host.named_ns <= (20 + 1.5 * 40 * 3) * SECOND


def test_limit_that_becomes_laxer_is_noticed():
    host = Host(160, changes={20 * SECOND: 300 * MS}).run()
    assert host.named == set(range(160))
    assert host.named_ns <= (20 + 0.6 * 140) * SECOND


def test_host_that_says_nothing_any_more_is_given_up():
    host = Host(20, changes={5 * SECOND: 1e18}).run()
    assert host.end_ns <= 200 * SECOND
    assert host.sent <= 200


def test_all_silent_host_is_believed_after_sentinels_answered():
    host = Host(0, 100, level=6.0).run()
    assert host.end_ns <= 30 * SECOND
    sentinels = sum(probe == host.sentinel for _, probe, _ in host.asked)
    assert sentinels >= 3
    asked = [probe for _, probe, _ in host.asked if probe != host.sentinel]
    assert min(np.bincount(asked)) >= SURE_TRIES


def test_answer_that_is_no_refusal_ends_the_questions_to_its_port():
    limits = Limits()
    limits.owe(3, np.array([7]), sentinel=9, burst=1, since_ns=0, now=SECOND)
    [(probe, try_no)] = limits.ask(SECOND, 100 * MS, 10)
    limits.hear(np.array([3]), Answers.of(
        np.array([probe]), state=State.OPEN, reason=1, time_ns=SECOND, try_no=try_no))
    assert limits.asked_at(7, try_no) == SECOND
    assert limits.owed == 0
    assert limits.ask(2 * SECOND, 100 * MS, 10) == []
    assert limits.idle


def test_hosts_limits_are_used_side_by_side():
    limits = Limits()
    for host in range(16):
        limits.owe(
            host, np.array([100 + host]), sentinel=host, burst=1, since_ns=0, now=SECOND)
    assert len(limits.ask(SECOND, 100 * MS, 64)) == 16
    assert limits.owed == 16
    assert limits.hosts.tolist() == list(range(16))


def test_room_bounds_what_is_asked_at_once():
    limits = Limits()
    for host in range(16):
        limits.owe(
            host, np.array([100 + host]), sentinel=host, burst=1, since_ns=0, now=SECOND)
    assert len(limits.ask(SECOND, 100 * MS, 5)) == 5
    assert limits.deadline() == SECOND
