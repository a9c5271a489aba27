from __future__ import annotations

import numpy as np
import pytest

from portulan.scan.loss import GROUPS_MAX, Loss


def learned(hosts, *told):
    loss = Loss(hosts)
    for host, try_no, count in told:
        loss.learn(np.full(count, host), np.full(count, try_no, np.uint8))
    return loss


def test_nothing_heard_deserves_two_tries():
    assert Loss(5).depth(np.arange(5)).tolist() == [2] * 5


def test_loss_of_a_tenth_over_twenty_thousand_answers_deserves_seven_tries():
    loss = learned(1, (0, 1, 18_050), (0, 2, 1_760), (0, 3, 171), (0, 4, 17))
    assert loss.rate == pytest.approx(0.0975, abs=0.002)
    assert loss.deepest == 7


def test_host_without_loss_is_not_asked_for_its_lossy_neighbour():
    loss = learned(2, (0, 1, 900), (1, 1, 80), (1, 2, 20))
    clean, lossy = loss.depth(np.array([0, 1])).tolist()
    assert lossy >= 5
    assert clean < lossy


def test_silent_host_leans_on_the_loss_of_all():
    loss = learned(3, (0, 1, 900), (0, 2, 100), (1, 1, 900), (1, 2, 100))
    assert loss.depth(np.array([2]))[0] == loss.depth(np.array([0]))[0]


def test_deeper_answer_makes_one_more_try():
    assert learned(1, (0, 1, 1), (0, 4, 1)).deepest >= 5


def test_many_hosts_share_estimates_of_bounded_number():
    loss = learned(1 << 20, ((1 << 20) - 1, 2, 1))
    assert len(loss._tries) == GROUPS_MAX
    assert loss.depth(np.array([0, (1 << 20) - 1])).tolist() == [2, 3]


def test_answers_to_the_last_try_of_their_host_are_counted():
    loss = learned(2, (0, 1, 50), (0, 2, 3), (1, 1, 40))
    assert loss.at_the_end(passes=2) == 3
    loss.learn(np.array([0, 0]), np.array([3, 3], np.uint8))
    assert loss.at_the_end(passes=3) == 2
    assert loss.by_try[:5].tolist() == [0, 90, 3, 2, 0]
