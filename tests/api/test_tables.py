from __future__ import annotations

import pytest

from portulan.api import tables
from portulan.api.tables import FIELDS, FLOW_TYPES, keep_index, sources
from portulan.errors import UsageError
from portulan.link.pcapng_writer import PcapngWriter
from portulan.store.sql import ask
from portulan.wire import DNS, TCP, UDP, Frames, IPv4
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


def test_index_gives_the_same_tables_without_reading_packets(tmp_path, monkeypatch):
    path = make_capture(tmp_path)
    queries = [f"select * from {name}" for name in ("packets", "flows", "dns", "http", "tls")]
    before = [rows(query, path) for query in queries]
    keep_index([str(path)])

    def never(*_):
        raise AssertionError("packets were read")

    monkeypatch.setattr(tables, "packet_columns", never)
    monkeypatch.setattr(tables, "flow_columns", never)
    assert [rows(query, path) for query in queries] == before
    assert rows("select count(*) from packets", path, path) == [(6,)]
    with pytest.raises(AssertionError):
        rows("select count(*) from flows", path, path)  # they are counted together
    keep_index([str(path)])  # there is one already


def test_index_that_is_stale_is_left_aside(tmp_path):
    path = make_capture(tmp_path)
    keep_index([str(path)])
    path.write_bytes(path.read_bytes()[:-9])
    damage = []
    counted = ask("select count(*) from packets", sources([str(path)], tell=damage.append)).rows()
    assert (counted, len(damage)) == ([(2,)], 1)
    keep_index([str(path)])
    again = []
    ask("select count(*) from packets", sources([str(path)], tell=again.append))
    assert again == damage


def test_text_of_a_payload_finds_http_and_tls_only_where_they_are(tmp_path):
    there = IPv4(src="10.9.0.1", dst="10.9.0.2")
    octets = [b"GET / HTTP/1.1\r\n\r\n", b"get /", b"\x17\x03\x03\x00\x01x", b""]
    packets = [there / TCP(sport=9, dport=80) / each if each else there / TCP() for each in octets]
    path = tmp_path / "likely.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(Frames.of([each.pack() for each in packets], link_type=101))
    assert rows("select number, method from http", path) == [(1, "GET")]
    assert rows("select number from tls", path) == []
