from __future__ import annotations

import pytest

from portulan.api.tables import FIELDS, FLOW_TYPES, sources
from portulan.errors import UsageError
from portulan.link.pcapng_writer import PcapngWriter
from portulan.store.sql import ask
from portulan.wire import DNS, UDP, Frames, IPv4
from tests.cli.test_sql import make_capture, make_chart


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return make_capture(folder), make_chart(folder)


def rows(query, *names):
    return ask(query, sources([str(name) for name in names])).rows()


def test_packets_have_addresses_of_both_versions(both):
    assert rows("select src, sport, tcp_flags from packets order by number", both[0])[:2] == [
        ("10.9.0.1", 4000, 2), ("fd00::1", 5353, None)]


def test_flows_are_numbered_and_named(both):
    assert rows("select number, protocol, dport from flows", both[0])[:2] == [
        (1, "tcp", 80), (2, "udp", 53)]


def test_dns_and_http_have_one_row_a_message(both):
    assert rows("select name, answer from dns", both[0]) == [("www.example", 0)]
    assert rows("select host, status from http", both[0]) == [("www.example", None)]


@pytest.mark.parametrize("name", ["flows", *FIELDS])
def test_table_of_an_empty_capture_keeps_its_types(name, tmp_path):
    full, empty = make_capture(tmp_path), make_capture(tmp_path, count=0)
    assert rows(f"describe {name}", empty) == rows(f"describe {name}", full)


def test_two_captures_count_together(both):
    assert rows("select count(*) from packets", both[0], both[0]) == [(6,)]


def test_table_without_its_source_is_refused(both):
    with pytest.raises(UsageError, match="needs a chart"):
        rows("select * from ports", both[0])
    with pytest.raises(UsageError, match="needs a capture"):
        rows("select * from flows", both[1])


def test_dns_answers_know_how_long_they_took(tmp_path):
    ask, answer = DNS.query("a.example", id=7), DNS.query("a.example", id=7)
    one, two = (IPv4(src=f"10.9.0.{a}", dst=f"10.9.0.{b}") for a, b in ((1, 2), (2, 1)))
    packets = [one / UDP(sport=9, dport=53) / ask, one / UDP(sport=9, dport=53) / ask,
               two / UDP(sport=53, dport=9) / answer]
    octets = [each.pack() for each in packets]
    octets[2] = octets[2][:30] + b"\x80" + octets[2][31:]
    path = tmp_path / "dns.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(Frames.of(octets, [100, 150, 1000], link_type=101))
    assert rows("select latency_ns from dns order by number", path) == [(None,), (None,), (900,)]
    assert rows("select name from dns where latency_ns > 5", path) == [("a.example",)]


@pytest.mark.parametrize("column", FLOW_TYPES)
def test_each_column_of_flows_can_be_asked_for_alone(column, both):
    kinds = {type(value) for (value,) in rows(f"select {column} from flows", both[0])}
    assert kinds <= {{"VARCHAR": str, "BIGINT": int}[FLOW_TYPES[column]], type(None)}
