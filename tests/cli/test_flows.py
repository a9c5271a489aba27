from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys

import pytest

from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import DNS, TCP, UDP, Ethernet, Frames, IPv4
from tests.traffic.reference import reference_flows
from tests.traffic.traffic import packets

PACKETS = packets(11, 600)


def portulan(*words):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "flows", *map(str, words)], capture_output=True,
        check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("flows") / "a.pcapng"
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(Frames.of([each for each, _, _ in PACKETS], [time for _, time, _ in PACKETS]))
    return path


def test_json_is_the_table_of_the_reference(path):
    code, out, err = portulan(path, "--json")
    assert (code, err) == (0, "")
    wanted = reference_flows(PACKETS)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [{name: row[name] for name in wanted[0]} for row in rows] == wanted
    assert {name for row in rows for name in row} - set(wanted[0]) <= {
        "application", "sni", "ja3", "ja4"}


def test_filter_and_two_files_count_together(path):
    code, out, _ = portulan(path, path, "-f", "udp or (vlan and udp)", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    wanted = [row for row in reference_flows(PACKETS) if row["protocol"] == "udp"]
    assert code == 0
    assert [row["packets_fwd"] for row in rows] == [2 * row["packets_fwd"] for row in wanted]


def test_top_shows_so_many_lines_below_the_heading(path):
    _, out, _ = portulan(path, "--top", "3")
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["proto", "from", "to", "packets", "bytes", "about"]


def test_damaged_file_is_read_as_far_as_it_goes(path, tmp_path):
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(path.read_bytes()[:-9])
    code, out, err = portulan(cut, "--json")
    assert code == 3
    assert out.splitlines()
    assert err.count("\n") == 1


def test_missing_file_is_one_line(tmp_path):
    code, out, err = portulan(tmp_path / "none.pcap")
    assert (code, out, err.count("\n")) == (2, "", 1)


def hello(name):
    """Return a TLS client hello for a server's name, as Python's own TLS writes it."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(into, out, server_hostname=name).do_handshake()
    return out.read()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    there = Ethernet() / IPv4(src="10.9.0.1", dst="10.9.0.2")
    back = Ethernet() / IPv4(src="10.9.0.2", dst="10.9.0.1")
    octets = hello("www.example")
    packets = [
        there / TCP(sport=4000, dport=443, seq=5, flags=2),
        back / TCP(sport=443, dport=4000, seq=8, ack=6, flags=18),
        there / TCP(sport=4000, dport=443, seq=6, ack=9, flags=16),
        there / TCP(sport=4000, dport=443, seq=6, ack=9, flags=24) / octets[:200],
        there / TCP(sport=4000, dport=443, seq=206, ack=9, flags=24) / octets[200:],
        there / UDP(sport=9, dport=53) / DNS.query("a\x1b.example")]
    path = tmp_path_factory.mktemp("web") / "web.pcapng"
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(Frames.of([each.pack() for each in packets],
                               [n * 40_000_000_000 for n in range(len(packets))]))
    return path


def test_long_tells_names_and_quality(web):
    code, out, err = portulan(web, "--json", "--long")
    tls, dns = map(json.loads, out.splitlines())
    assert (code, err) == (0, "")
    assert (tls["application"], tls["sni"], tls["state"], tls["history"]) == (
        "tls", "www.example", "S1", "ShAD")
    assert (tls["rtt_ns"], tls["retransmissions_fwd"]) == (80_000_000_000, 0)
    assert (dns["application"], dns["state"]) == ("dns", "S0")
    assert "rtt_ns" not in dns
    assert portulan(web, "-l")[1].splitlines()[1].split()[5:] == [
        "S1", "ShAD", "80000.000", "0/0", "tls", "www.example"]


def test_idle_flows_are_printed_when_they_end(web):
    out = portulan(web, "--idle", "60", "--json")[1]
    assert [json.loads(line)["packets_fwd"] for line in out.splitlines()] == [4, 1]
    assert len(portulan(web, "--idle", "30", "--json")[1].splitlines()) == 6
    assert len(portulan(web, "--idle", "zeek", "--json")[1].splitlines()) == 2


@pytest.mark.parametrize("words", [
    ("--idle", "0"), ("--idle", "x"), ("--idle", "nan"), ("--idle", "5", "--top", "3")])
def test_wrong_use_is_one_line(web, words):
    code, out, err = portulan(web, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
