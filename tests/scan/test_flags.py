from __future__ import annotations

import numpy as np
import pytest

from portulan.scan.flags import MANNERS, FlagKind
from portulan.scan.paths import Paths
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space

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
CASES = [(method, via) for method in MANNERS for via in VIAS]


def made(method, via):
    start = NET4 if VIAS[via].family == 4 else NET6
    space = Space.hosts([Range(VIAS[via].family, start, 6)], [(6, 22), (6, 80)])
    return FlagKind(
        space, Paths((VIAS[via],)), key=KEY, sport=SPORT, manner=MANNERS[method])


def reset(probe, method, **changes):
    """What RFC 9293 section 3.10.7.1 makes of the probe."""
    if "A" in MANNERS[method].flags:
        words = dict(flags="R", seq=probe.head.ack, ack=0, window=0)
    else:
        ack = probe.head.seq + ("F" in MANNERS[method].flags) & 0xFFFF_FFFF
        words = dict(flags="RA", seq=0, ack=ack, window=0)
    return probe.tcp(**{**words, **changes})


def read(kind, probe, inner, **words):
    return columns(kind.read(frames_of([probe.wrap(inner, **words)],
                                       ethernet=probe.ethernet is not None)))


@pytest.mark.parametrize(("method", "via"), CASES)
def test_probe_carries_its_flags_and_right_sums(method, via):
    kind = made(method, via)
    sent = sent_by(kind, np.arange(kind.space.size), 3)
    assert len(sent) == 12
    for probe in sent.values():
        assert probe.sums_are_right()
        assert probe.head.sport == SPORT + 2
        assert set(str(MANNERS[method].flags)) == {
            letter for bit, letter in enumerate("FSRPAU") if int(probe.head.flags) >> bit & 1}


@pytest.mark.parametrize(("method", "via"), CASES)
def test_reset_by_window_is_as_the_table_says(method, via):
    kind = made(method, via)
    for index, probe in sent_by(kind, np.arange(kind.space.size), 2).items():
        manner = MANNERS[method]
        for window, state in ((0, manner.reset), (512, manner.reset_window)):
            found = read(kind, probe, reset(probe, method, window=window))
            assert found == [(index, state, Reason.RESET, 2, 0)]


@pytest.mark.parametrize(("method", "via"), CASES)
def test_wrong_reply_is_never_believed(method, via):
    kind = made(method, via)
    probe = sent_by(kind, [5])[5]
    for field in ("seq", "ack"):
        lie = reset(probe, method, **{field: 12345})
        proof = "seq" if "A" in MANNERS[method].flags else "ack"
        assert bool(read(kind, probe, lie)) == (field != proof)
    for words in (dict(sport=23), dict(dport=SPORT + 1), dict(flags="A"), dict(flags="SA")):
        assert not read(kind, probe, reset(probe, method, **words))
    assert not read(kind, probe, reset(probe, method), source=int(probe.ip.dst) ^ 1)


@pytest.mark.parametrize(("method", "via"), CASES)
def test_icmp_error_is_filtered(method, via):
    kind = made(method, via)
    probe = sent_by(kind, [4])[4]
    [row] = read(kind, probe, probe.unreachable(1))
    assert row[:2] == (4, State.FILTERED)


def test_window_scan_alone_calls_a_reset_open():
    assert [name for name, manner in MANNERS.items() if manner.reset_window == State.OPEN] == [
        "window"]
