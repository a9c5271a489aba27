from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from portulan.cli.stats_queries import QUERIES
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import Frames
from tests.cli.test_sql import make_capture
from tests.traffic.traffic import packets


def portulan(*words):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "stats", *map(str, words)], capture_output=True,
        check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode()


def objects(*words):
    return [json.loads(line) for line in portulan(*words, "--json").splitlines()]


@pytest.mark.parametrize("what", sorted(QUERIES))
def test_every_table_has_its_heading(what, tmp_path):
    assert portulan(make_capture(tmp_path), what).splitlines()[0].split()


def test_sums_of_a_small_capture(tmp_path):
    path = make_capture(tmp_path)
    assert [row["packets"] for row in objects(path, "io")] == [3]
    assert [(row["a"], row["packets_ab"]) for row in objects(path, "conversations")] == [
        ("10.9.0.1", 2), ("fd00::1", 1)]
    assert {row["address"]: row["packets"] for row in objects(path, "endpoints")}["fd00::2"] == 1
    assert [(row["name"], row["queries"]) for row in objects(path, "dns")] == [("www.example", 1)]
    assert [row["target"] for row in objects(path, "http")] == ["/=a"]
    assert max(row["packets"] for row in objects(path, "hierarchy")) == 3


@pytest.mark.peer
def test_conversations_are_those_of_tshark(tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("needs tshark")
    some = [each for each in packets(5, 400) if each[0][12:14] == b"\x08\x00"]
    path = tmp_path / "a.pcapng"
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(Frames.of([each for each, _, _ in some], [time for _, time, _ in some]))
    out = subprocess.run(
        ["tshark", "-n", "-r", path, "-q", "-z", "conv,ip"], capture_output=True, text=True,
        check=True).stdout
    rows = [line.split() for line in out.splitlines() if "<->" in line and line[0].isdigit()]
    theirs = {frozenset((row[0], row[2])): int(row[9]) for row in rows}
    mine = {frozenset((row["a"], row["b"])): row["packets"]
            for row in objects(path, "conversations")}
    assert mine == theirs


def test_a_picture_is_written_and_bars_are_drawn(tmp_path):
    path = make_capture(tmp_path)
    out = portulan(path, "talkers", "--bars", "--svg", tmp_path / "t.svg", "--html",
                   tmp_path / "t.html")
    assert "█" in out
    assert (tmp_path / "t.svg").read_text().startswith("<svg")
    assert "<svg" in (tmp_path / "t.html").read_text()


@pytest.mark.parametrize(("words", "reason"), [
    (["sequence"], "a flow is drawn by"), (["io", "--flow", "1"], "a flow is drawn by"),
    (["sequence", "--flow", "1"], "is a picture"), (["arp", "--svg", "x.svg"], "no picture"),
    (["sequence", "--flow", "99", "--svg", "x.svg"], "no such flow"),
])
def test_what_cannot_be_drawn_is_one_line(words, reason, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "stats", str(make_capture(tmp_path)), *words],
        capture_output=True, check=False, cwd=tmp_path, text=True)
    assert run.returncode == 2
    assert reason in run.stderr
    assert len(run.stderr.splitlines()) == 1
