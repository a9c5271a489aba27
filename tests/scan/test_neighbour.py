from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.neighbour import QUESTION, NeighbourKind
from portulan.scan.paths import NO_WAY, Paths, Via
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire import bpf
from portulan.wire.checksum import finish, transport_sum
from portulan.wire.icmpv6 import link_address, solicited_node
from tests.wire.generators import hostile_octets

from .crafting import MAC, NET4, NET6, OURS4, OURS6, columns, frames_of

OUR_MAC = int.from_bytes(MAC, "big")
THEIRS = 0x0250_0000_0000
HOSTS = 10
RANGES = [Range(4, NET4, HOSTS), Range(6, NET6, HOSTS)]
ETHERNET = wire.Ethernet


def fresh():
    space = Space.hosts(RANGES, [QUESTION])
    vias = (Via(0, 4, OURS4, MAC), Via(0, 6, OURS6, MAC))
    of_host = np.repeat(np.array([0, 1], np.uint8), HOSTS)
    return NeighbourKind(space, Paths(vias, of_host))


def is_at(host, **changes):
    """The ARP reply of a host."""
    words = dict(operation=2, sha=THEIRS + host, spa=NET4 + host, tha=OUR_MAC, tpa=OURS4)
    return (ETHERNET(dst=OUR_MAC, src=THEIRS + host) / wire.ARP(**{**words, **changes})).pack()


def advertisement(host, *, hop_limit=255, message=None, target=None):
    target = NET6 + host if target is None else target
    if message is None:
        message = wire.ICMPv6.neighbour_advertisement(target, mac=THEIRS + host)
    ip = wire.IPv6(src=NET6 + host, dst=OURS6, hop_limit=hop_limit)
    return (ETHERNET(dst=OUR_MAC, src=THEIRS + host) / ip / message).pack()


def test_questions_ask_each_host_and_have_right_sums():
    kind = fresh()
    rows = {}
    for out in kind.build(np.arange(2 * HOSTS), 1):
        assert out.ethernet
        rows.update(zip(np.arange(2 * HOSTS)[out.at].tolist(),
                        (row.tobytes() for row in out.rows), strict=True))
    for host in range(HOSTS):
        ethernet, arp = ETHERNET.parse(rows[host]), wire.ARP.parse(rows[host], 14)
        assert (int(ethernet.dst), int(ethernet.src)) == (0xFFFF_FFFF_FFFF, OUR_MAC)
        assert arp.plain
        assert arp.operation == 1
        assert (int(arp.spa), int(arp.tpa), int(arp.sha)) == (OURS4, NET4 + host, OUR_MAC)
        octets = rows[HOSTS + host]
        ip, message = wire.IPv6.parse(octets, 14), wire.ICMPv6.parse(octets, 54)
        group, mac = solicited_node(NET6 + host)
        assert (ip.dst, ip.hop_limit, int(ip.src)) == (group, 255, OURS6)
        assert ETHERNET.parse(octets).dst == mac
        assert message.type == wire.Icmp6Type.NEIGHBOUR_SOLICITATION
        assert int(wire.Neighbour.parse(octets, 62).target) == NET6 + host
        assert octets[78:] == bytes([1, 1]) + MAC
        assert finish(transport_sum((ip,), 58, octets[54:])) == 0


def test_host_without_a_way_is_not_asked():
    space = Space.hosts(RANGES, [QUESTION])
    of_host = np.full(2 * HOSTS, NO_WAY, np.uint8)
    of_host[3] = 0
    kind = NeighbourKind(space, Paths((Via(0, 4, OURS4, MAC),), of_host))
    [out] = kind.build(np.arange(2 * HOSTS), 1)
    assert out.at.tolist() == [3]


@pytest.mark.parametrize("reply", [is_at, advertisement])
def test_answer_tells_who_and_where(reply):
    kind = fresh()
    answers = kind.read(frames_of([reply(2), reply(7)]))
    first, reason = (0, Reason.ARP_RESPONSE) if reply is is_at else (HOSTS, Reason.ND_RESPONSE)
    assert columns(answers) == [
        (first + 2, State.UP, reason, 1, 0), (first + 7, State.UP, reason, 1, 1)]
    assert kind.macs[first + 2] == THEIRS + 2
    assert kind.macs[first + 7] == THEIRS + 7
    assert np.count_nonzero(kind.macs) == 2


