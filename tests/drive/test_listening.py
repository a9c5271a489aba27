from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.drive.listening import Listener, accepted, cut, kernel_program
from portulan.errors import UsageError
from portulan.wire.filter import compile_filter
from portulan.wire.frames import Frames, LinkType

ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
UDP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=7, dport=53) / bytes(20)
TCP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=7, dport=80)
MIXED = [ETH / UDP, ETH / TCP, ETH / wire.VLAN(id=7) / UDP, ETH / wire.VLAN(id=8) / TCP]


def frames():
    return Frames.of([packet.pack() for packet in MIXED])


def test_program_lets_tagged_frames_pass_before_it_judges():
    program = kernel_program(compile_filter("udp"))
    assert program[:3] == [(0x20, 0, 0, 0xFFFFF030), (0x15, 1, 0, 0), (6, 0, 0, 262_144)]


def test_program_that_bpf_cannot_say_is_none():
    assert kernel_program(compile_filter('dns.qname contains "a"')) is None


def test_accepted_exact_judges_tagged_frames_only():
    # The kernel has judged the first two: what it let pass stays, whatever the filter says.
    left = accepted(frames(), compile_filter("vlan 7"), exact=True)
    assert [len(each) for each in left] == [len(frames()[n]) for n in (0, 1, 2)]
    assert len(accepted(frames(), compile_filter("vlan 7"), exact=False)) == 1


def test_accepted_exact_leaves_cooked_and_cut_frames_to_the_kernel():
    for link_type in (LinkType.LINUX_SLL2, LinkType.ETHERNET):
        batch = Frames.of([bytes(3), bytes(13)], link_type=link_type)
        assert len(accepted(batch, compile_filter("udp", link_type), exact=True)) == 2


def test_cut_keeps_the_length_on_the_wire():
    left = cut(frames(), 20)
    assert set(left.length.tolist()) == {20}
    assert left.wire_length.tolist() == frames().wire_length.tolist()
    assert cut(left, 20) is left


def test_program_with_a_snaplen_returns_it():
    assert kernel_program(compile_filter("udp"), 96)[-2] == (6, 0, 0, 96)


def test_interface_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="no such interface"):
        Listener("nothere0")
