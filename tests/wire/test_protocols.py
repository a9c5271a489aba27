from __future__ import annotations

import random

import pytest

from portulan.wire import TCP, UDP, VLAN, Ethernet, Frames, IPv4, IPv6
from portulan.wire.dissect import dissect
from portulan.wire.protocols import protocols
from tests.traffic.connections import connections
from tests.traffic.traffic import packets


def wanted(frames):
    return [dissect(octets, frames.link_type).protocols for octets in frames]


def mutated(chance, octets):
    changed = bytearray(octets)
    for at in range(len(changed)):
        if chance.random() < 0.03:
            changed[at] = chance.choice((0, 255, 6, 17, 22, chance.randrange(256)))
    return bytes(changed[: chance.choice((len(changed), chance.randrange(len(changed) + 1)))])


@pytest.mark.parametrize("seed", range(6))
def test_names_are_those_of_the_dissector(seed):
    chance = random.Random(seed)
    some = [octets for octets, _, _ in [*packets(seed, 300), *connections(seed)]]
    loads = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n", b"", b"?"]
    heads = [Ethernet() / IPv4(), Ethernet() / VLAN(id=5) / IPv6(), Ethernet() / IPv4(ttl=3)]
    some += [
        (chance.choice(heads) / kind(sport=chance.choice([53, 443, 9]),
                                     dport=chance.choice([80, 443, 4789, 9]))
         / chance.choice(loads)).pack() for _ in range(150) for kind in (TCP, UDP)]
    some += [mutated(chance, octets) for octets in chance.sample(some, 300)]
    for link_type, parts in ((1, some), (101, [octets[14:] for octets in some]), (113, some[:40])):
        frames = Frames.of(parts, link_type=link_type)
        assert protocols(frames).tolist() == wanted(frames)


def test_batch_without_octets_has_empty_names():
    assert protocols(Frames.of([b"", b""])).tolist() == ["", ""]
    assert protocols(Frames.empty()).tolist() == []
