from __future__ import annotations

import numpy as np
import pytest

import portulan.wire as wire
from portulan.scan.paths import Paths
from portulan.scan.payloads import ANYWHERE, BY_PORT, PAYLOADS, UNKNOWN, Mark
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.udp import TFTP_PORT, UdpKind, id_octets, likelihood, payload_number
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire.bpf import run

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
MARKED = [n for n, payload in enumerate(PAYLOADS) if payload.mark]


def made(via, ports=(53, 69, 123, 161, 9999)):
    start = NET4 if VIAS[via].family == 4 else NET6
    space = Space.hosts([Range(VIAS[via].family, start, 3)], [(17, port) for port in ports])
    return UdpKind(space, Paths((VIAS[via],)), key=KEY, sport=SPORT)


def read(kind, probe, inner, **words):
    return columns(kind.read(frames_of([probe.wrap(inner, **words)],
                                       ethernet=probe.ethernet is not None)))


def reply(probe, number, *, wrong=0):
    """A reply of 40 octets with the probe's id where the payload's protocol echoes it."""
    body = bytearray(b"\xee" * 60)
    mark = PAYLOADS[number].mark
    if mark:
        identifier = bytearray(probe.body[mark.at : mark.at + mark.width])
        identifier[-1] ^= wrong
        at = 31 if mark.echo == ANYWHERE else mark.echo
        body[at : at + mark.width] = identifier
    return probe.udp(bytes(body))


@pytest.mark.parametrize("via", VIAS)
def test_every_payload_leaves_with_right_sums_and_its_own_port(via):
    kind = made(via, sorted({*BY_PORT, 9999}))
    for try_no in (1, 2, 16):
        sent = sent_by(kind, np.arange(kind.space.size), try_no)
        assert len(sent) == kind.space.size
        for probe in sent.values():
            assert probe.sums_are_right()
            assert probe.head.sport == SPORT + try_no - 1
            assert probe.head.length == 8 + len(probe.body)


def test_tries_take_turns_among_the_payloads_of_a_port():
    ports = np.array([161] * 4 + [9999] * 4, np.uint16)
    turns = payload_number(ports, np.array([1, 2, 3, 4] * 2)).tolist()
    assert turns == [*BY_PORT[161], BY_PORT[161][0], *UNKNOWN, *UNKNOWN]


@pytest.mark.parametrize("number", MARKED, ids=lambda number: PAYLOADS[number].name)
def test_reply_with_our_id_is_open_and_another_is_nothing(number):
    payload = PAYLOADS[number]
    kind = made("ether4", payload.ports[:1])
    try_no = BY_PORT[payload.ports[0]].index(number) + 1
    [*_, (index, probe)] = sent_by(kind, np.arange(3), try_no).items()
    assert read(kind, probe, reply(probe, number)) == [
        (index, State.OPEN, Reason.UDP_RESPONSE, try_no, 0)]
    assert not read(kind, probe, reply(probe, number, wrong=1))
    assert not read(kind, probe, probe.udp(b""))


@pytest.mark.parametrize("via", VIAS)
def test_reply_from_the_asked_port_alone_is_open(via):
    kind = made(via, (9999,))
    probe = sent_by(kind, [2], 3)[2]
    assert read(kind, probe, probe.udp(b"x")) == [(2, State.OPEN, Reason.UDP_RESPONSE, 3, 0)]
    assert not read(kind, probe, probe.udp(b"x", sport=9998))
    assert not read(kind, probe, probe.udp(b"x", dport=SPORT - 1))
    assert not read(kind, probe, probe.udp(b"x", dport=SPORT + TRIES_MAX))
    assert not read(kind, probe, probe.udp(b"x"), source=int(probe.ip.dst) ^ 8)


def test_tftp_answer_from_another_port_is_that_of_port_69():
    kind = made("ether4")
    index, probe = next((i, p) for i, p in sent_by(kind, np.arange(5)).items()
                        if p.head.dport == TFTP_PORT)
    error = b"\0\5\0\1no such file\0"
    assert read(kind, probe, probe.udp(error, sport=40_000))[0][:2] == (index, State.OPEN)
    assert not read(kind, probe, probe.udp(b"\0\1" + error[2:], sport=40_000))
    assert not read(kind, probe, probe.udp(b"\0", sport=40_000))


@pytest.mark.parametrize("via", VIAS)
def test_own_port_unreachable_is_closed_and_other_errors_are_filtered(via):
    kind = made(via)
    port, other = (4, 1) if VIAS[via].family == 6 else (3, 13)
    for index, probe in sent_by(kind, np.arange(kind.space.size), 2).items():
        assert read(kind, probe, probe.unreachable(port)) == [
            (index, State.CLOSED, Reason.PORT_UNREACH, 2, 0)]
        assert read(kind, probe, probe.unreachable(other)) == [
            (index, State.FILTERED, Reason.ADMIN_PROHIBITED, 2, 0)]
        router = read(kind, probe, probe.unreachable(port), source=int(probe.ip.src) ^ 9)
        assert router[0][:2] == (index, State.FILTERED)


def test_router_s_word_is_soft_and_the_target_s_own_is_firm():
    kind = made("ether4")
    probe = sent_by(kind, [0])[0]
    frames = frames_of([
        probe.wrap(probe.unreachable(3)), probe.wrap(probe.unreachable(3), source=0x0A09_0002)])
    assert kind.read(frames).soft.tolist() == [False, True]


@pytest.mark.parametrize("via", VIAS)
def test_error_that_quotes_another_datagram_is_never_believed(via):
    kind = made(via)
    probe = sent_by(kind, [1])[1]
    code = 4 if VIAS[via].family == 6 else 3
    head = probe.ip.size
    for at in (4, 5, 6, 7):
        quote = bytearray(probe.packet)
        quote[head + at] ^= 1
        assert not read(kind, probe, probe.unreachable(code, quote=bytes(quote)))
    short = bytes(probe.packet[: head + 8])
    assert len(read(kind, probe, probe.unreachable(code, quote=short))) == 1


@pytest.mark.parametrize("via", VIAS)
def test_filter_passes_replies_and_errors_and_nothing_else(via):
    kind = made(via)
    ethernet = VIAS[via].ethernet
    program = kind.filter(wire.LinkType.ETHERNET if ethernet else wire.LinkType.RAW)
    probe = sent_by(kind, [0], 16)[0]
    assert run(program, probe.wrap(probe.udp(b"x")))
    assert run(program, probe.wrap(probe.unreachable(3)))
    assert not run(program, probe.wrap(probe.udp(b"x", dport=SPORT + TRIES_MAX)))
    assert not run(program, probe.wrap(wire.TCP(sport=53, dport=SPORT) / b""))


def test_ids_are_the_secret_s_octets_or_digits():
    secret = np.array([0x0102_A3B4], np.uint64)
    shapes = {
        Mark(0, 2, 0): b"\xa3\xb4", Mark(0, 4, 0): b"\1\2\xa3\xb4",
        Mark(0, 8, 0): b"\1\2\xa3\xb4\1\2\xa3\xb4",
        Mark(0, 8, 0, hexadecimal=True): b"0102a3b4",
    }
    for mark, octets in shapes.items():
        assert id_octets(secret, mark).tobytes() == octets


def test_likelihood_is_between_its_ends_and_higher_where_we_know_the_protocol():
    ports = np.array([53, 9999], np.uint16)
    for silent in (1, 50, 100):
        known, unknown = likelihood(ports, silent, 100)
        assert 0 < unknown < known < 1
    assert likelihood(ports, 1, 100)[0] > likelihood(ports, 100, 100)[0]
