"""Real servers of Debian, started one by one in a namespace, named by `portulan banner`.

Those that are installed are asked; the table and the starter are the bench's. The bench knows
more than a hundred: `python -m bench.services --install`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.services import Answer, Mark, installed_version, mark, servers, upstream

ROOT = Path(__file__).parents[2]
HANDFUL = ("openssh", "dropbear", "dnsmasq-udp", "postgresql", "redis", "nginx", "lighttpd")
"""Servers that start at once and need little."""


@pytest.mark.live
@pytest.mark.peer
@pytest.mark.parametrize("name", HANDFUL)
def test_server_is_named_with_nothing_wrong(name):
    server = next(each for each in servers() if each.name == name)
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to make a network and a PID namespace")
    if not installed_version(server.package):
        pytest.skip(f"{server.package} is not installed")
    done = subprocess.run([sys.executable, "-m", "bench.services", name], cwd=ROOT, timeout=100,
                          capture_output=True, text=True, check=False)
    if "not permitted" in done.stderr or "does not listen" in done.stdout:
        pytest.skip(f"cannot be started here: {(done.stderr or done.stdout)[:200]}")
    assert f"{name} " in done.stdout, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
    assert not set(line.split()[2]) & set("mw"), line


def test_table_of_servers_is_sound():
    table = servers()
    names = [server.name for server in table]
    assert len(names) == len(set(names)) > 60
    assert {server.name for server in table} >= set(HANDFUL)
    assert all("$PORT" in server.run + "".join(server.files.values()) + server.setup
               for server in table)


SERVER = next(server for server in servers() if server.name == "openssh")


@pytest.mark.parametrize(("answer", "told"), [
    (Answer("ssh", "OpenBSD", "OpenSSH", "9.2p1"), "ooo"), (Answer(), "mmm"),
    (Answer("http", "", "nginx", "1.2"), "www"), (Answer("ssh", "", "OpenSSH", ""), "oom"),
], ids=["right", "silent", "wrong", "no-version"])
def test_answer_is_marked_by_what_dpkg_knows(answer, told):
    assert str(mark(SERVER, answer, upstream("1:9.2p1-2+deb12u10"))) == told


def test_version_that_is_not_disclosed_is_no_miss():
    silent = next(server for server in servers() if server.name == "postfix")
    assert mark(silent, Answer("smtp", "Postfix", "Postfix", ""), "3.7") == Mark("o", "o", "-")
