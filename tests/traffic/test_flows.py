from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic import flows as module
from portulan.traffic import lookup
from portulan.traffic.flows import FlowTable, Idle, grouped

from .connections import connections
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
    return [flow.told() for flow in table.flows()]


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
    monkeypatch.setattr(lookup, "MIX", np.zeros(5, np.uint64))
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


SECOND = 1_000_000_000


def tcp(time_s, flags, seq=0, *, rev=False, port=9):
    ends, ports = ("10.9.0.1", "10.9.0.2"), (port, 80)
    one, two = (1, 0) if rev else (0, 1)
    packet = wire.IPv4(src=ends[one], dst=ends[two]) / wire.TCP(
        sport=ports[one], dport=ports[two], flags=flags, seq=seq)
    return packet.pack(), int(time_s * SECOND), 40


def udp(time_s, port=9):
    packet = wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=port, dport=53)
    return packet.pack(), int(time_s * SECOND), 28


def raw(some):
    return wire.Frames.of([octets for octets, _, _ in some], [time for _, time, _ in some],
                          link_type=101)


def counts(*some, cut=0):
    table = FlowTable()
    rows = [row for part in (some[:cut], some[cut:]) for row in table.add(raw(part)).tolist()]
    sums = [flow.packets_fwd + flow.packets_rev for flow in table.flows()]
    assert [rows.count(row) for row in range(len(sums))] == sums
    return sums


@pytest.mark.parametrize("cut", range(6))
@pytest.mark.parametrize(("packets", "sums"), [
    (((0x02, 5), (0x11, 6), (0x02, 7), (0x10, 8)), [2, 2]),
    (((0x02, 5), (0x04, 6), (0x02, 7), (0x14, 8), (0x02, 9)), [2, 2, 1]),
    (((0x02, 5), (0x04, 6), (0x02, 5)), [3]),  # the same SYN again
    (((0x02, 5), (0x04, 6), (0x02, 5), (0x02, 8), (0x10, 9)), [3, 2]),
    (((0x02, 5), (0x10, 6), (0x02, 7)), [3]),  # nothing has ended
    (((0x11, 5), (0x02, 6), (0x02, 6)), [1, 2]),  # its SYN was not captured
    (((0x11, 5), (0x12, 6), (0x11, 7)), [3])])
def test_port_is_used_again_by_a_new_syn_behind_an_end(packets, sums, cut):
    assert counts(*[tcp(n, flags, seq) for n, (flags, seq) in enumerate(packets)], cut=cut) == sums


def test_port_used_again_may_begin_at_the_other_side():
    table = FlowTable()
    table.add(raw([tcp(0, 2, 5), tcp(1, 4, 6), tcp(2, 2, 7, rev=True), tcp(3, 18, 9)]))
    assert [(flow.sport, flow.packets_fwd, flow.packets_rev) for flow in table.flows()] == [
        (9, 2, 0), (80, 1, 1)]
    assert table.columns()["number"].tolist() == [1, 2]


def ended(some, cuts=(), **limits):
    """Return what a table gives out, flow by flow, and in the end."""
    table = FlowTable(idle=Idle(**limits))
    flows = []
    for start, end in pairwise([0, *sorted(cuts), len(some)]):
        table.add(raw(some[start:end]))
        flows += table.take_ended()
    return flows + table.take_ended(final=True), table


def test_silence_ends_a_flow_if_asked():
    some = [udp(0), udp(60), udp(121), tcp(121, 16), tcp(420, 16), tcp(721, 16)]
    assert [(flow.protocol, flow.packets_fwd) for flow in ended(some)[0]] == [
        ("udp", 2), ("udp", 1), ("tcp", 2), ("tcp", 1)]
    assert counts(*some) == [3, 3]


def test_flows_are_given_out_once_they_end_and_forgotten():
    table = FlowTable(idle=Idle.after(10))
    alive = []
    for n in range(500):
        table.add(raw([udp(n, port=1000 + n)]))
        alive.append(len(table))
    assert max(alive) <= 12
    assert [flow.sport for flow in table.take_ended()] == list(range(1000, 1489))


def test_port_used_again_gives_the_old_flow_out():
    flows, _ = ended([tcp(0, 2, 5), tcp(1, 4, 6), tcp(2, 2, 7)])
    assert [flow.packets_fwd for flow in flows] == [2, 1]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 120), max_size=10), st.integers(0, 5))
def test_idle_flows_are_the_same_however_batches_are_cut(cuts, seed):
    packets = connections(seed, 8)
    slow = [(octets[14:], time * 300, size) for octets, time, size in packets]
    cuts = [min(cut, len(slow)) for cut in cuts]
    assert ended(slow, cuts, tcp_ns=5 * SECOND)[0] == ended(slow, tcp_ns=5 * SECOND)[0]
