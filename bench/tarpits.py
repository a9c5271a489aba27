"""What tarpits cost: fifty ports of five kinds that waste time, beside one that is honest.

Run: python -m bench.tarpits [--each 10] [--nmap]. Everything stays on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

from tests.drive import talkers

KINDS = (talkers.silent, talkers.drip, talkers.endless_lines, talkers.flood, talkers.no_window)


def portulan(ports: list[int]) -> str:
    """Scan with -sV and return a line of figures."""
    with tempfile.TemporaryDirectory() as home:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "portulan", "scan", "127.0.0.1", "-sTV", "-Pn", "--json",
             "-p", ",".join(map(str, ports)), "--host-timeout", "15"],
            capture_output=True, text=True, check=True, env=os.environ | {"PORTULAN_HOME": home})
        spent = time.monotonic() - began
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = sum(event["type"] == "port" for event in events)
    named = [event["product"] for event in events if event.get("product")]
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (f"portulan: {spent:.1f} s, {told} of {len(ports)} ports told, named {named}, "
            f"{usage.ru_utime + usage.ru_stime:.1f} CPU-s, {usage.ru_maxrss >> 10} MiB")


def nmap(ports: list[int]) -> str:
    """Scan with nmap -sV within the same time."""
    began = time.monotonic()
    done = subprocess.run(
        ["nmap", "-sT", "-sV", "-Pn", "-n", "-p", ",".join(map(str, ports)), "--host-timeout",
         "15s", "127.0.0.1"], capture_output=True, text=True, check=False, timeout=600)
    told = sum("/tcp" in line for line in done.stdout.splitlines())
    return f"nmap: {time.monotonic() - began:.1f} s, {told} of {len(ports)} ports told"


def main() -> None:
    """Start the tarpits and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="ports of each kind [10]")
    parser.add_argument("--nmap", action="store_true", help="ask nmap, too")
    options = parser.parse_args()
    with ExitStack() as stack:
        ports = [port for kind in KINDS
                 for port in stack.enter_context(talkers.serving(kind, count=options.each))]
        ports += stack.enter_context(talkers.serving(talkers.greet(talkers.SSH)))
        print(portulan(ports))
        if options.nmap:
            print(nmap(ports))


if __name__ == "__main__":
    main()
