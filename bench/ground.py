"""Where contenders meet: labs, and the words each of them needs there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from portulan.lab import Lab, best_mode

HERE = Path(__file__).parent
PORTULAN = str(Path(sys.executable).with_name("portulan"))
#: Without rights, though the user may be root: an interpreter under root's home is not readable
#: by others.
ORDINARY = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]


@contextlib.contextmanager
def lab(scenario: str) -> Iterator[Lab | None]:
    """Put up a lab; None, and a line to the reader, where that is not allowed."""
    if best_mode() == "local":
        print("  left out: no right to make network namespaces")
        yield None
        return
    path = str(HERE / scenario) if scenario.endswith(".toml") else scenario
    with Lab.up(path, name=f"bench-{os.getpid()}") as up:
        yield up


def inside(up: Lab, *argv: str) -> list[str]:
    """Return the command line that runs something at the scanner's place."""
    return up.argv(up.scenario.scanner, argv)


def asked(up: Lab, host: str, *argv: str) -> str:
    """Run something in a host and return what it printed."""
    done = up.run(argv, host=host, stdout=subprocess.PIPE, text=True)
    assert not done.returncode, argv
    return str(done.stdout)


def mac_of(up: Lab, host: str, link: str) -> str:
    """Return a host's Ethernet address on a link."""
    found = json.loads(asked(up, host, "ip", "-j", "link", "show", link))
    return str(found[0]["address"])


def received(up: Lab, host: str, link: str) -> int:
    """Return how many frames have reached a host's interface."""
    for line in asked(up, host, "cat", "/proc/net/dev").splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == link:
            return int(counts.split()[1])
    raise LookupError(link)


def open_ports(data: bytes) -> tuple[int, int]:
    """Return how many open ports a `--json` output names, and how many lines say so."""
    rows = [
        (event["addr"], event["port"]) for event in map(json.loads, data.splitlines())
        if event["type"] == "port" and event["state"] == "open"
    ]
    return len(set(rows)), len(rows)


def count_json(data: bytes) -> str:
    """Count Portulan's open ports."""
    once, lines = open_ports(data)
    return f"{once:,} open" + (f" in {lines:,} lines" if lines != once else "")


def count_grepable(data: bytes) -> str:
    """Count nmap's open ports in its `-oG` output."""
    return f"{data.count(b'/open/'):,} open"


def count_lines(data: bytes) -> str:
    """Count the addresses that zmap prints, each once."""
    return f"{len(set(data.split())):,} open"


def count_list(data: bytes) -> str:
    """Count masscan's open ports in its `-oL` output, each once."""
    return f"{len({line for line in data.splitlines() if line.startswith(b'open ')}):,} open"
