from __future__ import annotations

import queue
import threading

import pytest

from portulan.drive import conductor as room
from portulan.drive.conductor import SPORT_BLOCKS, SPORT_FIRST, Conductor, Course
from portulan.scan.sweep import TRIES_MAX
from portulan.target.ranges import Range
from portulan.target.space import Space

from .plans import plan

SPACE = Space.hosts([Range(4, 0x7F000001)], [(6, 80)])


def conductor(**words):
    return Conductor(plan("127.0.0.1", **words), None, None)


def test_source_ports_lie_beyond_the_kernels_own():
    ports = {conductor().sport for _ in range(50)}
    assert min(ports) >= SPORT_FIRST
    assert SPORT_FIRST + 16 * SPORT_BLOCKS - 1 + TRIES_MAX - 15 <= 65_535
    assert len(ports) > 1
    assert {(port - SPORT_FIRST) % 16 for port in ports} == {0}


def test_keys_differ_from_job_to_job():
    assert conductor().key != conductor().key


def test_discovery_is_not_sharded_ports_are():
    made = conductor(shard="1/4", ports="1-4")
    space = Space.hosts([Range(4, 0x7F000001, 4)], [(6, 80), (6, 81)])
    _, whole = made.sweep("discover", space)
    _, part = made.sweep("scan", space)
    assert (whole.total, part.total) == (8, 2)


def test_runner_that_cannot_be_made_raises_instead_of_hanging():
    def make(report):
        raise OSError(24, "Too many open files")

    made = conductor()
    _, sweep = made.sweep("scan", SPACE)
    with pytest.raises(OSError, match="Too many"):
        list(made.run(Course(sweep, None, make)))


def test_runner_is_closed_whatever_happens():
    closed = threading.Event()

    class Runner:
        def __init__(self, report):
            pass

        def run(self):
            raise ValueError("broken")

        def close(self):
            closed.set()

    made = conductor()
    _, sweep = made.sweep("scan", SPACE)
    with pytest.raises(ValueError, match="broken"):
        list(made.run(Course(sweep, None, Runner)))
    assert closed.wait(5)


def test_news_are_batched_in_order_until_the_end():
    news = queue.Queue()
    found = [object.__new__(room.Found) for _ in range(room.NEWS_A_STEP + 3)]
    for item in (*found, None):
        news.put(item)
    batches = list(room._batches(news))
    assert [len(batch) for batch in batches] == [room.NEWS_A_STEP, 3]
    assert [item for batch in batches for item in batch] == found
