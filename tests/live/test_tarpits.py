"""Tarpits of five kinds beside one honest server, through the command line, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from tests.drive import talkers

KINDS = (talkers.silent, talkers.drip, talkers.endless_lines, talkers.flood, talkers.no_window)


def test_scan_of_tarpits_ends_with_every_port_and_names_the_honest_one(tmp_path):
    with ExitStack() as stack:
        ports = [port for kind in KINDS
                 for port in stack.enter_context(talkers.serving(kind, count=2))]
        [ssh] = stack.enter_context(talkers.serving(talkers.greet(talkers.SSH)))
        done = subprocess.run(
            [sys.executable, "-m", "portulan", "scan", "127.0.0.1", "-sTV", "-Pn", "--json",
             "-p", ",".join(map(str, [*ports, ssh])), "--host-timeout", "2s"],
            capture_output=True, text=True, timeout=60, check=True,
            env=os.environ | {"PORTULAN_HOME": str(tmp_path)})
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["port"] for e in events if e["type"] == "port"} == {*ports, ssh}
    named = {e["port"]: e.get("product", "") for e in events if e["type"] == "service"}
    assert named[ssh] == "OpenSSH" and set(named.values()) == {"OpenSSH", ""}
    assert events[-1]["type"] == "end" and events[-1]["reason"] == "done"
