from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic.flows import FlowTable
from portulan.traffic.quality import COLUMNS, Quality

from .connections import connections
from .reference_tcp import reference_connections


def table_of(packets, cuts=()):
    table = FlowTable([Quality()])
    for start, end in pairwise([0, *sorted(min(cut, len(packets)) for cut in cuts), len(packets)]):
        part = packets[start:end]
        table.add(wire.Frames.of([octets for octets, _, _ in part], [now for _, now, _ in part]))
    return table


def told(table):
    return [{name: getattr(flow, name) for name in COLUMNS if name != "state"}
            for flow in table.flows()]


@pytest.mark.parametrize("seed", range(40))
def test_connections_are_judged_as_by_the_reference(seed):
    packets = connections(seed)
    assert told(table_of(packets)) == reference_connections(packets)


@settings(max_examples=60, deadline=None)
@given(st.integers(100, 140), st.lists(st.integers(0, 250), max_size=40))
def test_batches_cut_anywhere_give_the_same_table(seed, cuts):
    packets = connections(seed)
    whole, parts = table_of(packets), table_of(packets, cuts)
    assert list(parts.flows()) == list(whole.flows())


def test_udp_has_a_state_and_no_numbers_of_tcp():
    there = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=9, dport=53) / b"abc"
    table = FlowTable([Quality()])
    table.add(wire.Frames.of([there.pack()], link_type=101))
    (flow,) = table.flows()
    assert (flow.state, flow.history, flow.payload_fwd) == ("S0", "D", 3)
    assert flow.retransmissions_fwd is None


def test_packets_without_headers_do_no_harm():
    table = FlowTable([Quality()])
    head = bytes.fromhex("4500 0028 0000 0000 4006 0000 0a090001 0a090002")
    table.add(wire.Frames.of([head, head[:19], head + bytes(19), b""], link_type=101))
    assert [flow.packets_fwd for flow in table.flows()] == [2]
