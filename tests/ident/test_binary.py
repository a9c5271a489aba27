"""Protocols that answer in binary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.binary import parse

DNS = bytes.fromhex("123484000001000100000000") + b"\x07version\x04bind\0\0\x10\0\x03"
DNS += b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x06\x059.9.9"


def test_mariadb_greeting_loses_its_false_prefix():
    facts = parse(b"\x4a\0\0\0\x0a5.5.5-11.4.2-MariaDB\0" + bytes(60))
    assert facts.fields["mysql.version"] == "11.4.2-MariaDB"


def test_version_bind_is_read_over_udp_and_tcp():
    for data in (DNS, len(DNS).to_bytes(2, "big") + DNS):
        assert parse(data).fields["dns.version"] == "9.9.9"


def test_tls_alert_is_tls():
    assert parse(b"\x15\x03\x03\0\x02\x02\x28").name == "tls"


@given(st.binary(max_size=300))
def test_any_bytes_do_no_harm(data):
    parse(data)


def test_part_of_zabbix_s_answer_tells_no_version_yet():
    whole = b"ZBXD\x01\x06\0\0\0\0\0\0\x006.0.14"
    assert parse(whole).fields == {"zabbix-agent.version": "6.0.14"}
    assert all(parse(whole[:cut]).fields == {} for cut in range(13, 19))


def test_error_of_postgresql_names_the_file_that_made_it():
    error = b"E\0\0\0\x40SFATAL\0C0A000\0Mno\0Fpostmaster.c\0RStart\0\0"
    assert parse(error).fields == {"postgresql.error": "postmaster.c Start no"}


def test_variables_of_an_ntp_server_are_read():
    assert parse(b"\x16\x82\0\x01" + bytes(7) + b"\x07version").fields == {
        "ntp.variables": "version"}
