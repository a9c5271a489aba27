from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "sockets"

SAID = {
    "asyncio_echo": ["100 answers, the last is hello 99"],
    "chat": ["<guest1> good morning, おはよう, 좋은 아침"] * 2 + ["* guest3 has left"],
    "half_close": ["client: sent all of it, FIN included",
                   "client: after that nothing can be sent",
                   "client: the late answer is you sent 100000 bytes"],
    "http_by_hand": ["server: GET / for localhost", "client: 200 <h1>hello</h1>",
                     "server: GET /other for localhost", "client: 404 no such page"],
    "multicast": ["first heard ahoy from 127.0.0.1", "second heard ahoy from 127.0.0.1",
                  "first heard again", "second heard nothing"],
    "names": ["127.0.0.1 443: AF_INET SOCK_STREAM 127.0.0.1 port 443",
              "connected to 127.0.0.1"],
    "non_blocking": ["accept: nobody there yet", "connect: EINPROGRESS",
                     "recv: Resource temporarily unavailable",
                     "send: the buffers are full; nothing is lost: True"],
    "options": ["SO_REUSEADDR 1", "TCP_NODELAY 1", "TCP_KEEPIDLE 60", "TCP_KEEPINTVL 10",
                "TCP_KEEPCNT 6", "SO_SNDBUF 131072",
                "TCP_INFO: state 1 (1 is ESTABLISHED), round trip measured: True",
                "SO_LINGER 0: the peer sees a reset"],
    "readiness": [f"{way}: 20 of 20 clients served" for way in ("select", "poll", "epoll")],
    "tcp_echo": ["server: 127.0.0.1 came", "server: it has left", "client: got hello, 港"],
    "threaded_server": ["CLIENT 4", "CLIENT 3", "CLIENT 2", "CLIENT 1", "CLIENT 0", "served 5"],
    "tls": ["harbour.test: SECRET, TLSv1.3, talk/1",
            "other.test: Hostname mismatch, certificate is not valid for 'other.test'.",
            "harbour.test: self-signed certificate"],
    "udp": ["client: got 3 bytes", "client: got 0 bytes", "server: only a long",
            "client: nobody listens there (ICMP port unreachable)",
            "client: at last, at try 3"],
    "unix_sockets": ["server: it is us: True", "server: got a file, it says 'good wind'",
                     "abstract name: b'\\x00'", "pair: psst"],
}


def run(name: str, *args: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), *args],
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SAID)
def test_example_runs_and_says_what_it_shows(name: str) -> None:
    if name == "tls" and not shutil.which("openssl"):
        pytest.skip("needs openssl")
    said = run(name)
    if name == "names":  # the rest depends on how this machine knows itself
        assert set(SAID[name]) <= set(said)
    else:
        # Two threads print: each one's lines are in order, both together in any.
        assert sorted(said) == sorted(SAID[name])


def test_every_example_is_run_and_listed() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert names == set(SAID)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)\.py` \|", readme, re.MULTILINE)) == names


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_example_needs_nothing_but_python_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    wanted = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
              for alias in node.names}
    wanted |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in wanted} <= set(sys.stdlib_module_names)
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= 150
