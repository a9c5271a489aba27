from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.between import (
    Facts,
    Grade,
    Proof,
    distance,
    judge,
    remarkable,
    suspects,
    traits,
)
from portulan.scan.verdict import State
from portulan.wire.frames import Frames
from portulan.wire.tcp import mss, tcp_options
from tests.wire.generators import hostile_octets


def facts(*rows, host=0):
    """Rows are (port, state, ttl, try, window)."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    count = len(table)
    return Facts(
        np.full(count, host), table[:, 0], table[:, 1], table[:, 2], table[:, 3],
        np.arange(count) * 10_000_000, table[:, 4], np.full(count, 7), np.arange(count) + 1)


def opened(ports, *, ttl=64, window=64240, try_no=1):
    return [(port, State.OPEN, ttl, try_no, window) for port in ports]


def closed(ports, *, ttl=64, try_no=1):
    return [(port, State.CLOSED, ttl, try_no, -1) for port in ports]


CONTROLS = range(50_000, 50_004)


def verdict_of(offered, proof):
    proofs = [Proof(port=port, control=True, **proof) for port in (50_000, 50_001)]
    [one] = judge(
        facts(*opened(range(1, 101), window=offered)), 100,
        controls=facts(*opened(CONTROLS, window=offered)), controls_asked=4, proofs=proofs)
    return one


@pytest.mark.parametrize(("window", "proof", "what", "grade"), [
    (0, dict(acknowledged=False, reset=True, window=0, spoke=False), "SYN proxy", Grade.CERTAIN),
    (64240, dict(acknowledged=False, reset=False, window=64240, spoke=False), "SYN proxy",
     Grade.CERTAIN),
    (10, dict(acknowledged=True, reset=False, window=3, spoke=True), "tarpit", Grade.CERTAIN),
    (0, dict(acknowledged=False, reset=False, window=0, spoke=True), "tarpit", Grade.CERTAIN),
    (64240, dict(acknowledged=True, reset=False, window=64240, spoke=True), "every port is open",
     Grade.LIKELY),
])
def test_what_answers_for_every_port_is_told_by_what_follows_the_handshake(
    window, proof, what, grade
):
    one = verdict_of(window, proof)
    assert (one.what, one.grade) == (what, grade)
    assert "100 of 100 ports asked and 4 of 4 random high ports" in one.text
    assert "frames 1, 2, 3, 4" in one.text


def test_many_real_services_without_open_controls_are_not_judged():
    seen = facts(*opened(range(1, 60)))
    assert judge(seen, 60, controls=facts(*closed(CONTROLS)), controls_asked=4) == []


def test_two_open_controls_are_too_few():
    seen = facts(*opened(range(1, 60)))
    controls = facts(*opened([50_000, 50_001]), *closed([50_002, 50_003]))
    assert judge(seen, 60, controls=controls, controls_asked=4) == []


def test_ports_one_router_farther_are_forwarded():
    [one] = judge(facts(*opened([22]), *opened([80], ttl=63)), 2)
    assert one.what == "ports are forwarded to another host"
    assert one.grade == Grade.LIKELY


def test_another_stack_behind_the_same_address_is_certain():
    seen = facts(*opened([22], ttl=62), *opened([80], ttl=125, window=8192))
    [one] = judge(seen, 2)
    assert one.grade == Grade.CERTAIN


def test_resets_from_before_the_host_are_told():
    [one] = judge(facts(*opened([22, 80], ttl=63), *closed(range(100, 120))), 22)
    assert one.what == "resets come from before the host"


def test_another_first_ttl_at_the_same_distance_is_no_sign():
    assert judge(facts(*opened([22], ttl=60), *closed([23], ttl=251)), 2) == []


def test_late_resets_beside_prompt_open_ports_are_a_limiter():
    seen = facts(*opened([22, 80]), *closed(range(100, 130)), *closed(range(200, 260), try_no=3))
    [one] = judge(seen, 92)
    assert one.what == "resets are rate-limited"
    assert one.grade == Grade.LIKELY


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.2, 0.3])
def test_loss_is_no_limiter(loss):
    random = np.random.default_rng(4)
    tries = random.geometric(1 - loss, 1000)
    seen = facts(*opened([22, 80]), *(closed([port], try_no=t)[0] for port, t in
                                      enumerate(tries.tolist(), 100)))
    assert judge(seen, 1002) == []


def test_a_filter_that_drops_is_a_fact_not_a_suspicion():
    [one] = judge(facts(*opened([22, 443])), 1000)
    assert one.grade == Grade.FACT
    assert one.text == (
        "a filter drops the rest without a word: 998 of 1000 ports silent, 2 open (22, 443)")


def test_icmp_errors_are_no_silence():
    rejected = [(port, State.FILTERED, 64, 1, -1) for port in range(100, 1098)]
    assert judge(facts(*opened([22, 443]), *rejected), 1000) == []


def test_suspects_are_hosts_where_much_is_open_or_a_window_is_tiny():
    rows = [facts(*opened(range(10)), host=0), facts(*opened(range(5)), host=1),
            facts(*opened([80], window=0), host=2), facts(*opened(range(10)), host=3)]
    both = rows[0]
    for one in rows[1:]:
        both = Facts(*(np.concatenate([getattr(both, f), getattr(one, f)])
                       for f in Facts.__dataclass_fields__))
    assert suspects(both, np.array([10, 5, 1, 1000])).tolist() == [0, 2]
    assert remarkable(both, np.array([10, 5, 1, 1000])).tolist() == [3]


def test_distance_counts_from_the_next_usual_first_ttl():
    assert distance(np.array([1, 64, 65, 128, 129, 255])).tolist() == [63, 0, 63, 0, 126, 0]


def test_traits_are_window_and_options_of_the_segment():
    segment = wire.TCP(sport=80, dport=61000, flags="SA", window=1234) / tcp_options(
        mss(1460))
    frames = Frames.of([(wire.Ethernet() / wire.IPv4() / segment).pack(),
                        (wire.Ethernet() / wire.IPv4() / wire.TCP(flags="R")).pack()])
    window, options = traits(frames)
    assert window.tolist()[0] == 1234
    assert options.tolist() == [4 << 32 | 0x020405B4, 0]


@settings(max_examples=60)
@given(st.lists(hostile_octets, max_size=5))
def test_hostile_frames_have_traits_or_minus_one(octets):
    window, options = traits(Frames.of(octets))
    assert len(window) == len(options) == len(octets)
