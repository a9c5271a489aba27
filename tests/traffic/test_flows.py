from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic import flows as module
from portulan.traffic.flows import FlowTable, grouped

from .reference import reference_flows
from .traffic import packets

PACKETS = packets(7, 20_000)


def frames(some):
    return wire.Frames.of([octets for octets, _, _ in some], [time for _, time, _ in some])


def table_of(some, cuts=()):
    table = FlowTable()
    edges = [0, *sorted(cuts), len(some)]
    for start, end in pairwise(edges):
        table.add(frames(some[start:end]))
    return table


def listed(table):
    return [asdict(flow) for flow in table.flows()]


def test_mixed_packets_give_the_flows_of_the_reference():
    assert listed(table_of(PACKETS, [6_000, 6_001])) == reference_flows(PACKETS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6))
def test_batches_cut_anywhere_give_the_same_table(cuts):
    some = PACKETS[:400]
    whole, parts = table_of(some), table_of(some, cuts)
    assert listed(parts) == listed(whole)
    for name, column in whole.columns().items():
        assert np.array_equal(parts.columns()[name], column), name


def test_keys_of_one_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(module, "_MIX", np.zeros(5, np.uint64))
    _, starts = grouped(np.array([[2] * 5, [1] * 5, [2] * 5], np.uint64))
    assert sorted(np.diff([*starts, 3]).tolist()) == [1, 2]
    assert listed(table_of(PACKETS[:500])) == reference_flows(PACKETS[:500])


def test_more_flows_than_room_are_all_kept():
    head = wire.Ethernet() / wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
    some = [((head / wire.UDP(sport=port, dport=9)).pack(), port, 42) for port in range(1, 3000)]
    assert [flow.sport for flow in table_of(some, [5, 1500]).flows()] == list(range(1, 3000))


def test_flags_of_each_direction_are_gathered():
    there = wire.IPv4(src="10.9.0.2", dst="10.9.0.1") / wire.TCP(sport=9, dport=80, flags=2)
    back = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=80, dport=9, flags=0x12)
    table = FlowTable()
    table.add(wire.Frames.of([there.pack(), back.pack()], link_type=101))
    found = table.columns()
    assert (found["flags_fwd"].tolist(), found["flags_rev"].tolist()) == ([2], [0x12])


@pytest.mark.parametrize("by", module.ORDERS)
def test_top_ranks_the_greatest_first(by):
    table = table_of(PACKETS)
    values = {
        "bytes": [f.bytes_fwd + f.bytes_rev for f in table.flows()],
        "packets": [f.packets_fwd + f.packets_rev for f in table.flows()],
        "duration": [f.end_ns - f.start_ns for f in table.flows()]}[by]
    rows = table.top(5, by).tolist()
    assert [values[row] for row in rows] == sorted(values, reverse=True)[:5]


def test_batch_without_ip_gives_no_flow():
    table = FlowTable()
    table.add(wire.Frames.of([b"", bytes(60), b"\xff" * 13]))
    assert len(table) == 0
    assert list(table.flows()) == []
