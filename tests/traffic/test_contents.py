from __future__ import annotations

from itertools import pairwise

import pytest

from portulan import wire
from portulan.traffic.contents import Contents
from portulan.traffic.flows import FlowTable

A = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
B = wire.IPv4(src="10.9.0.2", dst="10.9.0.1")


def tcp(end, seq, flags=16, octets=b"", ack=0):
    ports = (9, 80) if end is A else (80, 9)
    head = end / wire.TCP(sport=ports[0], dport=ports[1], seq=seq, flags=flags, ack=ack)
    return (head / octets if octets else head).pack()


def said(packets, cuts=()):
    table = FlowTable([Contents()])
    for start, end in pairwise([0, *cuts, len(packets)]):
        table.add(wire.Frames.of(packets[start:end], link_type=101))
    found = table.columns()
    return list(zip(*(found[name].tolist() for name in (
        "data_fwd", "data_rev", "missing_fwd", "missing_rev")), strict=True))


PACKETS = [
    tcp(A, 100, 2), tcp(B, 500, 18, ack=101), tcp(A, 104, octets=b"lo"),
    tcp(A, 101, octets=b"hel"), tcp(A, 101, octets=b"hel"), tcp(B, 501, octets=b"yes"),
    tcp(B, 510, octets=b"!")]


@pytest.mark.parametrize("cuts", [(), (1,), (2, 5), (3, 4, 6)])
def test_both_sides_are_told_without_holes_and_repetitions(cuts):
    assert said(PACKETS, cuts) == [(b"hello", b"yes!", 0, 6)]


def test_port_used_again_is_another_stream():
    again = [*PACKETS, tcp(A, 106, 4), tcp(A, 900, 2), tcp(A, 901, octets=b"new")]
    assert said(again)[1:] == [(b"new", b"", 0, 0)]


def test_other_protocols_have_no_streams():
    assert said([(A / wire.UDP() / b"x").pack()]) == [(None, None, -1, -1)]
