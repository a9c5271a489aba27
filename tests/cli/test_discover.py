from __future__ import annotations

import json
import subprocess
import sys

import pytest


def discover(*words, home):
    return subprocess.run(
        [sys.executable, "-m", "portulan", "discover", *words], capture_output=True, text=True,
        env={"PORTULAN_HOME": str(home), "PATH": "/usr/bin:/bin"}, timeout=60, check=False)


def test_this_machine_is_there_and_the_chart_is_kept(tmp_path):
    done = discover("127.0.0.1", "-n", "--json", "-o", str(tmp_path / "hosts.csv"), home=tmp_path)
    assert done.returncode == 0, done.stderr
    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert types[0] == "run" and "host" in types and types[-1] == "end"
    assert list(tmp_path.rglob("events.jsonl"))
    assert (tmp_path / "hosts.csv").stat().st_size


@pytest.mark.parametrize("words", [
    ["127.0.0.1", "-n", "--dns-server", "127.0.0.1"], ["127.0.0.1", "--dns-server", "name"],
    ["127.0.0.1", "-4", "-6"],
])
def test_what_does_not_go_together_is_one_line_and_exit_2(tmp_path, words):
    done = discover(*words, home=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
