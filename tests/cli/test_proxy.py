from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from portulan.cli.proxy import proxy as command
from portulan.errors import UsageError


@contextlib.contextmanager
def running(*args: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The real command; gives it and its first port."""
    with subprocess.Popen([sys.executable, "-m", "portulan", "proxy", *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", said)
        assert match, said + process.stderr.read()
        try:
            yield process, int(match[1])
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


def refused_by(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"\5\1\0\5\1\0\1\x7f\0\0\1\0\1")
        return b"".join(iter(lambda: sock.recv(100), b""))


def test_connection_that_failed_is_told_on_stderr() -> None:
    with running("socks5://:0", "http://:0") as (process, port):
        assert process.stderr
        assert process.stderr.readline().startswith("listening on 127.0.0.1:")
        assert refused_by(port)[:4] == b"\5\0\5\5"
        assert re.fullmatch(r"127\.0\.0\.1:\d+: refused: 127\.0\.0\.1:1: refused: .*\n",
                            process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_records_are_json_lines_and_interrupt_ends_with_130() -> None:
    with running("socks5://:0", "--json", "-q") as (process, port):
        refused_by(port)
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert (line["type"], line["closed"], line["target"]) == (
            "connection", "refused", "127.0.0.1:1")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr
        assert process.stderr.read() == ""


def test_chart_keeps_connections_and_no_password(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    with running("socks5://me:topsecret@:0", "--keep") as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(b"\5\1\0")
            assert sock.recv(2) == b"\5\xff"
            assert sock.recv(1) == b""
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    shown = subprocess.run([sys.executable, "-m", "portulan", "charts", "show", "--json"],
                           capture_output=True, text=True, check=True).stdout
    assert '"closed":"denied"' in shown
    assert "topsecret" not in shown


@pytest.mark.parametrize("args, said", [
    (["1080"], "proxy: a proxy listens at socks5://ADDR:PORT or http://ADDR:PORT"),
    (["socks5://:x"], "proxy"),
    (["http://:0", "--allow", "300.1.1.1"], "--allow"),
    (["http://:0", "--allow-target", "10.0.0.0/99"], "--allow"),
])
def test_bad_option_is_one_clear_line(args: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(command, args, catch_exceptions=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
