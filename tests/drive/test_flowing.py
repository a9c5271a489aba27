from __future__ import annotations

import pytest

from portulan import wire
from portulan.drive import flowing
from portulan.drive.capture import Capture
from portulan.drive.flowing import Follower, gathered
from portulan.errors import UsageError
from portulan.link.pcapng_writer import PcapngWriter

A = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
B = wire.IPv4(src="10.9.0.2", dst="10.9.0.1")


@pytest.fixture
def capture(tmp_path):
    packets = [
        A / wire.ICMP(), A / wire.UDP(sport=5, dport=53) / b"who",
        B / wire.UDP(sport=53, dport=5) / b"me",
        A / wire.TCP(sport=9, dport=80, seq=1, flags=16) / b"GET"]
    path = tmp_path / "a.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(wire.Frames.of([each.pack() for each in packets], link_type=101))
    return Capture(path)


def said(follower, capture):
    return [(chunk.side, chunk.octets) for chunk in follower.chunks(capture)]


def test_flow_by_number_tells_datagrams_of_both_sides(capture):
    assert said(Follower.flow(2), capture) == [(0, b"who"), (1, b"me")]


def test_tcp_by_endpoints_has_the_first_as_side_0(capture):
    assert said(Follower.tcp("10.9.0.2:80-10.9.0.1:9"), capture) == [(1, b"GET")]
    assert said(Follower.flow(3), capture) == [(0, b"GET")]


@pytest.mark.parametrize(("number", "words"), [(1, "only TCP and UDP"), (9, "no such")])
def test_flow_that_cannot_be_followed_is_refused(capture, number, words):
    with pytest.raises(UsageError, match=words):
        said(Follower.flow(number), capture)


def test_text_without_two_endpoints_is_refused():
    with pytest.raises(UsageError, match="no pair"):
        Follower.tcp("10.9.0.1:80")


def test_flow_of_a_port_used_again_is_followed_alone(tmp_path):
    def tcp(seq, flags, octets=b""):
        there = wire.TCP(sport=9, dport=80, seq=seq, flags=flags)
        return A / there / octets if octets else A / there

    packets = [tcp(1, 2), tcp(2, 24, b"old"), tcp(5, 17), tcp(70, 2),
               tcp(71, 24, b"new")]
    path = tmp_path / "again.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(wire.Frames.of([each.pack() for each in packets], link_type=101))
    assert said(Follower.flow(1), Capture(path)) == [(0, b"old")]
    assert said(Follower.flow(2), Capture(path)) == [(0, b"new")]


def test_small_batches_are_gathered_and_links_kept_apart(monkeypatch):
    monkeypatch.setattr(flowing, "GATHER_FRAMES", 4)
    ones = [wire.Frames.of([bytes([n])], [n], link_type=101 if n < 6 else 1) for n in range(9)]
    found = list(gathered(ones))
    assert [len(batch) for batch in found] == [4, 2, 3]
    assert [octets[0] for batch in found for octets in batch] == list(range(9))
    assert [batch.link_type for batch in found] == [101, 101, 1]
    assert list(gathered([])) == []


def test_large_buffers_are_passed_on(monkeypatch):
    monkeypatch.setattr(flowing, "GATHER_OCTETS", 10)
    assert [len(each) for each in gathered([wire.Frames.of([bytes(6)])] * 5)] == [2, 2, 1]
