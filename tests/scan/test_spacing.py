import numpy as np

from portulan.scan.spacing import STRETCH_MAX, TIMED_MAX, Spacing


def test_hosts_are_ready_once_their_time_has_passed():
    spacing = Spacing(3, 30, 100)
    host = np.array([2, 2, 0, 0, 1])
    assert spacing.ready(host, 0).tolist() == [0, 2, 4]
    spacing.ask(np.array([2]), 50)
    spacing.ask(np.array([0]), 80)
    assert spacing.ready(host, 149).tolist() == [4]
    assert spacing.ready(host, 150).tolist() == [0, 4]
    assert spacing.ready_at(host[:4]) == 150


def test_times_of_leaving_are_of_the_try_that_is_asked_for():
    spacing = Spacing(1, 5, 100)
    spacing.left(np.array([1, 3]), 2, 700)
    left = spacing.left_at(np.array([1, 3, 4]), np.array([2, 1, 1], np.uint8))
    assert left.tolist() == [700, -1, -1]


def test_huge_space_has_no_times_and_bounded_stretches():
    spacing = Spacing(1 << 40 >> 20, TIMED_MAX + 1, 1)
    spacing.left(np.array([TIMED_MAX]), 1, 5)
    assert spacing.left_at(np.array([TIMED_MAX]), np.array([1], np.uint8)).tolist() == [-1]
    assert spacing.stretch <= STRETCH_MAX