def test_cluster_with_a_group_address_is_up():
    kind = fresh()
    assert len(kind.read(frames_of([is_at(2, sha=0x03BF_0A09_0102)]))) == 1


WRONG_ARP = {
    "a question": dict(operation=1), "to somebody else": dict(tha=OUR_MAC ^ 1),
    "broadcast": dict(tha=0xFFFF_FFFF_FFFF), "of nobody asked": dict(spa=NET4 + 99),
    "another hardware": dict(hardware=6), "long addresses": dict(hlen=8),
    "another network": dict(plen=16), "operation 3": dict(operation=3),
    "another protocol": dict(protocol=0x86DD), "no address": dict(sha=0),
    "everybody's address": dict(sha=0xFFFF_FFFF_FFFF),
}


@pytest.mark.parametrize("what", WRONG_ARP)
def test_wrong_arp_is_ignored(what):
    kind = fresh()
    assert not len(kind.read(frames_of([is_at(2, **WRONG_ARP[what])])))
    assert not kind.macs.any()


def option(kind, size, mac):
    message = wire.ICMPv6(type=136, id=0x6000) / wire.Neighbour(target=NET6 + 2)
    return message / (bytes([kind, size]) + mac.to_bytes(6, "big"))


WRONG_ND = {
    "hop limit 254": dict(hop_limit=254), "hop limit 64": dict(hop_limit=64),
    "of nobody asked": dict(target=NET6 + 99),
    "without address": dict(message=wire.ICMPv6(type=136) / wire.Neighbour(target=NET6 + 2)),
    "source option": dict(message=option(1, 1, THEIRS)),
    "option of another size": dict(message=option(2, 2, THEIRS)),
    "no address": dict(message=option(2, 1, 0)),
    "everybody's address": dict(message=option(2, 1, 0xFFFF_FFFF_FFFF)),
    "a solicitation": dict(message=wire.ICMPv6.neighbour_solicitation(NET6 + 2, mac=THEIRS)),
    "another code": dict(message=wire.ICMPv6(type=136, code=1)
                         / wire.Neighbour(target=NET6 + 2) / link_address(2, THEIRS)),
}


@pytest.mark.parametrize("what", WRONG_ND)
def test_wrong_advertisement_is_ignored(what):
    kind = fresh()
    assert not len(kind.read(frames_of([advertisement(2, **WRONG_ND[what])])))
    assert not kind.macs.any()


@pytest.mark.parametrize("reply", [is_at, advertisement])
def test_reply_cut_anywhere_is_ignored(reply):
    kind, whole = fresh(), reply(2)
    for size in range(len(whole)):
        assert not len(kind.read(frames_of([whole[:size]])))
    assert not kind.macs.any()


@settings(deadline=None)
@given(st.lists(hostile_octets, max_size=8))
def test_strange_frames_give_no_answer(parts):
    kind = fresh()
    assert not len(kind.read(frames_of(parts)))
    assert not kind.macs.any()


@settings(deadline=None)
@given(st.integers(0, HOSTS - 1), st.sampled_from([is_at, advertisement]), st.data())
def test_bit_flipped_reply_names_no_host_that_was_not_asked(host, reply, data):
    kind = fresh()
    octets = bytearray(reply(host))
    bit = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[bit // 8] ^= 1 << bit % 8
    answers = kind.read(frames_of([bytes(octets)]))
    assert len(answers) <= 1
    assert np.count_nonzero(kind.macs) == len(answers)


def test_filter_passes_arp_and_advertisements_only():
    program = list(fresh().filter(wire.LinkType.ETHERNET))
    assert bpf.run(program, is_at(1))
    assert bpf.run(program, advertisement(1))
    assert not bpf.run(program, (ETHERNET() / wire.IPv4(dst=OURS4) / wire.TCP(dport=5)).pack())


def test_no_hosts_no_questions():
    kind = fresh()
    assert sum(len(out.rows) for out in kind.build(np.empty(0, np.int64), 1)) == 0
