from __future__ import annotations

import threading

import numpy as np
import pytest

from portulan.drive import packets
from portulan.drive.packets import PacketSweep, probes_of, siblings
from portulan.errors import PeerError
from portulan.link.memory import MemoryLink
from portulan.scan.paths import Paths
from portulan.scan.sweep import Sweep
from portulan.scan.syn import SynKind
from portulan.target.ranges import Range
from portulan.target.space import Segment, Space
from tests.scan.crafting import ETHER4, KEY, NET4, SPORT

SPACE = Space.hosts([Range(4, NET4, 5)], [(6, 80), (6, 81)])


def sweep_over(link, stop=None):
    told = []
    kind = SynKind(SPACE, Paths((ETHER4,)), key=KEY, sport=SPORT)
    sweep = Sweep(SPACE.size, seed=1, retries=0)
    return PacketSweep(
        sweep, kind, [("m", link)], report=told.append, stop=stop or threading.Event()), told


class Stuck(MemoryLink):
    def send(self, frames):
        return 0


def test_link_that_takes_nothing_is_an_error_not_a_spin(monkeypatch):
    monkeypatch.setattr(packets, "STUCK_MAX", 5)
    driver, _ = sweep_over(Stuck(now=lambda: 0))
    with pytest.raises(PeerError, match="takes no frames"):
        driver.run()


def test_stop_ends_a_stuck_link_too(monkeypatch):
    monkeypatch.setattr(packets, "STUCK_MAX", 10**9)
    stop = threading.Event()
    driver, told = sweep_over(Stuck(now=lambda: 0), stop)
    threading.Timer(0.05, stop.set).start()
    driver.run()
    assert told[-1].received == 0


class Slow(MemoryLink):
    """Takes three frames at a time."""

    seen = 0

    def send(self, frames):
        count = min(3, len(frames))
        self.seen += count
        return count


def test_link_that_takes_little_gets_everything_in_the_end():
    link, stop = Slow(now=lambda: 0), threading.Event()
    driver, told = sweep_over(link, stop)
    threading.Timer(0.3, stop.set).start()
    driver.run()
    assert link.seen == told[-1].sent == SPACE.size


def test_siblings_are_all_probes_of_the_same_hosts():
    space = Space([Segment(4, 1, 2, (5, 6, 7)), Segment(4, 9, 2, (5,))])
    assert siblings(space, np.array([1, 6])).tolist() == [0, 1, 2, 6]
    assert probes_of(space, np.array([3, 0])).tolist() == [7, 0, 1, 2]
    assert probes_of(space, np.empty(0, np.int64)).tolist() == []
