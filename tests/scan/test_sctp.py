from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from portulan.scan.paths import Paths
from portulan.scan.sctp import ABORT, INIT, INIT_ACK, SctpKind, initiate_tag
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from tests.wire.generators import hostile_octets

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
PORT_UNREACHABLE, PROTOCOL_UNREACHABLE, PROHIBITED = 3, 2, 13


def made(via="ether4"):
    start = NET4 if VIAS[via].family == 4 else NET6
    space = Space.hosts([Range(VIAS[via].family, start, 6)], [(132, 9), (132, 36412)])
    return SctpKind(space, Paths((VIAS[via],)), key=KEY, sport=SPORT)


def read(kind, probe, inner, **words):
    return columns(kind.read(frames_of([probe.wrap(inner, **words)],
                                       ethernet=probe.ethernet is not None)))


@pytest.mark.parametrize("via", VIAS)
def test_probe_is_a_lone_init_with_tag_0_and_right_sums(via):
    sent = sent_by(made(via), np.arange(12), 3)
    assert len(sent) == 12
    for probe in sent.values():
        assert probe.sums_are_right()
        assert (probe.head.sport, probe.head.tag) == (SPORT + 2, 0)
        assert probe.body[0] == INIT
        assert int.from_bytes(probe.body[2:4], "big") == len(probe.body) == 20
        assert any(probe.body[4:8])
    assert len({probe.body[4:8] for probe in sent.values()}) == 12


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize(("chunk", "state", "reason"), [
    (INIT_ACK, State.OPEN, Reason.INIT_ACK), (ABORT, State.CLOSED, Reason.ABORT),
])
def test_answer_with_our_tag_is_as_the_table_says(via, chunk, state, reason):
    kind = made(via)
    for index, probe in sent_by(kind, np.arange(12), 2).items():
        assert read(kind, probe, probe.sctp(chunk)) == [(index, state, reason, 2, 0)]


@pytest.mark.parametrize("via", VIAS)
def test_wrong_answer_is_never_believed(via):
    kind = made(via)
    probe = sent_by(kind, [5])[5]
    for chunk in (INIT_ACK, ABORT):
        for words in (dict(tag=0), dict(tag=77), dict(sport=10), dict(dport=SPORT + 1)):
            assert not read(kind, probe, probe.sctp(chunk, **words))
        assert not read(kind, probe, probe.sctp(chunk), source=int(probe.ip.dst) ^ 1)
    assert not read(kind, probe, probe.sctp(14))
    assert not read(kind, probe, probe.sctp(ABORT, flags=1, tag=0))


def test_word_of_the_target_that_it_has_no_sctp_is_closed_anybody_elses_is_filtered():
    kind = made()
    probe = sent_by(kind, [4])[4]
    error = probe.unreachable(PROTOCOL_UNREACHABLE)
    # One error is about both ports of the host; only the one that was asked has frames.
    assert read(kind, probe, error) == [
        (4, State.CLOSED, Reason.PROTO_UNREACH, 1, 0),
        (5, State.CLOSED, Reason.PROTO_UNREACH, 1, -1)]
    [row] = read(kind, probe, error, source=int(probe.ip.dst) ^ 1)
    assert row[:3] == (4, State.FILTERED, Reason.PROTO_UNREACH)
    [row] = read(kind, probe, probe.unreachable(PROHIBITED))
    assert row[:3] == (4, State.FILTERED, Reason.ADMIN_PROHIBITED)


@pytest.mark.parametrize("octets", [8, 12, 19])
def test_error_that_does_not_quote_the_tag_says_nothing(octets):
    kind = made()
    probe = sent_by(kind, [4])[4]
    short = probe.packet[: 20 + octets]
    assert not read(kind, probe, probe.unreachable(PROTOCOL_UNREACHABLE, quote=short))
    changed = probe.packet[:-13] + bytes([probe.packet[-13] ^ 1]) + probe.packet[-12:]
    assert not read(kind, probe, probe.unreachable(PROTOCOL_UNREACHABLE, quote=changed))


def test_unrecognized_next_header_is_closed():
    import portulan.wire as wire

    kind = made("ether6")
    probe = sent_by(kind, [4])[4]
    for code, expected in ((1, (4, State.CLOSED, Reason.PROTO_UNREACH)),
                           (0, (4, State.FILTERED, Reason.PARAM_PROBLEM))):
        problem = wire.ICMPv6(type=4, code=code) / probe.packet
        row, *others = read(kind, probe, problem)
        assert row[:3] == expected
        assert len(others) == (expected[1] == State.CLOSED)


def test_tag_is_never_0():
    probes = made().space.probes(np.arange(12))
    assert initiate_tag(KEY, probes, SPORT).min() > 0


@given(hostile_octets)
def test_hostile_octets_answer_nothing(octets):
    assert not len(made().read(frames_of([octets])))
