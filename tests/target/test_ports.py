from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.target.ports import (
    EVERY_PORT,
    PortSet,
    describe_port,
    parse_ports,
    port_class,
    service_name,
    top_ports,
)

numbers = st.sets(st.integers(0, 65_535), max_size=20)
sets = st.builds(PortSet.of, tcp=numbers, udp=numbers, sctp=numbers)


@pytest.mark.parametrize(("text", "shown"), [
    ("22", "T:22"),
    ("22,80,1000-1010", "T:22,80,1000-1010"),
    ("-3", "T:1-3"),
    ("65533-", "T:65533-65535"),
    ("-", "T:1-65535"),
    ("0,1", "T:0,1"),
    ("0-2", "T:0-2"),
    ("http", "T:80"),
    ("HTTPS , domain", "T:53,443"),
    ("www", "T:80"),
    ("mysq?", "T:3306"),
    ("22,U:53,67,T:80,S:179", "T:22,80 U:53,67 S:179"),
    ("t:22,u:53", "T:22 U:53"),
    ("0000000080", "T:80"),
])
def test_text_gives_these_ports(text, shown):
    assert str(parse_ports(text)) == shown


def test_wildcards_find_all_names():
    assert {80, 443, 8080, 8443} <= set(parse_ports("http*").tcp)
    assert {1433, 3306, 5432} <= set(parse_ports("*sql*").tcp)


def test_no_prefix_goes_to_all_protocols():
    assert str(parse_ports("53,tftp", protocols=("tcp", "udp"))) == "T:53 U:53,69"


@pytest.mark.parametrize(("text", "token", "hint"), [
    ("22,70000", "70000", "65535"),
    ("5-1", "5-1", "1-5"),
    ("1-99999999999999999999", "1-99999999999999999999", "65535"),
    ("", "", "22,80"),
    ("22,,80", "22,,80", "22,80"),
    ("U:", "U:", "22,80"),
    ("htpp", "htpp", "http"),
    ("tftp", "tftp", "U:tftp"),
    ("X:1", "X:1", "U: for udp"),
    ("²", "²", "22,80"),
    ("\x1b[2J", "\x1b[2J", "22,80"),
])
def test_wrong_text_names_token_place_and_way_out(text, token, hint):
    with pytest.raises(UsageError) as caught:
        parse_ports(text, where="--ports")
    assert caught.value.text == token
    assert hint in caught.value.hint
    assert str(caught.value).startswith("--ports: ") and str(caught.value).isprintable()


@given(st.one_of(st.text(max_size=40), st.text("0123456789-,:TUS*?http", max_size=30)))
def test_any_text_gives_ports_or_usage_error(text):
    try:
        found = parse_ports(text)
    except UsageError:
        return
    assert all(0 <= port <= 65_535 for port in found.tcp + found.udp + found.sctp)


@given(sets.filter(len))
def test_shown_text_reads_back(ports):
    assert parse_ports(str(ports).replace(" ", ",")) == ports


@given(sets, sets)
def test_union_and_without_are_set_operations(one, other):
    assert {*one.union(other).packed()} == {*one.packed()} | {*other.packed()}
    assert {*one.without(other).packed()} == {*one.packed()} - {*other.packed()}
    assert list(one.packed()) == sorted(one.packed()) and len(one) == len(one.packed())
    assert not one.without(EVERY_PORT)


@pytest.mark.parametrize(("protocol", "ranked"), [("tcp", 1000), ("udp", 200)])
def test_ranking_is_every_port_once_with_the_common_ones_first(protocol, ranked):
    every = top_ports(65_535, protocol)
    assert sorted(every) == list(range(1, 65_536))
    assert top_ports(ranked, protocol) == every[:ranked]
    assert {"tcp": {22, 80, 443}, "udp": {53, 161, 123}}[protocol] <= set(every[:10])


@pytest.mark.parametrize(("count", "protocol"), [(0, "tcp"), (65_536, "tcp"), (1, "ip")])
def test_no_such_ranking_raises(count, protocol):
    with pytest.raises(UsageError):
        top_ports(count, protocol)


def test_names_and_classes():
    assert service_name(22) == "ssh" and service_name(53, "udp") == "domain"
    assert service_name(3389) == "ms-wbt-server"
    assert service_name(1, "udp") == ""
    assert [port_class(n) for n in (1023, 1024, 49_151, 49_152)] == [
        "well-known", "registered", "registered", "dynamic"]


def test_description_names_number_class_and_service():
    assert "49152-65535" in describe_port(50_123, "udp")
    assert "rdp" in describe_port(3389)
