from __future__ import annotations

import errno
import threading
import time

import pytest

from portulan.drive.connecting import ConnectSweep
from portulan.scan.pace import RoundTrip
from portulan.scan.sweep import Sweep
from portulan.scan.verdict import Reason, State
from portulan.sockets.connects import Outcome
from portulan.target.ranges import Range
from portulan.target.space import Space

from .plans import listening


def run(space, **words):
    told = []
    sweep = Sweep(space.size, seed=3)
    driver = ConnectSweep(
        sweep, space, report=told.append, stop=threading.Event(), zones={}, **words)
    try:
        driver.run()
    finally:
        driver.close()
    rows = {}
    for found in told:
        for index, state, reason in zip(found.answers.index.tolist(),
                                        found.answers.state.tolist(),
                                        found.answers.reason.tolist(), strict=True):
            assert index not in rows
            rows[index] = state, reason
    return rows, sweep


@pytest.mark.parametrize("local", [True, False])
def test_ports_are_told_apart_by_either_driver(local):
    with listening() as ports:
        asked = sorted({*range(1, 300), *ports})
        space = Space.hosts([Range(4, 0x7F000001)], [(6, port) for port in asked])
        rows, sweep = run(space, local=local)
    assert sweep.done
    assert {asked[index] for index, (state, _) in rows.items() if state == State.OPEN} == set(ports)
    assert {row for row in rows.values() if row[0] != State.OPEN} == {
        (State.CLOSED, Reason.CONN_REFUSED)}
    assert len(rows) == len(asked)


def test_hosts_only_is_up_by_either_answer():
    with listening(1) as [port]:
        space = Space.hosts([Range(4, 0x7F000001, 3)], [(6, 1), (6, port)])
        rows, _ = run(space, hosts_only=True)
    assert {index // 2 for index in rows} == {0, 1, 2}
    assert {state for state, _ in rows.values()} == {State.UP}


VERDICTS = [
    (0, State.OPEN, Reason.SYN_ACK), (errno.ECONNRESET, State.OPEN, Reason.ACCEPT_RESET),
    (errno.ECONNREFUSED, State.CLOSED, Reason.CONN_REFUSED),
    (errno.EHOSTUNREACH, State.FILTERED, Reason.HOST_UNREACH),
    (errno.ENETUNREACH, State.FILTERED, Reason.NET_UNREACH),
    (errno.EACCES, State.FILTERED, Reason.LOCAL_DENIED),
    (errno.EPERM, State.FILTERED, Reason.LOCAL_DENIED),
    (errno.ETIMEDOUT, State.FILTERED, Reason.NO_RESPONSE),
    (errno.EPROTO, State.FILTERED, Reason.DEST_UNREACH),
]


@pytest.mark.parametrize(("error", "state", "reason"), VERDICTS)
def test_errno_means(error, state, reason):
    told = []
    space = Space.hosts([Range(4, 0x7F000001)], [(6, 80)])
    driver = ConnectSweep(
        Sweep(1, seed=1), space, report=told.append, stop=threading.Event(), zones={})
    driver._take([Outcome(0, 1, error, 5, 3_000)])
    driver.close()
    [found] = told
    assert (found.answers.state[0], found.answers.reason[0]) == (state, reason)
    assert found.rtt_ns.tolist() == [3_000]
    # What somebody else says gives way to the target's own late word.
    assert bool(found.answers.soft[0]) == (error not in (
        0, errno.ECONNRESET, errno.ECONNREFUSED, errno.EPROTO))


class Slow:
    """A pool of sockets that hears of one host, late, when the machine has long given it up."""

    room = 10
    pending = 0

    def __init__(self, late_ns):
        self.late_ns, self.asked = late_ns, []

    def start(self, probe, now):
        self.asked.append((probe, now))
        return True

    def waiting(self):
        return [probe for probe, _ in self.asked]

    def expire(self, before):
        self.asked = [(probe, start) for probe, start in self.asked if start >= before]

    def oldest(self):
        return self.asked[0][1] if self.asked else None

    def collect(self, wait_ns, now):
        time.sleep(min(wait_ns, 10_000_000) / 1e9)
        told = [Outcome(probe.at, probe.try_no, 0, now, now - start)
                for probe, start in self.asked if now - start > self.late_ns]
        self.asked = [row for row in self.asked if now - row[1] <= self.late_ns]
        return told

    def close(self):
        pass


@pytest.mark.parametrize(("late_ns", "known"), [(400_000_000, 1), (5_000_000_000, 0)])
def test_host_of_which_nothing_was_heard_is_heard_out(monkeypatch, late_ns, known):
    monkeypatch.setattr("portulan.drive.connecting.LINGER_NS", 600_000_000)
    told = []
    space = Space.hosts([Range(4, 0x0A000001)], [(6, 80)])
    sweep = Sweep(1, seed=1, retries=1, round_trip=RoundTrip(first_wait_ns=100_000_000))
    driver = ConnectSweep(
        sweep, space, report=told.append, stop=threading.Event(), zones={})
    driver._connects.close()
    driver._connects = Slow(late_ns)
    driver.run()
    driver.close()
    assert sum(len(found.answers) for found in told) == known
