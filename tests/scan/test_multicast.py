from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.scan.multicast import UNKNOWN_OPTION, Answerer, answerers, questions
from portulan.wire.dissect import dissect
from portulan.wire.ethernet import Ethernet
from portulan.wire.frames import Frames
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6
from portulan.wire.ipv6 import IPv6

OURS, THEIRS, MAC = "fe80::1", "fe80::9", b"\x02\0\0\0\0\1"


def told(message, *, src=THEIRS):
    return (Ethernet(dst=1, src="02:00:00:00:00:09") / IPv6(src=src, dst=OURS) / message).pack()


def heard(*octets, identifier=7):
    return list(answerers(Frames.of(octets), identifier))


def problem(octets, code=2):
    return ICMPv6(type=Icmp6Type.PARAMETER_PROBLEM, code=code) / octets


def test_both_questions_go_to_all_nodes_and_stay_on_the_link():
    echo, odd = (dissect(octets) for octets in questions(OURS, MAC, 7))
    for one in (echo, odd):
        assert str(one.get("ethernet.dst")) == "33:33:00:00:00:01"
        assert (str(one.get("ip6.dst")), one.get("ip6.hop_limit")) == ("ff02::1", 1)
        assert (one.get("icmpv6.type"), one.get("icmpv6.id")) == (128, 7)
    assert odd.protocols == "ethernet:ip6:destination:icmpv6"


def test_option_asks_for_an_error_even_from_multicast():
    assert UNKNOWN_OPTION >> 6 == 0b10
    assert bytes([UNKNOWN_OPTION, 0]) in questions(OURS, MAC, 7)[1]


def test_echo_reply_and_objection_to_our_questions_are_answers():
    _, odd = questions(OURS, MAC, 7)
    assert heard(told(ICMPv6.echo_reply(id=7, seq=1)), told(problem(odd[14:]), src="fe80::8")) == [
        Answerer(THEIRS, "02:00:00:00:00:09", "echo-reply"),
        Answerer("fe80::8", "02:00:00:00:00:09", "param-problem")]


@pytest.mark.parametrize("message", [
    ICMPv6.echo_reply(id=8, seq=1), ICMPv6.echo_reply(id=7, seq=9), ICMPv6.echo(id=7, seq=1),
    problem(questions(OURS, MAC, 8)[1][14:]), problem(questions(OURS, MAC, 7)[1][14:], code=0),
    problem(b""),
], ids=["other asker", "other number", "a question", "other's quote", "other problem", "no quote"])
def test_what_does_not_answer_us_is_nobody(message):
    assert not heard(told(message))


@given(st.binary(max_size=120))
def test_any_octets_are_read(octets):
    assert isinstance(heard(octets, told(problem(octets))), list)
