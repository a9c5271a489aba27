from __future__ import annotations

import pytest

from portulan.scan.trace import GAP_HOPS, Reply, Tracer


def run(paths, *, groups=None, queries=1, hops_max=30, mute=()):
    """Trace hosts whose true paths are given; return the tracer and every probe it sent."""
    tracer = Tracer(groups or [0] * len(paths), hops_max=hops_max, queries=queries, wait_ns=10)
    asked, now = [], 0
    while not tracer.done:
        assert now < 10_000, "a trace ends"
        for ask in tracer.emit(now, 100):
            asked.append(ask)
            path = paths[ask.host]
            addr = path[min(ask.ttl, len(path)) - 1]
            if addr not in mute:
                kind = "reached" if ask.ttl >= len(path) else "expired"
                tracer.feed(ask, Reply(addr, 5, kind))
        now += 10
        tracer.advance(now)
    return tracer, asked


def found(tracer, host):
    return [r[0].addr if r else "*" for _, r, _ in tracer.trails[host].hops()]


ROUTERS = [f"r{n}" for n in range(1, 13)]


@pytest.mark.parametrize("length", [1, 2, 5, 12])
def test_path_of_any_length_equals_the_truth(length):
    path = [*ROUTERS[: length - 1], "goal"]
    tracer, _ = run([path])
    assert found(tracer, 0) == path
    assert tracer.trails[0].reached


def test_hosts_of_one_network_ask_their_shared_hops_once():
    paths = [[*ROUTERS, f"host{n}"] for n in range(20)]
    tracer, asked = run(paths)
    assert [found(tracer, n) for n in range(20)] == paths
    assert len([ask for ask in asked if ask.ttl <= 10]) == 10


def test_path_that_parts_early_is_asked_back_to_where_it_parts():
    left, right = [*ROUTERS, "a"], [*ROUTERS[:3], *(f"s{n}" for n in range(4, 13)), "b"]
    tracer, asked = run([left, right])
    assert [found(tracer, 0), found(tracer, 1)] == [left, right]
    assert min(ask.ttl for ask in asked if ask.host == 1) == 3
    assert tracer.trails[1].shared == 2


def test_follower_that_is_nearer_than_its_leader_keeps_its_own_end():
    near = [*ROUTERS[:4], "near"]
    tracer, _ = run([[*ROUTERS, "far"], near])
    assert found(tracer, 1) == near


def test_silent_hop_is_a_gap_and_not_the_end():
    path = [*ROUTERS, "goal"]
    tracer, _ = run([path], mute={"r4"})
    assert found(tracer, 0) == [*path[:3], "*", *path[4:]]


def test_silence_for_good_ends_the_path_after_the_gap():
    tracer, asked = run([[*ROUTERS[:3], *["mute"] * 30]], mute={"mute"})
    assert found(tracer, 0) == ["r1", "r2", "r3", *["*"] * GAP_HOPS]
    assert not tracer.trails[0].reached
    assert max(ask.ttl for ask in asked) < 15


def test_most_hops_are_never_passed():
    tracer, asked = run([[*ROUTERS, "goal"]], hops_max=3)
    assert found(tracer, 0) == ["r1", "r2", "r3"]
    assert max(ask.ttl for ask in asked) == 3


def test_room_bounds_what_is_emitted_and_nothing_is_asked_twice():
    tracer = Tracer([0], hops_max=30, queries=3, wait_ns=10)
    asks = [ask for _ in range(20) for ask in tracer.emit(0, 2)]
    assert len(asks) == len(set(asks)) == 12
    assert tracer.deadline(0) == 10


def test_reply_to_what_was_not_asked_is_not_believed():
    tracer = Tracer([0], hops_max=30, queries=1, wait_ns=10)
    (ask,) = tracer.emit(0, 1)
    tracer.feed(ask._replace(ttl=9), Reply("x", 1, "reached"))
    tracer.feed(ask._replace(host=5), Reply("x", 1, "reached"))
    assert not tracer.trails[0].cells
