"""The relay as a program: what it says, prints, keeps, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest


@contextlib.contextmanager
def server():
    """A server that answers everything it heard, backwards, after the end."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = door.accept()
                    with client:
                        heard = b"".join(iter(lambda c=client: c.recv(65536), b""))
                        client.sendall(heard[::-1])

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(*words, home):
    """The program at work, with its process and the address it names."""
    line = [sys.executable, "-m", "portulan", "relay", *map(str, words)]
    env = os.environ | {"PORTULAN_HOME": str(home), "NO_COLOR": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=env) as process:
        try:
            said = process.stderr.readline()
            assert said.startswith("listening on "), said + process.stderr.read()
            yield process, said.removeprefix("listening on ").strip()
        finally:
            process.kill()


def ask(address, data=b"abc"):
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_bare_port_binds_the_loopback_and_relays(tmp_path):
    with server() as port, relay(0, f"127.0.0.1:{port}", home=tmp_path) as (process, address):
        assert address.startswith("127.0.0.1:")
        assert ask(address) == b"cba"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
        assert (out, process.returncode) == ("", 130)


def test_json_prints_and_keep_keeps_each_connection(tmp_path):
    with server() as port, relay(0, f"127.0.0.1:{port}", "--json", "--keep",
                                 home=tmp_path) as (process, address):
        assert [ask(address) for _ in range(2)] == [b"cba", b"cba"]
        lines = [process.stdout.readline() for _ in range(2)]
        events = [json.loads(line) for line in lines]
        assert {each["closed"] for each in events} == {"end"}
        assert events[0]["target"] == f"127.0.0.1:{port}"
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 0
    [journal] = tmp_path.glob("charts/*/events.jsonl")
    kept = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [each["type"] for each in kept] == ["run", "connection", "connection", "end"]
    assert kept[1:3] == events


@pytest.mark.parametrize(("words", "said"), [
    (["0", "udp://127.0.0.1:9"], "TARGET"), (["nonsense://1", "x:1"], "LISTEN"),
    (["0", "127.0.0.1:9", "--allow", "10.0.0.0/99"], "--allow"),
    (["0", "127.0.0.1:9", "--trust", "10.0.0.0/8"], "--trust"),
    (["0", "127.0.0.1:9", "--idle", "-3"], "idle"), (["0"], "TARGET"),
    (["0", "127.0.0.1:9", "--tee", "/nonexistent/x.pcapng"], "--tee"),
    (["0", "127.0.0.1:9", "--proxy-protocol", "out", "--proxy-protocol", "out-v2"], "version"),
    (["192.0.2.1:0", "127.0.0.1:9"], "192.0.2.1"),
    (["tls://0?cert=/nonexistent", "127.0.0.1:9"], "cert"),
])
def test_wrong_use_is_one_line_and_exit_code_2(words, said, tmp_path):
    env = os.environ | {"PORTULAN_HOME": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-m", "portulan", "relay", *words], env=env,
                          capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_address_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-m", "portulan", "relay", address, "127.0.0.1:9"],
                              capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "in use" in done.stderr


@pytest.mark.peer
def test_tee_of_a_tls_relay_is_read_in_the_clear_by_tshark(tmp_path):
    if not shutil.which("tshark") or not shutil.which("openssl"):
        pytest.skip("tshark or openssl is not installed")
    path = tmp_path / "tee.pcapng"
    with server() as port, relay("tls://0", f"127.0.0.1:{port}", "--tee", path,
                                 home=tmp_path) as (process, address):
        pin = process.stderr.readline()
        assert "pin=" in pin
        client = ["openssl", "s_client", "-connect", address, "-quiet", "-no_ign_eof"]
        subprocess.run(client, input=b"secret words\n", capture_output=True, timeout=20,
                       check=False)
        process.terminate()
        process.communicate(timeout=10)
    done = subprocess.run(["tshark", "-r", str(path), "-q", "-z", "follow,tcp,ascii,0"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert "secret words" in done.stdout
