from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.paths import Paths
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import MSS_BYTES, SynKind
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire import bpf
from tests.wire.generators import hostile_octets

from .crafting import (
    ETHER4,
    ETHER6,
    KEY,
    MAC,
    NEXT,
    OURS4,
    RAW4,
    RAW6,
    SPORT,
    Sent,
    columns,
    frames_of,
    mixed_paths,
    mixed_space,
    sent_by,
)

PORTS = [(6, port) for port in (1, 22, 80, 443, 65535)]
SPACE = mixed_space(PORTS, PORTS)
KIND = SynKind(SPACE, mixed_paths(SPACE), key=KEY, sport=SPORT)
ALL = np.arange(SPACE.size)
HALF = SPACE.size // 2
VIAS = {"ether4": ETHER4, "ether6": ETHER6, "raw4": RAW4, "raw6": RAW6}
index_of_v4 = st.integers(0, HALF - 1)
any_index = st.integers(0, SPACE.size - 1)
any_try = st.integers(1, TRIES_MAX)


def one_way(via, ports=PORTS, count=12):
    start = 0x0A09_0100 if via.family == 4 else (0xFD09 << 112 | 0x0001_FFF0)
    space = Space.hosts([Range(via.family, start, count)], ports)
    return SynKind(space, Paths((via,)), key=KEY, sport=SPORT)


ETHER = one_way(ETHER4)
ONE_WAY = {name: one_way(via) for name, via in VIAS.items()}


@pytest.mark.parametrize("name", VIAS)
def test_every_probe_of_one_way_parses_back_with_right_sums(name):
    kind, via = ONE_WAY[name], VIAS[name]
    for try_no in (1, 2, TRIES_MAX):
        sent = sent_by(kind, np.arange(kind.space.size), try_no)
        assert len(sent) == kind.space.size
        for index, probe in sent.items():
            asked = kind.space.probes(np.array([index]))
            assert probe.sums_are_right()
            assert int(probe.ip.src) == via.source
            assert int(probe.ip.dst) == int(asked.hi[0]) << 64 | int(asked.lo[0])
            assert probe.head.dport == asked.port[0]
            assert probe.head.sport == SPORT + try_no - 1
            assert probe.head.flags == wire.TcpFlags.SYN
            assert probe.head.ack == 0
            assert probe.body == bytes([2, 4]) + MSS_BYTES.to_bytes(2, "big")
            if via.ethernet:
                assert int(probe.ethernet.src) == int.from_bytes(MAC, "big")
                assert int(probe.ethernet.dst) == NEXT


def test_several_ways_each_probe_goes_its_own():
    sent = sent_by(KIND, ALL)
    host = SPACE.host_of(ALL)
    for index in ALL.tolist():
        turn = host[index] % 4
        if turn == 3:
            assert index not in sent
            continue
        probe = sent[index]
        assert probe.sums_are_right()
        assert bool(probe.ethernet) == (turn % 2 == 0)
        assert isinstance(probe.ip, wire.IPv4 if index < HALF else wire.IPv6)


def test_neighbours_each_probe_has_its_hosts_mac():
    via = ETHER4.__class__(0, 4, OURS4, MAC)
    space = Space.hosts([Range(4, 0x0A09_0100, 5)], PORTS)
    macs = np.array([0x0200_0000_0000 + 7 * n for n in range(5)], np.uint64)
    kind = SynKind(space, Paths((via,), np.zeros(5, np.uint8), macs), key=KEY, sport=SPORT)
    sent = sent_by(kind, np.arange(space.size)[::-1])
    for index, probe in sent.items():
        assert int(probe.ethernet.dst) == macs[space.host_of(np.array([index]))[0]]


def test_building_twice_gives_the_same_bytes():
    again = SynKind(SPACE, mixed_paths(SPACE), key=KEY, sport=SPORT)
    order = np.random.default_rng(1).permutation(ALL)
    one, two = sent_by(KIND, ALL, 3), sent_by(again, order, 3)
    assert {k: v.octets for k, v in one.items()} == {k: v.octets for k, v in two.items()}


def test_another_key_another_sequence_number():
    other = SynKind(SPACE, mixed_paths(SPACE), key=(KEY[0], KEY[1] ^ 1), sport=SPORT)
    one, two = sent_by(KIND, ALL), sent_by(other, ALL)
    assert not [k for k in one if one[k].head.seq == two[k].head.seq]


