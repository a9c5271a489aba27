from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.paths import Paths
from portulan.scan.ping import ACK_PORT, CONTACT_MAX_BYTES, PROBES, SYN_PORT, UDP_PORT, PingKind
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire import bpf
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
    mixed_paths,
    mixed_space,
    sent_by,
)

CONTACT = b"scans@example.net"
SPACE = mixed_space(PROBES[4], PROBES[6])
KIND = PingKind(SPACE, mixed_paths(SPACE), key=KEY, sport=SPORT, contact=CONTACT)
VIAS = {"ether4": ETHER4, "ether6": ETHER6, "raw4": RAW4, "raw6": RAW6}


def one_way(via, contact=b""):
    space = Space.hosts([Range(via.family, NET4 if via.family == 4 else NET6, 10)],
                        PROBES[via.family])
    return PingKind(space, Paths((via,)), key=KEY, sport=SPORT, contact=contact)


ONE_WAY = {name: one_way(via) for name, via in VIAS.items()}


def right(probe):
    """The reply that a host gives to this probe, and its reason."""
    if isinstance(probe.head, wire.TCP):
        if probe.head.dport == ACK_PORT:
            return probe.tcp("R", seq=probe.head.ack, ack=0), Reason.RESET
        return probe.tcp(), Reason.SYN_ACK
    if isinstance(probe.head, wire.UDP):
        return probe.unreachable(4 if probe.ip.layer == "ip6" else 3), Reason.PORT_UNREACH
    if probe.head.type == wire.IcmpType.TIMESTAMP:
        return probe.timestamp_reply(), Reason.TIMESTAMP_REPLY
    return probe.echo_reply(), Reason.ECHO_REPLY


def test_every_probe_of_both_families_parses_back_with_right_sums():
    sent = sent_by(KIND, np.arange(SPACE.size), 3)
    host = SPACE.host_of(np.arange(SPACE.size))
    for index in range(SPACE.size):
        if host[index] % 4 == 3:
            assert index not in sent
            continue
        probe = sent[index]
        asked = SPACE.probes(np.array([index]))
        assert probe.sums_are_right()
        assert int(probe.ip.dst) == int(asked.hi[0]) << 64 | int(asked.lo[0])
        port = int(asked.port[0])
        if asked.protocol[0] == 6:
            assert (probe.head.dport, probe.head.sport) == (port, SPORT + 2)
            flag = wire.TcpFlags.ACK if port == ACK_PORT else wire.TcpFlags.SYN
            assert probe.head.flags == flag
            assert port in (SYN_PORT, ACK_PORT)
        elif asked.protocol[0] == 17:
            assert (probe.head.dport, probe.head.sport) == (port, SPORT + 2)
            assert (port, len(probe.body)) == (UDP_PORT, 4)
        else:
            assert probe.head.type == port
            assert probe.head.seq & 15 == 2


def test_contact_travels_in_echo_requests_and_is_cut():
    long = PingKind(ONE_WAY["ether4"].space, Paths((ETHER4,)), key=KEY, sport=SPORT,
                    contact=b"x" * 999)
    for kind, text in ((KIND, CONTACT), (long, b"x" * CONTACT_MAX_BYTES)):
        sent = sent_by(kind, np.arange(kind.space.size))
        echoes = [p for p in sent.values() if not isinstance(p.head, (wire.TCP, wire.UDP))
                  and p.head.type in (wire.IcmpType.ECHO, wire.Icmp6Type.ECHO)]
        assert echoes
        assert {p.body for p in echoes} == {text}
        assert all(p.sums_are_right() for p in echoes)


@settings(deadline=None)
@given(st.integers(0, SPACE.size - 1), st.integers(1, TRIES_MAX))
def test_right_reply_says_up_for_exactly_its_index_and_try(index, try_no):
    sent = sent_by(KIND, [index], try_no)
    if index in sent:
        inner, reason = right(sent[index])
        ethernet = bool(sent[index].ethernet)
        frames = frames_of([b"\0" * 60, sent[index].wrap(inner)], ethernet=ethernet)
        assert columns(KIND.read(frames)) == [(index, State.UP, reason, try_no, 1)]


@pytest.mark.parametrize("name", VIAS)
def test_reset_to_the_syn_says_up(name):
    kind = ONE_WAY[name]
    for index, probe in sent_by(kind, np.arange(kind.space.size)).items():
        if isinstance(probe.head, wire.TCP) and probe.head.dport == SYN_PORT:
            frames = frames_of([probe.wrap(probe.tcp("RA"))], ethernet="ether" in name)
            assert columns(kind.read(frames)) == [(index, State.UP, Reason.RESET, 1, 0)]


