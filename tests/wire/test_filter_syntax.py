from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire.filter import compile_filter
from portulan.wire.filter_syntax import Junction, Negation, Primitive, parse


def same(one, other):
    return compile_filter(one).program() == compile_filter(other).program()


@pytest.mark.parametrize(("short", "long"), [
    ("port 80 or 443", "port 80 or port 443"),
    ("tcp dst port 80 or 443 and not 22", "(tcp dst port 80 or tcp dst port 443) and not "
     "(tcp dst port 22)"),
    ("src host (1.1.1.1 or 2.2.2.2)", "src host 1.1.1.1 or src host 2.2.2.2"),
    ("src 1.1.1.1", "src host 1.1.1.1"), ("not ip and arp", "(not ip) and arp"),
    ("ip or arp and tcp", "(ip or arp) and tcp"), ("!ip && arp || rarp", "not ip and arp or rarp"),
    ("len = 2 ^ 3 + 1", "len = 2 ^ (3 + 1)"), ("len = 2 * 7 % 4", "len = 6"),
    ("len = 1 | 2 ^ 3", "len = 1"), ("len = 7 % 4 * 2", "len = 7"), ("len = 9 - 2 - 3", "len = 4"),
    ("dst or src port 5", "src or dst port 5"), ("ip host not 1.1.1.1", "not ip host 1.1.1.1"),
    ("(len + 1) * 2 = 8", "(((len + 1) * 2) = 8)"),
])
def test_short_form_means_the_long_one(short, long):
    assert same(short, long)


def test_one_qualifier_goes_to_all_that_follow():
    tree = parse("udp port 53 or 67 or 68")
    assert isinstance(tree, Junction)
    assert len(tree.parts) == 3
    assert all(isinstance(p, Primitive) and p.qualifiers.kind == "port" for p in tree.parts)


def test_not_binds_closer_than_and():
    tree = parse("not ip and arp")
    assert isinstance(tree, Junction)
    assert isinstance(tree.parts[0], Negation)


@pytest.mark.parametrize(("text", "column"), [
    ("1.2.3.4", 1), ("tcp or 80", 8), ("(tcp port 80) or 81", 18), ("port", 5), ("and", 1),
    ("tcp[0", 6), ("tcp port 80 and", 16), ("port 80 443", 9), ("tcp[0:1+1] = 1", 8),
    ("len = 1 & 2 == 2", 13), ("ip proto tcp", 10), ("port tcp", 6), ("less", 5), ("ip )", 4),
    ("host 10.0.0.0/x", 15), ('ip contains "x"', 13), ("len = ", 7), ("foo[0] = 1", 1),
])
def test_broken_filter_points_at_the_place(text, column):
    with pytest.raises(UsageError, match=rf"column {column}\b"):
        compile_filter(text)


@pytest.mark.parametrize("text", [
    "(" * 500 + "ip" + ")" * 500, "not " * 3000 + "ip", "len = " + "(" * 5000 + "1",
    "len = " + "1 + " * 3000 + "1", "len = " + "- " * 3000 + "1", "len = " + "1 ^ " * 3000 + "1",
    "ip" + " and ip or ip" * 2000, "tcp[" * 3000, "port " + "(" * 3000, "port " + "not " * 3000,
])
def test_deep_or_long_expression_is_refused_in_one_line(text):
    with pytest.raises(UsageError) as caught:
        compile_filter(text)
    assert len(str(caught.value).splitlines()) == 1


TEXT = """ip tcp port 80 443 or and not ( ) [ ] host 10.0.0.1 ::1 net / 8 len = <
    + - & ether src dst vlan 5 mpls tcp.dport ip.src dns.qname contains "x" 1:2:3:4:5:6 : 0xff less
    proto \\tcp portrange 5-9 http multicast"""
WORDS = st.sampled_from(TEXT.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_any_row_of_words_compiles_or_is_a_usage_error(text):
    try:
        compile_filter(text)
    except UsageError as error:
        assert "filter" in str(error)
