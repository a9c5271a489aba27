from __future__ import annotations

import numpy as np
import pytest

import portulan.wire as wire
from portulan.scan.paths import Paths
from portulan.scan.stack import (
    ONCE,
    QUESTION,
    SEQUENCE,
    TCP_TESTS,
    Doors,
    StackKind,
    Test,
    questions,
)
from portulan.scan.verdict import Reason
from portulan.target.space import Segment, Space

from .crafting import (
    ETHER4,
    ETHER6,
    KEY,
    NET4,
    NET6,
    RAW4,
    RAW6,
    SPORT,
    columns,
    frames_of,
    sent_by,
)

VIAS = {"ether4": ETHER4, "ether6": ETHER6, "raw4": RAW4, "raw6": RAW6}
HOSTS = 3


def made(via, *, is_open=True):
    way = VIAS[via]
    start = NET4 if way.family == 4 else NET6
    keys = questions(family=way.family, is_open=is_open)
    space = Space([Segment(way.family, start, HOSTS, keys)])
    doors = Doors(*(np.arange(HOSTS, dtype=np.uint16) + first for first in (80, 9000, 40_000)))
    return StackKind(space, Paths((way,)), key=KEY, sport=SPORT, doors=doors)


def probes(kind, try_no=1):
    """(host, test) -> the probe as it left."""
    sent, name = sent_by(kind, np.arange(kind.space.size), try_no), names(kind)
    return {name[at]: probe for at, probe in sent.items()}


def names(kind):
    every = np.arange(kind.space.size)
    tests = kind.space.probes(every).port.tolist()
    return list(zip(kind.space.host_of(every).tolist(), tests, strict=True))


def read(kind, probe, inner):
    """(index, reason, try) of each answer."""
    frames = frames_of([probe.wrap(inner)], ethernet=probe.ethernet is not None)
    return [(index, Reason(reason), try_no)
            for index, _, reason, try_no, _ in columns(kind.read(frames))]


@pytest.mark.parametrize("via", VIAS)
def test_every_question_has_right_sums_and_goes_to_its_door(via):
    kind = made(via)
    sent = probes(kind, 2)
    assert len(sent) == kind.space.size == HOSTS * (16 if VIAS[via].family == 4 else 15)
    for (host, test), probe in sent.items():
        assert probe.sums_are_right(), Test(test).name
        if test in TCP_TESTS:
            first = 9000 if test in (Test.T5, Test.T6, Test.T7) else 80
            assert probe.head.dport == first + host
            assert probe.head.flags == wire.TCP(flags=TCP_TESTS[test].flags).flags
            assert probe.head.window == TCP_TESTS[test].window
            assert SPORT <= probe.head.sport < SPORT + kind.SPORTS
        elif test == Test.U1:
            assert probe.head.dport == 40_000 + host
            assert probe.body == b"C" * 300
        else:
            assert probe.head.code == (9 if test == Test.IE1 else 0)


def test_no_two_questions_share_a_source_port():
    kind = made("raw4")
    ports = {(test, try_no): probe.head.sport for try_no in (1, 2, 3, 4)
             for (host, test), probe in probes(kind, try_no).items()
             if host == 0 and test not in (Test.IE1, Test.IE2)}
    assert len(set(ports.values())) == len(ports) == 14 * 4


def test_a_host_without_an_open_port_is_asked_what_needs_none():
    tests = {key & 0xFFFF for key in questions(family=4, is_open=False)}
    assert tests == {Test.T5, Test.T6, Test.T7, Test.IE1, Test.IE2, Test.U1}
    assert all(key >> 16 == QUESTION for key in questions(family=6, is_open=True))
    assert {*SEQUENCE, *ONCE} == {*Test}


@pytest.mark.parametrize("via", VIAS)
def test_answers_come_back_as_the_question_they_answer(via):
    kind = made(via)
    place = {name: at for at, name in enumerate(names(kind))}
    for (host, test), probe in probes(kind, 3).items():
        if test in TCP_TESTS:
            accepts = "S" in TCP_TESTS[test].flags and test < Test.T5
            answer, wanted = probe.tcp("SA" if accepts else "R"), (
                Reason.SYN_ACK if accepts else Reason.RESET)
        elif test == Test.U1:
            six = probe.ip.version == 6
            error = (wire.ICMPv6(type=1, code=4) if six else wire.ICMP(type=3, code=3))
            answer, wanted = error / bytes(probe.packet), Reason.PORT_UNREACH
        else:
            reply = 129 if probe.ip.version == 6 else 0
            answer, wanted = probe.head.replace(type=reply) / probe.body, Reason.ECHO_REPLY
        [(index, reason, try_no)] = read(kind, probe, answer)
        assert index == place[host, test], Test(test).name
        assert reason == wanted
        assert try_no == (1 if test in (Test.IE1, Test.IE2) else 3)


def test_an_acceptance_that_counts_another_sequence_number_is_not_believed():
    kind = made("raw4")
    probe = probes(kind)[0, Test.SEQ1]
    assert read(kind, probe, probe.tcp("SA")) == [(0, Reason.SYN_ACK, 1)]
    assert not read(kind, probe, probe.tcp("SA", ack=probe.head.seq + 77 & 0xFFFF_FFFF))
    assert not read(kind, probe, probe.tcp("SA", sport=81))


def test_an_echo_reply_with_another_id_is_not_believed():
    kind = made("raw4")
    probe = probes(kind)[0, Test.IE1]
    good = probe.head.replace(type=0)
    assert len(read(kind, probe, good / probe.body)) == 1
    strange = good.replace(id=good.id ^ 1)
    assert not read(kind, probe, strange / probe.body)
