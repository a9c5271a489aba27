from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.link.packet import PacketLink
from portulan.link.pcapng_reader import PcapngReader
from portulan.wire.frames import Frames
from tests.link.namespace import inside, namespace

__all__ = ["namespace"]
pytestmark = pytest.mark.live

COMMAND = [sys.executable, "-m", "portulan", "capture"]
PACKET = (
    wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
    / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=7, dport=53) / bytes(20)).pack()


@pytest.fixture
def capturing(namespace):
    """Start a capture on vb and return it when it listens, and a link to send with."""
    started = []

    def start(*words, before=()):
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *before, *COMMAND, "-e", "vb", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        assert process.stderr.readline().startswith(b"listening on vb")
        return process

    with inside(namespace):
        link = PacketLink("va", rx=False)
    with link:
        yield start, lambda count: link.send(Frames.of([PACKET] * count))
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err.decode()


def test_count_reached_ends_with_a_summary(capturing):
    start, send = capturing
    process = start("--count", 3, "--json", "-n")
    send(5)
    code, out, err = ended(process)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, [row["frame.number"] for row in rows]) == (0, [1, 2, 3])
    assert rows[0]["udp.dport"] == 53
    assert err.startswith("3 packets captured, 5 received by the filter, 0 dropped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_a_whole_file(capturing, tmp_path, number):
    start, send = capturing
    process = start("-w", tmp_path / "a.pcapng", "--fields", "udp.dport")
    send(2)
    assert process.stdout.readline() == b"53\n"
    process.send_signal(number)
    code, _, err = ended(process)
    with PcapngReader(tmp_path / "a.pcapng") as reader:
        assert sum(map(len, reader)) == 2
        assert [(each.received, each.dropped) for each in reader.statistics] == [(2, 0)]
        assert reader.damage is None
    assert code == 0 and "2 packets captured" in err


def test_dash_writes_the_capture_to_stdout_as_it_comes(capturing):
    start, send = capturing
    process = start("-w", "-", "--count", 2)
    send(2)
    code, out, _ = ended(process)
    read = subprocess.run([sys.executable, "-m", "portulan", "read", "-", "--count"], input=out,
                          capture_output=True, check=True)
    assert (code, read.stdout) == (0, b"2\n")


def test_ring_keeps_the_latest_files(capturing, tmp_path):
    start, send = capturing
    process = start("-w", tmp_path / "a.pcapng", "--ring", "2x3packets", "--count", 10)
    send(10)
    assert ended(process)[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["a-00003.pcapng", "a-00004.pcapng"]


def test_full_disk_keeps_what_was_written_and_exits_3(capturing, tmp_path):
    start, send = capturing
    # A file size limit fails as a full disk does: a write is short, then refused.
    process = start("-w", tmp_path / "a.pcapng", before=("prlimit", "--fsize=4096"))
    for _ in range(20):
        send(10)
        if process.poll() is not None:
            break
        signal.sigtimedwait([], 0.05)
    code, _, err = ended(process)
    assert code == 3
    assert "what was written before is whole" in err and "Traceback" not in err
    kept = Capture(tmp_path / "a.pcapng")
    assert 0 < len(kept) < 4096 // 92
    assert kept.damage is None


def test_lines_of_several_interfaces_name_theirs(capturing):
    start, send = capturing
    process = start("-e", "va", "-f", "udp port 53", "--count", 2)
    send(1)
    code, out, _ = ended(process)
    assert code == 0
    assert [line.split()[2] for line in out.decode().splitlines()] == ["va", "vb"]


@pytest.mark.parametrize(("words", "said"), [
    (["-e", "nope"], "no such interface"),
    ([], "there are: lo, v"),
    (["-e", "vb", "-w", "a.pcapng.gz"], "not compressed"),
    (["-e", "vb", "-e", "any"], "captured twice"),
    (["-e", "vb", "--snaplen", "999999"], "--snaplen"),
    (["-e", "vb", "-f", "tcp prt"], "column 5"),
    (["-e", "vb", "--ring", "3x3", "-w", "x"], "--ring"),
    (["-e", "vb", "--ring", "3x3MB"], "needs a name"),
    (["-e", "vb", "-w", "-", "--json"], "stdout"),
    (["-e", "vb", "--fields", "nope.field"], "nope.field"),
    (["-e", "vb", "-w", "missing/folder/a.pcapng"], "cannot be written"),
])
def test_wrong_use_is_one_line_and_code_2(namespace, words, said):
    done = subprocess.run(["ip", "netns", "exec", namespace, *COMMAND, *words],
                          capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("listening")]
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 1)
    assert said in lines[0]


def test_without_rights_one_line_says_how_to_get_them(namespace):
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "setpriv", "--bounding-set=-all", "--inh-caps=-all",
         *COMMAND, "-e", "vb"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CAP_NET_RAW" in done.stderr and done.stderr.count("\n") == 1
