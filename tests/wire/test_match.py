from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire import (
    ARP,
    DNS,
    ICMP,
    SCTP,
    TCP,
    UDP,
    Ethernet,
    Frames,
    ICMPv6,
    IPv4,
    IPv6,
    build,
)
from portulan.wire.match import Questions

OUT, BACK = IPv4(src="10.9.0.1", dst="10.9.0.2"), IPv4(src="10.9.0.2", dst="10.9.0.1")
OUT6, BACK6 = IPv6(src="2001:db8::1", dst="2001:db8::2"), IPv6(src="2001:db8::2", dst="2001:db8::1")
ROUTER = IPv4(src="10.9.0.254", dst="10.9.0.1")
MAC = "02:00:00:00:00:02"


def matched(probe, *replies):
    found = [Questions(build(probe)).match(build(reply)) for reply in replies]
    return [list(zip(row.tolist(), by.tolist(), strict=True)) == [(0, 0)] for row, by in found]


@pytest.mark.parametrize(("probe", "reply"), [
    (OUT / TCP(sport=7, dport=80, seq=41), BACK / TCP(sport=80, dport=7, flags="SA", ack=42)),
    (OUT / TCP(sport=7, dport=80, seq=0xFFFFFFFF), BACK / TCP(sport=80, dport=7, flags="RA")),
    (OUT / TCP(sport=7, dport=80, seq=41) / b"abc",
     BACK / TCP(sport=80, dport=7, flags="SA", ack=42)),
    (OUT / TCP(sport=7, dport=80, seq=41, flags="PA") / b"abc",
     BACK / TCP(sport=80, dport=7, flags="A", ack=44)),
    (OUT / TCP(sport=7, dport=80, ack=99, flags="A"),
     BACK / TCP(sport=80, dport=7, flags="R", seq=99)),
    (OUT / UDP(sport=7, dport=9), BACK / UDP(sport=9, dport=7) / b"x"),
    (OUT6 / UDP(sport=7) / DNS.query("a.example", id=5),
     BACK6 / UDP(sport=53, dport=7) / DNS(id=5)),
    (OUT / ICMP.echo(id=7, seq=1) / b"x", BACK / ICMP.echo_reply(id=7, seq=1) / b"x"),
    (OUT / ICMP.timestamp(id=7, seq=1), BACK / ICMP(type=14, id=7, seq=1) / bytes(12)),
    (OUT6 / ICMPv6.echo(id=7, seq=1), BACK6 / ICMPv6.echo_reply(id=7, seq=1)),
    (OUT / SCTP(sport=7, dport=9) / bytes(4), BACK / SCTP(sport=9, dport=7) / bytes(4)),
    (OUT.replace(protocol=253) / b"x", BACK.replace(protocol=253) / b"y"),
    (Ethernet() / ARP.request(sha=1, spa="10.9.0.1", tpa="10.9.0.2"),
     Ethernet() / ARP.is_at("10.9.0.2", MAC, tpa="10.9.0.1")),
    (Ethernet() / OUT6 / ICMPv6.neighbour_solicitation("2001:db8::2", mac=MAC),
     Ethernet() / BACK6 / ICMPv6.neighbour_advertisement("2001:db8::2", mac=MAC)),
    (IPv4(src="10.9.0.1", dst="224.0.0.251") / UDP(sport=5353, dport=5353)
     / DNS.query("a.local", id=0),
     BACK / UDP(sport=5353, dport=5353) / DNS(id=0, qr=1)),
    *((OUT / probe, ROUTER / ICMP.time_exceeded((OUT.replace(ttl=1) / probe).pack()[:28]))
      for probe in (TCP(sport=7, dport=80, seq=41), UDP(sport=7, dport=9), ICMP.echo(id=7, seq=1),
                    SCTP(sport=7, dport=9))),
    (OUT6 / UDP(sport=7, dport=9),
     BACK6 / ICMPv6.unreachable(4, (OUT6 / UDP(sport=7, dport=9)).pack())),
])
def test_reply_of_each_protocol_finds_its_probe(probe, reply):
    assert matched(probe, reply) == [True]


