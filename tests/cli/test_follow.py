from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import TCP, Frames, IPv4

A, B = IPv4(src="10.9.0.1", dst="10.9.0.2"), IPv4(src="10.9.0.2", dst="10.9.0.1")


def portulan(*words):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "follow", *map(str, words)], capture_output=True,
        check=False)
    return run.returncode, run.stdout, run.stderr.decode()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    packets = [
        A / TCP(sport=9, dport=80, seq=1, ack=50, flags=24) / b"ask \x1b[31m\r\n",
        B / TCP(sport=80, dport=9, seq=50, ack=12, flags=24) / b"tell",
        B / TCP(sport=80, dport=9, seq=60, ack=12, flags=24) / "ä".encode()]
    path = tmp_path_factory.mktemp("follow") / "a.pcapng"
    with PcapngWriter(path, link_type=101) as writer:
        writer.write(Frames.of([each.pack() for each in packets], link_type=101))
    return path


def test_text_is_safe_and_a_hole_is_exit_3(path):
    code, out, err = portulan(path, "--flow", 1)
    assert (code, out.decode(), err) == (3, "ask \\x1b[31m\ntell[6 bytes missing]ä", "")


def test_raw_side_is_its_bytes(path):
    assert portulan(path, "--tcp", "10.9.0.1:9-10.9.0.2:80", "--side", "a", "--raw") == (
        0, b"ask \x1b[31m\r\n", "")


def test_hex_shows_sides_and_offsets(path):
    lines = portulan(path, "--flow", 1, "--hex")[1].decode().splitlines()
    assert [line.split()[:3] for line in lines] == [
        [">", "00000000", "61"], ["<", "00000000", "74"], ["<", "00000004", "[6"],
        ["<", "0000000a", "c3"]]


@pytest.mark.parametrize("words", [
    (), ("--flow", 1, "--tcp", "10.9.0.1:9-10.9.0.2:80"), ("--flow", 7), ("--tcp", "x-y")])
def test_wrong_use_is_one_line(path, words):
    code, out, err = portulan(path, *words)
    assert (code, out, err.count("\n")) == (2, b"", 1)


DOWNLOAD = """
set -e
ip link set lo up
{python} -m http.server 8765 --bind 127.0.0.1 >/dev/null 2>&1 & server=$!
tcpdump --immediate-mode -Z root -B 16384 -i lo -w all.pcap -U port 8765 2>ready & dump=$!
until grep -q listening ready; do sleep 0.05; done
{python} -c "
import time, urllib.request
for _ in range(100):
    try:
        open('got', 'wb').write(urllib.request.urlopen('http://127.0.0.1:8765/file').read())
        break
    except OSError:
        time.sleep(0.1)
"
sleep 0.5
kill -INT $dump; wait $dump; kill $server
"""


@pytest.mark.live
@pytest.mark.peer
def test_download_that_tcpdump_captured_has_the_files_hash(tmp_path):
    if not shutil.which("tcpdump") or subprocess.run(
            ["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and tcpdump")
    data = hashlib.shake_256(b"seed").digest(300_000)
    (tmp_path / "file").write_bytes(data)
    script = DOWNLOAD.format(python=sys.executable)
    subprocess.run(["unshare", "-n", "bash", "-c", script], cwd=tmp_path, timeout=60, check=True)
    assert Path(tmp_path / "got").read_bytes() == data
    flows = subprocess.run(
        [sys.executable, "-m", "portulan", "flows", str(tmp_path / "all.pcap")],
        capture_output=True, text=True, check=True).stdout.splitlines()
    code, out, err = portulan(tmp_path / "all.pcap", "--flow", len(flows) - 1, "--raw",
                              "--side", "b")
    assert (code, err) == (0, "")
    body = out.partition(b"\r\n\r\n")[2]
    assert hashlib.sha256(body).digest() == hashlib.sha256(data).digest()


def test_objects_go_to_a_new_folder_and_nowhere_else(path, tmp_path):
    packets = [
        A / TCP(sport=9, dport=80, seq=1, ack=50, flags=24) / b"GET /../../x.txt HTTP/1.1\r\n\r\n",
        B / TCP(sport=80, dport=9, seq=50, ack=30, flags=24)
        / b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]
    capture = tmp_path / "h.pcapng"
    with PcapngWriter(capture, link_type=101) as writer:
        writer.write(Frames.of([each.pack() for each in packets], link_type=101))
    folder = tmp_path / "out"
    code, out, err = portulan(capture, "--objects", folder)
    assert (code, err) == (0, "")
    assert b"00001-x.txt  2 bytes  flow 1  packet 2" in out
    assert [each.name for each in folder.iterdir()] == ["00001-x.txt"]
    assert (folder / "00001-x.txt").read_bytes() == b"hi"
    code, _, err = portulan(capture, "--objects", folder)
    assert code == 2
    assert "is there already" in err
    code, _, err = portulan(capture, "--objects", tmp_path / "o", "--raw")
    assert (code, "leave out" in err) == (2, True)
