from __future__ import annotations

import numpy as np
import pytest

from portulan.scan import verdict
from portulan.scan.verdict import NEXT_HOLD, REASON_TEXT, STATE_TEXT, Answers, Hold, Reason, State


def some(count, first=0):
    index = np.arange(first, first + count)
    return Answers.of(index, state=State.OPEN, reason=Reason.SYN_ACK, time_ns=index * 10, ttl=64)


def test_single_values_stand_for_all_rows():
    answers = some(3)
    assert answers.ttl.tolist() == [64] * 3
    assert answers.try_no.tolist() == [1] * 3
    assert answers.row.tolist() == [-1] * 3
    assert not answers.soft.any()


def test_taken_rows_keep_their_columns_together():
    answers = some(5).take(np.array([4, 1]))
    assert answers.index.tolist() == [4, 1]
    assert answers.time_ns.tolist() == [40, 10]
    assert some(5).take(np.zeros(5, np.bool_)).index.tolist() == []


def test_concat_keeps_order_and_skips_the_empty():
    both = Answers.concat([Answers.none(), some(2), Answers.none(), some(2, 7)])
    assert both.index.tolist() == [0, 1, 7, 8]
    assert len(Answers.concat([])) == len(Answers.concat([Answers.none()])) == 0
    one = some(2)
    assert Answers.concat([one, Answers.none()]) is one


def test_numbers_on_the_disk_never_change():
    # Progress logs hold these numbers: an old log must be read right by every later version.
    assert [state.name for state in State] == [
        "SILENT", "OPEN", "CLOSED", "FILTERED", "UNFILTERED", "OPEN_FILTERED", "UP"]
    assert [reason.value for reason in Reason] == list(range(len(Reason)))
    assert [Reason(n).text for n in (0, 1, 2, 3, 7, 10, 12, 14, 18, 22)] == [
        "no-response", "syn-ack", "reset", "conn-refused", "port-unreach", "admin-prohibited",
        "echo-reply", "arp-response", "accept-reset", "dest-unreach"]
    assert [reason.text for reason in Reason] == list(REASON_TEXT)


@pytest.mark.parametrize("state", [state for state in State if state is not State.UP])
def test_every_port_state_has_its_word(state):
    assert STATE_TEXT[state] in ("open", "closed", "filtered", "unfiltered", "open|filtered")


def test_firm_is_never_taken_back_and_soft_gives_way():
    for holding in Hold:
        for arriving in Hold:
            assert NEXT_HOLD[holding][arriving] == max(holding, arriving)


@pytest.mark.parametrize("codes", [verdict.ICMP4_UNREACHABLE, verdict.ICMP6_UNREACHABLE])
def test_every_registered_code_has_a_reason_of_unreachability(codes):
    assert {code.text.split("-")[1] for code in codes} <= {"unreach", "prohibited"}


def test_every_reason_for_open_but_a_window_is_graded():
    from typing import get_args

    from portulan.record import OpenGrade
    from portulan.scan.verdict import GRADES

    assert {*GRADES.values()} <= {*get_args(OpenGrade)} - {""}
    assert {reason.text for reason in GRADES} == {
        "syn-ack", "init-ack", "accept-reset", "udp-response", "proto-response"}
