from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic.keys import keys

from .traffic import shapes

HEAD = wire.Ethernet() / wire.IPv4(src="10.9.0.9", dst="10.9.0.2")


def test_two_directions_share_a_key():
    there = HEAD / wire.UDP(sport=5, dport=6)
    back = wire.Ethernet() / wire.IPv4(src="10.9.0.2", dst="10.9.0.9") / wire.UDP(sport=6, dport=5)
    found = keys(wire.Frames.of([there.pack(), back.pack()]))
    assert found.words[0].tolist() == found.words[1].tolist()
    assert found.swapped.tolist() == [True, False]


def test_vlan_protocol_and_ports_tell_keys_apart():
    ip = wire.IPv4(src="10.9.0.9", dst="10.9.0.2")
    some = [
        HEAD / wire.UDP(sport=5, dport=6), HEAD / wire.TCP(sport=5, dport=6),
        HEAD / wire.UDP(sport=6, dport=5),
        wire.Ethernet() / wire.VLAN(id=3) / ip / wire.UDP(sport=5, dport=6)]
    found = keys(wire.Frames.of([each.pack() for each in some]))
    assert len({tuple(words) for words in found.words.tolist()}) == len(some)


@given(st.sampled_from(shapes(3, 40)), st.integers(0, 90), st.binary(max_size=30))
def test_damaged_packets_never_raise(octets, cut, tail):
    found = keys(wire.Frames.of([octets[:cut] + tail, octets]))
    assert len(found.rows) == len(found.words) == len(found.swapped) <= 2