def wrongs(probe):
    """Replies that prove nothing about the probe's host."""
    yield right(probe)[0], dict(source=int(probe.ip.dst) ^ 1)
    yield right(probe)[0], dict(source=int(probe.ip.dst) ^ 1 << 30)
    if isinstance(probe.head, wire.TCP):
        yield probe.tcp("A"), {}
        yield probe.tcp("SA", ack=12345), {}
        yield probe.tcp("R", seq=1, ack=0), {}
        if probe.head.dport == ACK_PORT:
            yield probe.tcp("SA"), {}
            yield probe.tcp("A", seq=probe.head.ack), {}
            yield probe.tcp("R", seq=probe.head.ack, dport=SPORT + 1), {}
            yield probe.tcp("R", seq=probe.head.ack, dport=SPORT - 1), {}
            yield probe.tcp("R", seq=probe.head.ack, dport=SPORT + 16), {}
        return
    if isinstance(probe.head, wire.UDP):
        for code in range(16):
            yield probe.unreachable(code), dict(source=int(probe.ip.dst) ^ 1)
        yield probe.unreachable(0), {}
        yield probe.time_exceeded(), {}
        other = bytearray(probe.packet)
        other[-6] ^= 1  # its checksum
        yield probe.unreachable(4 if probe.ip.layer == "ip6" else 3, quote=bytes(other)), {}
        yield probe.udp(probe.body), {}
        return
    reply = probe.timestamp_reply if probe.head.type == 13 else probe.echo_reply
    yield reply(id=probe.head.id ^ 1), {}
    for bit in range(16):
        yield reply(seq=probe.head.seq ^ 1 << bit if bit > 3 else probe.head.seq ^ 0x100), {}
    for message in (probe.head.type, 16):  # our own request, mirrored; something else
        yield probe.head.replace(type=message) / probe.body, {}


@pytest.mark.parametrize("name", VIAS)
def test_wrong_reply_is_never_believed(name):
    kind = ONE_WAY[name]
    for index, probe in sent_by(kind, np.arange(kind.space.size)).items():
        for inner, words in wrongs(probe):
            frames = frames_of([probe.wrap(inner, **words)], ethernet="ether" in name)
            assert not len(kind.read(frames)), (index, inner)


def test_timestamp_reply_does_not_answer_an_echo_nor_the_reverse():
    kind = ONE_WAY["ether4"]
    for probe in sent_by(kind, np.arange(kind.space.size)).values():
        if isinstance(probe.head, wire.ICMP):
            crossed = probe.echo_reply if probe.head.type == 13 else probe.timestamp_reply
            assert not len(kind.read(frames_of([probe.wrap(crossed())])))


@settings(deadline=None)
@given(st.integers(0, SPACE.size - 1), st.integers(1, TRIES_MAX), st.data())
def test_bit_flipped_reply_is_nothing_or_that_host(index, try_no, data):
    sent = sent_by(KIND, [index], try_no)
    if index not in sent:
        return
    probe = sent[index]
    octets = bytearray(probe.wrap(right(probe)[0]))
    bit = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[bit // 8] ^= 1 << bit % 8
    answers = KIND.read(frames_of([bytes(octets)], ethernet=bool(probe.ethernet)))
    # ICMP has no room to prove the try too: a flip there is seen by the checksum of the kernel.
    assert {row[0] for row in columns(answers)} <= {index}
    if isinstance(probe.head, wire.TCP):
        assert {row[3] for row in columns(answers)} <= {try_no}


@settings(deadline=None)
@given(st.lists(hostile_octets, max_size=8), st.booleans())
def test_strange_frames_give_no_answer(parts, ethernet):
    assert not len(KIND.read(frames_of(parts, ethernet=ethernet)))


UP4 = {2: Reason.PROTO_UNREACH, 3: Reason.PORT_UNREACH, 13: Reason.ADMIN_PROHIBITED}
UP6 = {4: Reason.PORT_UNREACH, 1: Reason.ADMIN_PROHIBITED}


@pytest.mark.parametrize("name", VIAS)
def test_error_proves_a_host_only_if_it_comes_from_the_host(name):
    kind, codes = ONE_WAY[name], UP4 if name.endswith("4") else UP6
    for index, probe in sent_by(kind, np.arange(kind.space.size)).items():
        if not isinstance(probe.head, (wire.TCP, wire.UDP)):
            continue
        for code in range(16):
            own = probe.wrap(probe.unreachable(code))
            other = probe.wrap(probe.unreachable(code), source=int(probe.ip.dst) ^ 0x10)
            found = kind.read(frames_of([own, other], ethernet="ether" in name))
            if code in codes:
                assert columns(found) == [(index, State.UP, codes[code], 1, 0)]
            else:
                assert all(row[4] == 0 for row in columns(found))
                assert {row[2] for row in columns(found)} <= {Reason.ADMIN_PROHIBITED}
        assert not len(kind.read(frames_of([probe.wrap(probe.time_exceeded())])))


@pytest.mark.parametrize("name", VIAS)
def test_filter_passes_right_replies(name):
    kind = ONE_WAY[name]
    link = wire.LinkType.ETHERNET if "ether" in name else wire.LinkType.RAW
    program = list(kind.filter(link))
    for probe in sent_by(kind, np.arange(kind.space.size)).values():
        assert bpf.run(program, probe.wrap(right(probe)[0]))
        assert bpf.run(program, probe.wrap(probe.unreachable(3)))


def test_building_twice_gives_the_same_bytes():
    again = PingKind(SPACE, mixed_paths(SPACE), key=KEY, sport=SPORT, contact=CONTACT)
    one, two = (sent_by(kind, np.arange(SPACE.size)[::step], 2)
                for kind, step in ((KIND, 1), (again, -1)))
    assert {k: v.octets for k, v in one.items()} == {k: v.octets for k, v in two.items()}
