from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.between import Grade
from portulan.scan.filtering import Stray, choose, judge_filter


def silent(port, *, reset, frames=()):
    return Stray(port, is_open=False, reset=reset, frames=frames)


def opened(port, *, reset):
    return Stray(port, is_open=True, reset=reset)


def test_silent_ports_that_reset_stray_acks_are_behind_a_stateless_filter():
    verdict = judge_filter(7, 1_990, [
        silent(1, reset=True, frames=(11, 12)), silent(9, reset=True, frames=(13, 14)),
        silent(30, reset=False), opened(22, reset=True)])
    assert verdict.host == 7
    assert verdict.text == (
        "a stateless filter, which looks at each packet alone (likely): SYNs to 1,990 ports stay "
        "unanswered; stray ACKs to 2 of 3 of them are reset (ports 1, 9); frames 11, 12, 13, 14")


def test_open_ports_that_do_not_reset_stray_acks_are_behind_a_stateful_filter():
    verdict = judge_filter(0, 5, [silent(1, reset=False), opened(22, reset=False),
                                  opened(80, reset=False)])
    assert verdict.grade == Grade.LIKELY
    assert "stateful" in verdict.what
    assert "(ports 22, 80)" in verdict.text


@pytest.mark.parametrize("strays", [
    [silent(1, reset=True), opened(22, reset=True)],
    [silent(1, reset=False), opened(22, reset=False)],
], ids=["one reset", "one open port"])
def test_one_port_alone_is_a_suspicion(strays):
    assert judge_filter(0, 5, strays).grade == Grade.SUSPECTED


@pytest.mark.parametrize("strays", [
    [silent(1, reset=False), silent(2, reset=False), opened(22, reset=True)],
    [silent(1, reset=False), opened(22, reset=True), opened(80, reset=False)],
    [silent(1, reset=False)], [],
])
def test_where_acks_are_dropped_with_the_port_nothing_follows(strays):
    assert judge_filter(0, 5, strays) is None


def test_without_silent_ports_nothing_is_said():
    assert judge_filter(0, 0, [opened(22, reset=False), opened(80, reset=False)]) is None


@given(st.lists(st.integers(0, 65_535), unique=True, max_size=50).map(sorted), st.integers(2, 6))
def test_ports_chosen_are_some_of_them_spread_over_all(ports, most):
    chosen = choose(ports, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(ports))
    assert set(chosen) <= set(ports)
    if ports:
        assert (chosen[0], chosen[-1]) == (ports[0], ports[-1])
