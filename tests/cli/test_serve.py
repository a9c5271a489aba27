from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from portulan.cli.serve import serve as command
from portulan.errors import PortulanError, UsageError


@contextlib.contextmanager
def running(*args: str) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    """The real command; gives it, its port, and what it said when it was ready."""
    with subprocess.Popen([sys.executable, "-m", "portulan", "serve", *args, "--bind", "0"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = [process.stderr.readline()]
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", said[0])
        assert match, said[0] + process.stderr.read()
        while not said[-1].endswith("/\n"):
            said.append(process.stderr.readline())
        try:
            yield process, int(match[1]), said
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


def fetch(port: int, path: str = "/", **options: object) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", **options)  # type: ignore[arg-type]
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def fault(*args: str) -> str:
    result = CliRunner().invoke(command, list(args))
    assert isinstance(result.exception, PortulanError | SystemExit)
    return str(result.exception) if isinstance(result.exception, PortulanError) else result.output


def test_folder_is_served_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "日.txt").write_text("x")
    with running(str(tmp_path), "--log") as (process, port, said):
        assert said[-1] == f"{tmp_path} at http://127.0.0.1:{port}/\n"
        assert fetch(port, "/%E6%97%A5.txt") == (200, b"x")
        assert fetch(port, "/x", method="PUT", data=b"x")[0] == 405
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr
        lines = process.stderr.read().splitlines()
        assert re.fullmatch(r'127\.0\.0\.1:\d+ "GET /%E6%97%A5.txt HTTP/1.1" 200 1', lines[0])
        assert lines[1].endswith('"PUT /x HTTP/1.1" 405 19')


def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    with running(str(tmp_path)) as (process, _, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_few_descriptors_serve_many_clients(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100_000))
    words = [sys.executable, "-m", "portulan", "serve", str(tmp_path), "--bind", "0"]
    shell = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *words]
    with subprocess.Popen(shell, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        port = int(process.stderr.readline().rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                sock = socket.create_connection(("127.0.0.1", port), timeout=20)
                stack.enter_context(sock).sendall(b"GET /a HTTP/1.1\r\n")
            for _ in range(5):
                assert fetch(port, "/a")[0] == 200
        process.terminate()
        said = process.stderr.read()
        assert "portulan" not in said.partition("\n")[2]
        assert process.wait(20) == 0


def test_upload_is_taken_only_when_asked_for(tmp_path: Path) -> None:
    with running(str(tmp_path), "--upload", "--max-upload", "1k") as (_, port, _):
        assert fetch(port, "/x", method="PUT", data=b"abc")[0] == 201
        assert fetch(port, "/x", method="PUT", data=b"abc")[0] == 409
        assert fetch(port, "/y", method="PUT", data=bytes(1025))[0] == 413
    assert (tmp_path / "x").read_bytes() == b"abc"


def test_inspect_prints_json_lines_and_answers(tmp_path: Path) -> None:
    args = ["--inspect", "--json", "--status", "503", "--body", "later", "--header", "A: 5"]
    with running(*args) as (process, port, _):
        assert fetch(port, "/hook", data=b"\x00\x1b") == (503, b"later")
        assert process.stdout
        seen = json.loads(process.stdout.readline())
        assert (seen["method"], seen["target"], seen["body_b64"]) == ("POST", "/hook", "ABs=")


def test_inspect_ends_when_nobody_reads_its_output(tmp_path: Path) -> None:
    with running("--inspect") as (process, port, _):
        assert process.stdout
        process.stdout.close()
        for _ in range(100):
            try:
                fetch(port)
            except OSError:
                break
            time.sleep(0.01)
        assert process.wait(20) == 0


def test_tls_says_its_fingerprint(tmp_path: Path) -> None:
    with running(str(tmp_path), "--tls") as (_, port, said):
        assert re.fullmatch(r"certificate sha256 [0-9a-f]{64}\n", said[1])
        assert said[2].endswith(f"at https://127.0.0.1:{port}/\n")


@pytest.mark.parametrize("args, said", [
    (["--overwrite"], "--overwrite: is for --upload"),
    (["--body", "x"], "--body: is for --inspect"),
    (["--status", "404"], "--status: is for --inspect"),
    (["--inspect", "--upload"], "--upload: --inspect serves no files"),
    (["--inspect", "--header", "no colon"], "--header: expects NAME: VALUE: 'no colon'"),
    (["--inspect", "--header", "A: b\nC: d"], "--header: expects NAME: VALUE"),
    (["--inspect", "--header", "Content-Length: 5"], "--header: this header is set by the server"),
    (["--max-upload", "much"], "is no size, as in 500M"),
    (["--bind", "x:y"], "--bind"),
    (["--cert", "/none.pem"], "option cert"),
    (["/none"], "DIR: no folder to serve"),
    (["--allow", "300.0.0.0"], "--allow"),
])
def test_bad_option_is_one_clear_line(args: list[str], said: str) -> None:
    assert said in fault(*args)


def test_address_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="in use"):
            CliRunner().invoke(command, ["--bind", str(taken.getsockname()[1])],
                               catch_exceptions=False)
