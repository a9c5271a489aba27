from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic.flows import FlowTable
from portulan.traffic.names import COLUMNS, Names

A = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
B = wire.IPv4(src="10.9.0.2", dst="10.9.0.1")
PACKETS = [each.pack() for each in (
    A / wire.TCP(sport=5, dport=999, flags=2),
    B / wire.TCP(sport=999, dport=5) / b"220 mail ready\r\n",
    A / wire.TCP(sport=5, dport=999) / b"EHLO me\r\n",
    A / wire.TCP(sport=5, dport=999) / b"GET / HTTP/1.1\r\n",
    B / wire.UDP(sport=53, dport=6) / b"??",
    A / wire.ICMP(), A / wire.TCP(sport=7, dport=22))]


def applications(packets, cuts=()):
    table = FlowTable([Names()])
    for start, end in pairwise([0, *sorted(cuts), len(packets)]):
        table.add(wire.Frames.of(packets[start:end], link_type=101))
    return [flow.application for flow in table.flows()]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(PACKETS)), max_size=5))
def test_first_payloads_of_both_sides_name_a_flow(cuts):
    # A guess by the port has a question mark, without payload there is none.
    assert applications(PACKETS, cuts) == ["smtp", "domain?", None, None]


def test_payload_at_the_buffers_end_is_cut_there():
    assert applications([(A / wire.TCP(sport=5, dport=999) / b"SSH-").pack()]) == ["ssh"]


def test_columns_are_those_named():
    table = FlowTable([Names()])
    table.add(wire.Frames.of(PACKETS, link_type=101))
    assert set(COLUMNS) <= set(table.columns())
