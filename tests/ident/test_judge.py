"""Judging replies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.ident.facts import Facts
from portulan.ident.judge import judge, judge_many, parse
from portulan.ident.reply import Reply
from portulan.ident.rules import Book, Rule
from tests.ident.replies import OTHERS

SSH = Reply("tcp", b"SSH-2.0-OpenSSH_9.7p1 Debian-2\r\n")


def test_openssh_greeting_names_version_system_and_rule():
    verdict = judge(SSH)
    assert (verdict.product, verdict.version, verdict.os) == ("OpenSSH", "9.7p1", "Debian")
    assert verdict.rule == "ssh-openssh" and verdict.disclosed and ":9.7p1:" in verdict.cpe


def test_no_bytes_say_nothing():
    assert judge(Reply("tcp", b"")) is None


def test_telling_reply_wins_over_a_silent_one():
    assert judge_many([Reply("tcp", b"HTTP/1.1 200 OK\r\n\r\n"), SSH]).name == "ssh"


STARTS = [b"", b"HTTP/1.1 200 OK\r\nServer: ", b"SSH-2.0-", b"220 ", b"\x40\0\0\0\x0a5", b"* OK "]


@settings(max_examples=500)
@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_reply_is_judged_without_exception(start, rest):
    verdict = judge(Reply("tcp", start + rest))
    assert verdict is None or 0 < verdict.confidence <= 1


@pytest.mark.parametrize(("number", "name", "product", "version"), [
    (0, "ldap", "OpenLDAP", ""), (1, "snmp", "", ""), (2, "snmp", "Net-SNMP", ""),
    (3, "smb", "Samba", ""), (4, "postgresql", "PostgreSQL", ""), (5, "ntp", "ntpd", "4.2.8p15"),
    (6, "zabbix-agent", "Zabbix Agent", "6.0.14"), (7, "iperf3", "iperf3", ""),
    (8, "rdp", "xrdp", ""), (9, "http", "Jenkins", "2.3"), (11, "http", "etcd", "3.4.23"),
    (12, "tarantool", "Tarantool", "2.6.0"), (13, "nats", "NATS Server", "2.9.10"),
    (14, "munin", "Munin", "2.0.73"), (15, "mqtt", "Mosquitto", "2.0.11"),
    (16, "irc", "ngIRCd", "26.1"),
])
def test_reply_names_its_product(number, name, product, version):
    verdict = judge(Reply("tcp", OTHERS[number]))
    assert (verdict.name, verdict.product, verdict.version) == (name, product, version)


def test_metrics_in_chunks_tell_their_build():
    assert parse(Reply("tcp", OTHERS[9])).fields["http.build"] == "toy 1.2.3"


BOOK = Book([
    Rule("a", "http.title", "^Toy", "Toy"), Rule("b", "http.server", "^Toy/(?P<version>[0-9.]+)",
                                                 "Toy"),
    Rule("c", "http.server", "^Maker", vendor="Maker"),
])
PAGE = b"HTTP/1.1 200 OK\r\nServer: %s\r\n\r\n<title>%s</title>"


def told(server, title):
    verdict = judge(Reply("tcp", PAGE % (server, title)), BOOK)
    return verdict.vendor, verdict.product, verdict.version, verdict.rule


def test_version_comes_from_the_field_that_tells_it():
    assert told(b"Toy/1.5", b"Toys") == ("", "Toy", "1.5", "a")


def test_version_of_another_product_is_not_taken():
    assert told(b"Box/1.5", b"Toys") == ("", "Toy", "", "a")


def test_maker_alone_gives_way_to_a_product():
    assert told(b"Maker", b"Toys")[1] == "Toy"
    assert told(b"Maker", b"x") == ("Maker", "", "", "c")


def test_protocol_of_one_product_names_it_with_less_confidence():
    verdict = judge(Reply("tcp", b"( success ( 2 2 ( ) ( ) ) ) "))
    assert (verdict.product, verdict.rule) == ("Subversion", "protocol:svn")
    assert verdict.confidence < 0.8


def test_field_of_a_rule_of_one_s_own_is_looked_at():
    book = Book([Rule("toy", "stomp.reply", "^CONNECTED", "Toy")])
    assert isinstance(parse(Reply("tcp", b"CONNECTED\nversion:1.2\n\n\0")), Facts)
    assert judge(Reply("tcp", b"CONNECTED\nversion:1.2\n\n\0"), book).product == "Toy"


def test_port_mapper_without_nodes_says_its_own_port():
    assert judge(Reply("tcp", b"\0\0\x11\x12", port=0x1112)).name == "epmd"
    assert judge(Reply("tcp", b"\0\0\x11\x12", port=99)) is None