@settings(deadline=None)
@given(any_index, any_try, st.sampled_from(["SA", "R", "RA", "SAE", "SAP"]))
def test_right_reply_names_exactly_its_index_and_try(index, try_no, flags):
    sent = sent_by(KIND, [index], try_no)
    if index not in sent:
        return
    probe = sent[index]
    frames = frames_of([b"", probe.wrap(probe.tcp(flags))], ethernet=bool(probe.ethernet))
    state, reason = (
        (State.CLOSED, Reason.RESET) if "R" in flags else (State.OPEN, Reason.SYN_ACK))
    answers = KIND.read(frames)
    assert columns(answers) == [(index, state, reason, try_no, 1)]
    assert (answers.ttl[0], answers.time_ns[0], answers.soft[0]) == (61, 1001, False)


@pytest.mark.parametrize("name", VIAS)
def test_batch_of_all_replies_is_read_in_place(name):
    kind = ONE_WAY[name]
    sent = sent_by(kind, np.arange(kind.space.size), 2)
    replies = [probe.wrap(probe.tcp("SA" if n % 2 else "RA")) for n, probe in sent.items()]
    answers = kind.read(frames_of(replies, ethernet="ether" in name))
    assert [row[0] for row in columns(answers)] == list(sent)
    assert answers.row.tolist() == list(range(len(sent)))
    assert set(answers.try_no.tolist()) == {2}


def wrongs(probe):
    """Replies that prove nothing."""
    ack = (probe.head.seq + 1) & 0xFFFF_FFFF
    other = int(probe.ip.dst) ^ 1
    return {
        "wrong ack": probe.tcp(ack=ack ^ 4), "ack of nothing": probe.tcp(ack=0),
        "ack not counted, open": probe.tcp(ack=probe.head.seq),
        "ack two beyond": probe.tcp("RA", ack=ack + 1 & 0xFFFF_FFFF),
        "from another port": probe.tcp(sport=probe.head.dport ^ 0x300),
        "to another try": probe.tcp(dport=probe.head.sport + 1),
        "below our ports": probe.tcp(dport=SPORT - 1),
        "beyond our ports": probe.tcp(dport=SPORT + TRIES_MAX),
        "syn only": probe.tcp("S"), "ack only": probe.tcp("A"), "fin": probe.tcp("FA"),
        "nothing set": probe.tcp(""), "push": probe.tcp("PA"),
        "someone else": (probe.tcp(), dict(source=other)),
        "out of the space": (probe.tcp(), dict(source=int(probe.ip.dst) ^ 1 << 30)),
    }


@pytest.mark.parametrize("name", VIAS)
def test_wrong_reply_is_never_believed(name):
    kind = ONE_WAY[name]
    for index, probe in sent_by(kind, np.arange(0, kind.space.size, 7)).items():
        for what, wrong in wrongs(probe).items():
            inner, words = wrong if isinstance(wrong, tuple) else (wrong, {})
            frames = frames_of([probe.wrap(inner, **words)], ethernet=bool(probe.ethernet))
            assert not len(kind.read(frames)), (what, index)


def test_reset_that_does_not_count_the_syn_is_closed():
    probe = sent_by(ETHER, [7])[7]
    frames = frames_of([probe.wrap(probe.tcp("RA", ack=probe.head.seq))])
    assert columns(ETHER.read(frames)) == [(7, State.CLOSED, Reason.RESET, 1, 0)]


