from __future__ import annotations

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.scan.flags import MANNERS, FlagKind, manner_of, parse_flags
from portulan.scan.paths import Paths
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire.tcp import TcpFlags

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


def made(method, via, flags=None):
    start = NET4 if VIAS[via].family == 4 else NET6
    space = Space.hosts([Range(VIAS[via].family, start, 6)], [(6, 22), (6, 80)])
    return FlagKind(
        space, Paths((VIAS[via],)), key=KEY, sport=SPORT, manner=manner_of(method, flags))


def reset(probe, method, **changes):
    """What RFC 9293 section 3.10.7.1 makes of the probe."""
    if probe.head.flags & TcpFlags.ACK:
        words = dict(flags="R", seq=probe.head.ack, ack=0, window=0)
    else:
        counted = (probe.head.flags & TcpFlags.FIN) + bool(probe.head.flags & TcpFlags.SYN)
        ack = probe.head.seq + int(counted) & 0xFFFF_FFFF
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
        assert int(probe.head.flags) == MANNERS[method].flags


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
        proof = "seq" if MANNERS[method].flags & TcpFlags.ACK else "ack"
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


# -- flags of one's own ---------------------------------------------------------------------------


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("flags", [0x02, 0x03, 0x0A, 0x12, 0x29, 0xC2, 0xFB])
def test_given_flags_are_sent_and_a_reset_is_read_as_by_the_base(flags, via):
    for method, state in (("syn", State.CLOSED), ("ack", State.UNFILTERED)):
        kind = made(method, via, flags)
        for index, probe in sent_by(kind, np.arange(kind.space.size), 2).items():
            assert int(probe.head.flags) == flags
            assert probe.sums_are_right()
            assert read(kind, probe, reset(probe, method)) == [(index, state, Reason.RESET, 2, 0)]


@pytest.mark.parametrize("flags", [0x02, 0x03, 0x0A, 0x12])
@pytest.mark.parametrize("counted", [1, 2])
def test_accepted_syn_is_open_and_acknowledges_what_was_sent(flags, counted):
    kind = made("syn", "ether4", flags)
    probe = sent_by(kind, [3])[3]
    accept = probe.tcp(ack=(probe.head.seq + counted) & 0xFFFF_FFFF)
    right = counted <= 1 + (flags & 1)
    assert read(kind, probe, accept) == ([(3, State.OPEN, Reason.SYN_ACK, 1, 0)] if right else [])


def test_accept_without_a_syn_of_ours_is_never_believed():
    kind = made("fin", "ether4")
    probe = sent_by(kind, [3])[3]
    assert not read(kind, probe, probe.tcp())


@pytest.mark.parametrize(("text", "flags"), [
    ("SYNFIN", 3), ("finsyn", 3), ("SYN,ACK", 18), ("URGACKPSHRSTSYNFIN", 63), ("ECE|CWR", 192),
    ("ALL", 255), ("ALLSYN", 255), ("NONE", 0), ("9", 9), ("0x29", 41), ("255", 255),
])
def test_flags_are_read_as_names_and_numbers(text, flags):
    assert parse_flags(text) == flags


@pytest.mark.parametrize("text", ["", "SY", "SYNX", "256", "0x1ff", "-1", "0x", "S Y N", "\x1b[m"])
def test_what_is_no_flags_is_refused_with_the_names(text):
    with pytest.raises(UsageError, match=r"SYNFIN|0 to 255"):
        parse_flags(text)


def test_plain_syn_scan_needs_no_manner():
    assert manner_of("syn") is None
    assert manner_of("syn", 2).silent == State.FILTERED
    assert manner_of("fin", 0).silent == State.OPEN_FILTERED
