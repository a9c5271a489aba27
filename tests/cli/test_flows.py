from __future__ import annotations

import json
import subprocess
import sys

import pytest

from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import Frames
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
    assert [json.loads(line) for line in out.splitlines()] == reference_flows(PACKETS)


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
    assert lines[0].split() == ["proto", "from", "to", "packets", "bytes"]


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
