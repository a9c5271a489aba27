from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.link.pcap import PcapWriter
from portulan.wire.frames import Frames
from tests.link.namespace import namespace

__all__ = ["namespace"]

COMMAND = [sys.executable, "-m", "portulan", "replay"]
PACKETS = [
    (wire.Ethernet(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
     / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=n, dport=53) / bytes(20)).pack()
    for n in range(5)]


def save(path, octets, gap_ns=1_000_000, link_type=1):
    frames = Frames.of(octets, [n * gap_ns for n in range(len(octets))], link_type=link_type)
    with open(path, "wb") as file:
        PcapWriter(file, link_type=link_type).write(frames)
    return path


def replay(namespace, *words):
    return subprocess.run(["ip", "netns", "exec", namespace, *COMMAND, *map(str, words)],
                          capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.live
def test_replay_and_capture_give_the_file_again(namespace, tmp_path):
    file = save(tmp_path / "a.pcap", PACKETS)
    capturing = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, "-m", "portulan", "capture", "-e", "vb",
         "--count", "5", "-w", str(tmp_path / "b.pcapng")], stderr=subprocess.PIPE)
    assert capturing.stderr.readline().startswith(b"listening")
    done = replay(namespace, file, "-e", "va")
    capturing.communicate(timeout=20)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1].startswith("5 sent, 310 bytes in")
    assert [packet.octets for packet in Capture(tmp_path / "b.pcapng")] == PACKETS


@pytest.mark.live
def test_json_is_one_object_that_counts(namespace, tmp_path):
    file = save(tmp_path / "a.pcap", [*PACKETS, bytes(5)])
    done = replay(namespace, file, "-e", "va", "--rate", 0, "--loop", 2, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 3
    assert (told["type"], told["sent"], told["failed"], told["loops"]) == ("replay", 10, 2, 2)
    assert list(told["failures"].values()) == [2]


@pytest.mark.live
def test_filter_and_number_choose(namespace, tmp_path):
    file = save(tmp_path / "a.pcap", PACKETS)
    words = ("-e", "va", "--speed", 10, "-f", "udp.sport > 1", "-n", 2, "--json")
    assert json.loads(replay(namespace, file, *words).stdout)["sent"] == 2


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_with_the_counts_and_130(namespace, tmp_path, number):
    file = save(tmp_path / "a.pcap", PACKETS, gap_ns=3000 * 10**9)
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, *COMMAND, str(file), "-e", "va", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("replaying")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in err
    assert json.loads(out)["reason"] == "interrupted"


@pytest.mark.live
@pytest.mark.parametrize(("words", "said"), [
    (["-e", "nope"], "no such interface"),
    ([], "there are: lo, v"),
    (["-e", "va", "--rate", "5", "--speed", "2"], "--rate"),
    (["-e", "va", "-f", "tcp prt"], "column 5"),
    (["-e", "va", "--loop", "0"], "--loop"),
    (["-e", "va", "--max-gap", "9999999"], "max-gap"),
])
def test_wrong_use_is_one_line_and_code_2(namespace, tmp_path, words, said):
    done = replay(namespace, save(tmp_path / "a.pcap", PACKETS), *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


@pytest.mark.live
def test_other_link_type_is_one_line_and_code_2(namespace, tmp_path):
    file = save(tmp_path / "a.pcap", [bytes(20)], link_type=101)
    done = replay(namespace, file, "-e", "va")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "RAW cannot be sent on va, which carries ETHERNET" in done.stderr


@pytest.mark.live
def test_without_rights_one_line_says_how_to_get_them(namespace, tmp_path):
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "setpriv", "--bounding-set=-all", "--inh-caps=-all",
         *COMMAND, str(save(tmp_path / "a.pcap", PACKETS)), "-e", "va"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CAP_NET_RAW" in done.stderr and done.stderr.count("\n") == 1

