from __future__ import annotations

import numpy as np
import pytest

from portulan import wire
from portulan.errors import UsageError
from portulan.traffic.segments import Conversation, Endpoint

ETH = wire.Ethernet()


def segments(conversation, *packets):
    frames = wire.Frames.of([each.pack() for each in packets])
    return list(conversation.segments(frames, np.arange(1, len(frames) + 1)))


def test_both_sides_of_the_pair_come_with_frame_and_flags():
    pair = Conversation.tcp(Endpoint("10.9.0.2", 80), Endpoint("10.9.0.1", 4000))
    there = ETH / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(
        sport=4000, dport=80, seq=7, ack=9, flags=24) / b"GET"
    back = ETH / wire.VLAN(id=3) / wire.IPv4(src="10.9.0.2", dst="10.9.0.1") / wire.TCP(
        sport=80, dport=4000, seq=9, ack=10, flags=16) / b"200"
    other = ETH / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=4001, dport=80)
    found = segments(pair, other, there, back)
    assert [(s.side, s.seq, s.ack, s.flags, s.octets, s.size, s.frame) for s in found] == [
        (1, 7, 9, 24, b"GET", 3, 2), (0, 9, 10, 16, b"200", 3, 3)]


def test_ipv6_pair_is_found():
    pair = Conversation.tcp(Endpoint.parse("[fd00::2]:80"), Endpoint.parse("[fd00::1]:9"))
    packet = ETH / wire.IPv6(src="fd00::1", dst="fd00::2") / wire.TCP(sport=9, dport=80) / b"x"
    assert [(s.side, s.octets) for s in segments(pair, packet)] == [(1, b"x")]


@pytest.mark.parametrize("text", [
    "", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "fd00::1:80", "[10.0.0.1]:80", "name:80"])
def test_text_that_is_no_endpoint_is_refused(text):
    with pytest.raises(UsageError, match="no endpoint"):
        Endpoint.parse(text)


def test_pair_of_two_ip_versions_is_refused():
    with pytest.raises(UsageError, match="one IP version"):
        Conversation.tcp(Endpoint("10.0.0.1", 1), Endpoint("fd00::1", 1))
