from __future__ import annotations

import random
import ssl
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan import wire
from portulan.traffic import hellos as module
from portulan.traffic.flows import FlowTable
from portulan.traffic.names import Names
from portulan.wire.dissect import dissect

NAME = "www.example"


def hello(name=NAME, alpn=("h2", "http/1.1")):
    context = ssl.create_default_context()
    context.set_alpn_protocols(list(alpn))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(into, out, server_hostname=name).do_handshake()
    return out.read()


HELLO = hello()


def tcp(seq, octets, *, rev=False, port=4000):
    ends = ("10.9.0.2", "10.9.0.1") if rev else ("10.9.0.1", "10.9.0.2")
    ports = (443, port) if rev else (port, 443)
    head = wire.IPv4(src=ends[0], dst=ends[1]) / wire.TCP(
        sport=ports[0], dport=ports[1], seq=seq % (1 << 32), flags=24)
    return (head / octets if octets else head).pack()


def table_of(packets, cuts=()):
    table = FlowTable([Names()])
    for start, end in pairwise([0, *sorted(cuts), len(packets)]):
        table.add(wire.Frames.of(packets[start:end], link_type=101))
    return table


def told(packets, cuts=()):
    return [(flow.sni, flow.alpn, flow.ja3, flow.ja4) for flow in table_of(packets, cuts).flows()]


def wanted(octets=HELLO):
    """Return what the dissector says of the hello in one segment."""
    get = dissect(tcp(1, octets), 101).get
    return (get("tls.sni"), ",".join(get("tls.alpn")), get("tls.ja3_hash"), get("tls.ja4"))


def test_hello_in_one_segment_is_told_as_by_the_dissector():
    assert told([tcp(1, HELLO)]) == [wanted()]
    assert wanted()[:2] == (NAME, "h2,http/1.1")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, len(HELLO) - 1), max_size=6), st.integers(0, 99),
       st.lists(st.integers(0, 6), max_size=3))
def test_hello_in_any_segments_of_any_order_is_told(edges, seed, cuts):
    edges = sorted({0, *edges, len(HELLO)})
    start = (1 << 32) - 100  # the numbers wrap around
    first, *rest = [tcp(start + a, HELLO[a:b]) for a, b in pairwise(edges)]
    if edges[1] < 7:  # nothing says yet that it is a hello
        return
    rest += rest[:1]
    random.Random(seed).shuffle(rest)
    packets = [first, *rest]
    assert told(packets, [min(cut, len(packets)) for cut in cuts]) == [wanted()]


def test_hello_behind_starttls_is_told():
    packets = [tcp(1, b"220 x", rev=True), tcp(1, b"EHLO me\r\n"), tcp(10, b"STARTTLS\r\n"),
               tcp(20, HELLO)]
    (flow,) = table_of(packets).flows()
    assert flow.sni == NAME


def test_hello_in_two_records_is_told():
    body = HELLO[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in (body[:90], body[90:]))
    assert told([tcp(1, records[:300]), tcp(301, records[300:])]) == [wanted()]


def test_octets_of_the_other_side_do_not_count():
    cut = 150
    packets = [tcp(1, HELLO[:cut]), tcp(1 + cut, b"\xff" * 900, rev=True),
               tcp(1 + cut, HELLO[cut:])]
    assert told(packets) == [wanted()]


def test_hello_that_never_became_whole_is_told_without_fingerprints():
    (sni, _, ja3, ja4), = told([tcp(1, HELLO[:-3])])
    assert (sni, ja3, ja4) == (NAME, None, None)


def test_hellos_of_many_flows_stay_apart():
    names = [f"n{n}.example" for n in range(20)]
    octets = [hello(name) for name in names]
    firsts = [tcp(1, each[:99], port=4000 + n) for n, each in enumerate(octets)]
    rests = [tcp(100, each[99:], port=4000 + n) for n, each in enumerate(octets)]
    assert [row[0] for row in told(firsts + rests[::-1], [13, 25])] == names


def test_flood_of_hellos_that_never_end_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    names = Names()
    table = FlowTable([names])
    packets = [tcp(1, HELLO[:-3], port=4000 + n) for n in range(9)]
    table.add(wire.Frames.of(packets, link_type=101))
    assert len(names._hellos._waiting) == 3
    assert [flow.sni for flow in table.flows()] == [NAME] * 9


def test_endless_hello_is_given_up():
    big = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(16_375)
    packets = [tcp(1, big), *[tcp(1 + n * 16_384, big) for n in range(1, 4)]]
    table = table_of(packets)
    assert not table._parts[0]._hellos._waiting
    assert [flow.application for flow in table.flows()] == ["tls"]


@pytest.mark.parametrize("size", [*range(0, 12), 43, 80, 200])
def test_cut_or_mutated_hello_does_no_harm(size):
    chance = random.Random(size)
    bad = bytearray(HELLO)
    for _ in range(5):
        bad[chance.randrange(9, len(bad))] = chance.randrange(256)
    assert len(told([tcp(1, HELLO[:size]), tcp(1 + size, bytes(bad), port=4001)])) == 2


def test_row_used_again_forgets_the_hello():
    from portulan.traffic.flows import Idle

    table = FlowTable([Names()], idle=Idle.after(1))
    for n, octets in enumerate([HELLO, b"plain"]):
        table.add(wire.Frames.of([tcp(1, octets, port=4000 + n)], [n * 10**10], link_type=101))
    assert [flow.sni for flow in table.take_ended(final=True)] == [NAME, None]
