from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from portulan.link.pcapng_writer import PcapngWriter
from portulan.record import Port
from portulan.store import Journal
from portulan.wire import DNS, TCP, UDP, Ethernet, Frames, IPv4, IPv6

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "sql.md"
QUERIES = re.findall(r"```sql\n(.+?)```", PAGE.read_text(), re.DOTALL)
ASK = b"GET /=a HTTP/1.1\r\nHost: www.example\r\n\r\n"


def make_capture(folder, count=3):
    packets = [
        Ethernet() / IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=4000, dport=80, flags=2),
        Ethernet() / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=5353, dport=53)
        / DNS.query("www.example", id=7),
        Ethernet() / IPv4(src="10.9.0.1", dst="10.9.0.2")
        / TCP(sport=4000, dport=80, flags=24) / ASK][:count]
    path = folder / f"{count}.pcapng"
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(Frames.of([each.pack() for each in packets], range(len(packets))))
    return path


def make_chart(folder):
    chart = folder / "chart"
    chart.mkdir()
    with Journal.create(chart / "events.jsonl") as journal:
        journal.append([Port(
            addr="10.9.0.2", port=80, protocol="tcp", state="closed", reason="reset")])
    return chart


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    return make_capture(folder), make_chart(folder)


def portulan(*words):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "sql", *map(str, words)], capture_output=True,
        check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def test_page_has_ten_queries():
    assert len(QUERIES) == 12


@pytest.mark.parametrize("number", range(12))
def test_query_of_the_page_runs(number, both):
    from portulan.api.tables import sources
    from portulan.store.sql import ask

    answer = ask(QUERIES[number], sources([str(each) for each in both]))
    assert answer.columns
    answer.rows()


def test_capture_and_chart_join(both):
    code, out, err = portulan(QUERIES[-1], *both, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "src": "10.9.0.1", "dst": "10.9.0.2", "dport": 80, "state": "closed"}


def test_table_is_aligned_and_safe(both):
    code, out, _ = portulan("select 'a' || chr(27) as x, 5 as long_name", both[0])
    assert (code, out.splitlines()) == (0, ["x      long_name", "a\\x1b  5"])


def test_csv_runs_no_formula(both):
    assert portulan("select '=1+1' as x, -5 as y, null as z", both[0], "--csv")[1] == (
        "x,y,z\n'=1+1,-5,\n")


def test_parquet_file_is_written(both, tmp_path):
    assert portulan("select * from flows", both[0], "--parquet", tmp_path / "o.parquet") == (
        0, "", "")
    assert (tmp_path / "o.parquet").read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize("words", [
    ("selec",), ("select 1", "--json", "--parquet", "x"), ("select * from ports",)])
def test_wrong_use_is_one_line(both, words):
    code, out, err = portulan(words[0], both[0], *words[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_damaged_capture_is_told_and_exit_3(both, tmp_path):
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(both[0].read_bytes()[:-9])
    code, out, err = portulan("select count(*) as n from packets", cut, "--json")
    assert (code, out, err.count("\n")) == (3, '{"n":2}\n', 1)