@settings(deadline=None)
@given(any_index, any_try, st.data())
def test_bit_flipped_reply_is_nothing_or_that_probe(index, try_no, data):
    sent = sent_by(KIND, [index], try_no)
    if index not in sent:
        return
    probe = sent[index]
    octets = bytearray(probe.wrap(probe.tcp()))
    bit = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[bit // 8] ^= 1 << bit % 8
    answers = KIND.read(frames_of([bytes(octets)], ethernet=bool(probe.ethernet)))
    assert {(row[0], row[3]) for row in columns(answers)} <= {(index, try_no)}


@pytest.mark.parametrize("name", VIAS)
def test_reply_cut_anywhere_is_never_believed_nor_raises(name):
    kind = ONE_WAY[name]
    probe = sent_by(kind, [11])[11]
    for inner in (probe.tcp(), probe.unreachable(1)):
        whole = probe.wrap(inner)
        proof = len(whole) - (0 if inner.layers[0].layer == "tcp" else len(probe.packet) - 28)
        for size in range(len(whole)):
            answers = kind.read(frames_of([whole[:size]], ethernet=bool(probe.ethernet)))
            assert not len(answers) or size >= proof


def test_later_fragment_with_the_right_bytes_is_not_believed():
    probe = sent_by(ETHER, [7])[7]
    ip = wire.IPv4(src=probe.ip.dst, dst=probe.ip.src, flags=0, fragment_offset=185)
    frames = frames_of([(wire.Ethernet() / ip / probe.tcp()).pack()])
    assert not len(ETHER.read(frames))


@settings(deadline=None)
@given(st.lists(hostile_octets, max_size=8), st.booleans())
def test_strange_frames_give_no_answer(parts, ethernet):
    assert not len(KIND.read(frames_of(parts, ethernet=ethernet)))


def test_a_million_blind_guesses_prove_nothing():
    # One probe, replies with random acknowledgements: the cookie has 32 bits (a spoofer who
    # floods must guess one of 2**32; two values count for a reset).
    probe = sent_by(ETHER, [7])[7]
    count = 20_000
    rows = np.empty((count, 54), np.uint8)
    rows[:] = np.frombuffer(probe.wrap(probe.tcp("RA", ack=0)), np.uint8)
    acks = np.random.default_rng(3).integers(0, 1 << 32, count)
    right = (probe.head.seq, (probe.head.seq + 1) & 0xFFFF_FFFF)
    wire.TCP.view(rows, 34).ack[:] = acks[:]
    answers = ETHER.read(wire.Frames.uniform(rows))
    assert len(answers) == int(np.isin(acks, right).sum())


CODES4 = {
    0: Reason.NET_UNREACH, 1: Reason.HOST_UNREACH, 2: Reason.PROTO_UNREACH,
    3: Reason.PORT_UNREACH, 6: Reason.NET_UNREACH, 7: Reason.HOST_UNREACH,
    9: Reason.NET_PROHIBITED, 10: Reason.HOST_PROHIBITED, 11: Reason.NET_UNREACH,
    12: Reason.HOST_UNREACH, 13: Reason.ADMIN_PROHIBITED, 15: Reason.ADMIN_PROHIBITED,
    4: Reason.DEST_UNREACH, 5: Reason.DEST_UNREACH, 16: Reason.DEST_UNREACH,
    255: Reason.DEST_UNREACH,
}
CODES6 = {
    0: Reason.NET_UNREACH, 1: Reason.ADMIN_PROHIBITED, 3: Reason.HOST_UNREACH,
    4: Reason.PORT_UNREACH, 5: Reason.ADMIN_PROHIBITED, 6: Reason.ADMIN_PROHIBITED,
    7: Reason.DEST_UNREACH, 255: Reason.DEST_UNREACH,
}


@pytest.mark.parametrize("name", VIAS)
def test_unreachable_by_code_is_filtered_with_its_reason(name):
    kind = ONE_WAY[name]
    codes = CODES4 if name.endswith("4") else CODES6
    router = int(kind.space.segments[0].start) - 1
    for number, (code, reason) in enumerate(codes.items()):
        index, try_no = number % kind.space.size, 1 + number % TRIES_MAX
        probe = sent_by(kind, [index], try_no)[index]
        reply = probe.wrap(probe.unreachable(code), source=router)
        answers = kind.read(frames_of([reply], ethernet=bool(probe.ethernet)))
        assert columns(answers) == [(index, State.FILTERED, reason, try_no, 0)]
        assert answers.soft.all()


@pytest.mark.parametrize("name", VIAS)
def test_time_exceeded_is_filtered(name):
    kind = ONE_WAY[name]
    probe = sent_by(kind, [3])[3]
    reply = probe.wrap(probe.time_exceeded(), source=int(probe.ip.dst) ^ 1 << 20)
    answers = kind.read(frames_of([reply], ethernet=bool(probe.ethernet)))
    assert columns(answers) == [(3, State.FILTERED, Reason.TIME_EXCEEDED, 1, 0)]


def test_error_that_quotes_eight_bytes_only_is_enough():
    probe = sent_by(ETHER, [3])[3]
    reply = probe.wrap(probe.unreachable(13, quote=probe.packet[:28]))
    assert columns(ETHER.read(frames_of([reply]))) == [
        (3, State.FILTERED, Reason.ADMIN_PROHIBITED, 1, 0)]


@pytest.mark.parametrize("name", VIAS)
def test_error_about_others_is_never_believed(name):
    kind = ONE_WAY[name]
    probe = sent_by(kind, [3])[3]
    quote = bytearray(probe.packet)
    size = probe.ip.size
    lies = []
    for at in (*range(size - 4, size), *range(size, size + 8)):  # destination, ports, sequence
        lie = bytearray(quote)
        lie[at] ^= 1 << random.Random(at).randrange(8)
        lies.append(bytes(lie))
    lies += [quote[: size + 7], quote[:size], b""]
    for lie in lies:
        reply = probe.wrap(probe.unreachable(1, quote=bytes(lie)))
        assert not len(kind.read(frames_of([reply], ethernet=bool(probe.ethernet)))), lie


@pytest.mark.parametrize("message", [4, 5, 12])
def test_quench_redirect_and_parameter_problem_say_nothing_about_delivery(message):
    probe = sent_by(ETHER, [3])[3]
    reply = probe.wrap(wire.ICMP(type=message) / probe.packet)
    assert not len(ETHER.read(frames_of([reply])))


@pytest.mark.parametrize("extension", [
    wire.HopByHop() / wire.Options(bytes([1, 4, 0, 0, 0, 0])),
    wire.Destination() / wire.Options(bytes([1, 4, 0, 0, 0, 0])), wire.Fragment(identification=7),
], ids=["hop by hop", "destination", "atomic fragment"])
def test_reply_behind_an_extension_header_of_ipv6_is_read(extension):
    kind = ONE_WAY["ether6"]
    probe = sent_by(kind, [3])[3]
    reply = probe.wrap(extension / probe.tcp())
    assert columns(kind.read(frames_of([reply]))) == [(3, State.OPEN, Reason.SYN_ACK, 1, 0)]
    assert bpf.run(kind.filter(wire.LinkType.ETHERNET), reply)


def test_icmp_of_the_other_family_is_not_believed():
    probe = sent_by(ETHER, [3])[3]
    six = wire.IPv6(src=1, dst=2) / wire.ICMPv6.unreachable(4, probe.packet)
    four_in_six = (wire.Ethernet() / six).pack()
    assert not len(ETHER.read(frames_of([four_in_six])))


def test_mixed_batch_of_both_families_is_read():
    six = ONE_WAY["ether6"]
    both = SynKind(
        Space([*ETHER.space.segments, *six.space.segments]), Paths((ETHER4,)), key=KEY, sport=SPORT)
    replies, want = [], []
    for offset, kind in ((0, ETHER), (ETHER.space.size, six)):
        for index, probe in sent_by(kind, np.arange(0, kind.space.size, 3)).items():
            replies.append(probe.wrap(probe.tcp()))
            want.append((index + offset, State.OPEN))
    order = random.Random(5).sample(range(len(replies)), len(replies))
    answers = both.read(frames_of([replies[at] for at in order]))
    assert [row[:2] for row in columns(answers)] == [want[at] for at in order]


@pytest.mark.parametrize("name", VIAS)
def test_filter_passes_every_reply_and_not_our_own_probe(name):
    kind = ONE_WAY[name]
    link = wire.LinkType.ETHERNET if "ether" in name else wire.LinkType.RAW
    program = list(kind.filter(link))
    for try_no in (1, TRIES_MAX):
        probe = sent_by(kind, [9], try_no)[9]
        for inner in (probe.tcp(), probe.tcp("RA"), probe.unreachable(1), probe.time_exceeded()):
            assert bpf.run(program, probe.wrap(inner))
        assert not bpf.run(program, probe.octets)
        assert not bpf.run(program, probe.wrap(probe.tcp(dport=SPORT - 1)))


def test_no_probe_no_frames():
    assert sum(len(out.rows) for out in KIND.build(np.empty(0, np.int64), 1)) == 0
    assert not len(KIND.read(wire.Frames.empty()))


def test_sent_parses_what_wrap_packs():
    probe = sent_by(ETHER, [0])[0]
    back = Sent.parse(probe.wrap(probe.tcp()), ethernet=True)
    assert back.sums_are_right()
    assert back.head.dport == SPORT