@pytest.mark.parametrize(("probe", "reply"), [
    (OUT / TCP(sport=7, dport=80, seq=41), BACK / TCP(sport=80, dport=7, flags="SA", ack=43)),
    (OUT / TCP(sport=7, dport=80, seq=41), BACK / TCP(sport=81, dport=7, flags="SA", ack=42)),
    (OUT / TCP(sport=7, dport=80, seq=41), ROUTER / TCP(sport=80, dport=7, flags="SA", ack=42)),
    (OUT / UDP(sport=7) / DNS.query("a.example", id=5), BACK / UDP(sport=53, dport=7) / DNS(id=6)),
    (OUT / ICMP.echo(id=7, seq=1), BACK / ICMP.echo_reply(id=7, seq=2)),
    (OUT / ICMP.echo(id=7, seq=1), OUT / ICMP.echo(id=7, seq=1)),
    (Ethernet() / ARP.request(sha=1, spa="10.9.0.1", tpa="10.9.0.2"),
     Ethernet() / ARP.is_at("10.9.0.3", MAC, tpa="10.9.0.1")),
    (OUT / UDP(sport=7, dport=9),
     ROUTER / ICMP.unreachable(3, (OUT / UDP(sport=7, dport=10)).pack())),
    (OUT.replace(dst="10.9.0.1", protocol=253) / b"x",
     OUT.replace(dst="10.9.0.1", protocol=253) / b"x"),
])
def test_what_answers_somebody_else_matches_nothing(probe, reply):
    assert matched(probe, reply) == [False]


def test_ten_thousand_probes_find_their_replies_in_any_order():
    probes = build(IPv4(src="10.9.0.1", dst="10.8.0.0/20") / TCP(sport=7, dport=(1, 4), seq=5))
    replies = build(IPv4(src="10.8.0.0/20", dst="10.9.0.1")
                    / TCP(sport=(1, 4), dport=7, flags="SA", ack=6))
    order = np.random.default_rng(1).permutation(len(replies))
    row, by = Questions(probes).match(replies.take(order))
    assert len(row) == 16_384
    assert np.array_equal(order[by], row)


def test_probes_that_are_alike_take_replies_in_turn():
    questions = Questions(build(OUT / ICMP.echo(id=7, seq=[1, 1, 2])))
    reply = build(BACK / ICMP.echo_reply(id=7, seq=[1, 1, 1]))
    assert questions.match(reply.take(slice(0, 1)))[0].tolist() == [0]
    assert questions.match(reply)[0].tolist() == [1]


@given(st.lists(st.binary(max_size=90), max_size=8))
def test_any_octets_match_without_fault(octets):
    for link_type in (1, 101):
        frames = Frames.of(octets, link_type=link_type)
        row, by = Questions(frames).match(frames)
        assert len(row) == len(by)


def test_every_reply_goes_to_the_last_of_those_it_may_answer():
    probes = build(OUT / UDP(sport=7, dport=[9, 9]))
    replies = build(BACK / UDP(sport=9, dport=7) / b"x")
    replies = Frames.of(list(replies) * 4, link_type=replies.link_type)
    questions = Questions(probes)
    assert questions.match(replies)[0].tolist() == [0, 1]
    assert questions.match(replies, every=True)[0].tolist() == [1] * 4


def test_frame_to_a_group_is_answered_from_any_address():
    asked = OUT.replace(dst="10.9.0.255") / UDP(sport=7, dport=9)
    reply = Ethernet() / BACK / UDP(sport=9, dport=7)
    assert matched(Ethernet(dst="ff:ff:ff:ff:ff:ff") / asked, reply) == [True]
    assert matched(Ethernet(dst=MAC) / asked, reply) == [False]
