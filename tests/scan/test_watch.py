import numpy as np

from portulan.scan.verdict import Answers, State
from portulan.scan.watch import HOSTS_MAX, Watch

MS = 1_000_000


def span(host):
    return host * 50, 50


def told(host, places, state=State.CLOSED, try_no=1):
    count = len(places)
    return np.full(count, host), np.array(places), Answers.of(
        np.arange(count) + host * 50, state=state, reason=2, time_ns=5, try_no=try_no)


def silent_of(first, count):
    return np.arange(first + 6, first + count)


def look(watch, pass_no, now, hosts=(0, 1, 2)):
    return watch.look(
        pass_no, now, silent_hosts=lambda: np.array(hosts, np.int64), silent_of=silent_of)


def test_host_that_stopped_refusing_gets_a_schedule_and_is_free_no_more():
    watch = Watch(3, span, 0.001)
    watch.learn(*told(1, [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]))
    watch.learn(*told(2, [0.1, 0.3, 0.5, 0.6, 0.8, 0.95]))
    assert look(watch, 2, 9 * MS).tolist() == [1]
    assert watch.free(np.array([0, 1, 2])).tolist() == [True, False, True]
    assert watch.limits.owed == 44
    [(index, try_no)] = watch.ask(9 * MS, 100 * MS, 10)
    assert (index.tolist(), try_no) == ([56], 3)


def test_one_look_a_pass():
    watch = Watch(3, span, 0.001)
    assert not len(look(watch, 2, 0))
    watch.learn(*told(1, [0.01] * 6))
    assert not len(look(watch, 2, 0))
    assert look(watch, 3, 0).tolist() == [1]
    assert not len(look(watch, 4, 0))


def test_open_ports_are_no_refusals():
    watch = Watch(3, span, 0.001)
    watch.learn(*told(1, [0.01] * 6, state=State.OPEN))
    assert not len(look(watch, 2, 0))


def test_host_without_a_silent_port_needs_no_schedule():
    watch = Watch(3, span, 0.001)
    watch.learn(*told(1, [0.01] * 6))
    assert not len(look(watch, 2, 0, hosts=()))
    assert watch.limits.idle


def test_nobody_is_watched_without_spans_or_among_too_many():
    assert not Watch(3, None, 0.001).on
    assert not Watch(HOSTS_MAX + 1, span, 0.001).on
    assert not len(look(Watch(3, None, 0.001), 2, 0))
