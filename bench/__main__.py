"""Run the parts that are asked for, print their figures, append them to RESULTS.md if told to."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from bench.parts import PARTS, Outcome

RESULTS = Path(__file__).with_name("RESULTS.md")
VERSIONS = {"nmap": ["nmap", "--version"], "masscan": ["masscan", "--version"],
            "zmap": ["zmap", "--version"]}


def main() -> None:
    """Read the command line and go."""
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender [5]")
    parser.add_argument("--write", action="store_true", help=f"append to bench/{RESULTS.name}")
    words = parser.parse_args()
    unknown = [part for part in words.parts if part not in PARTS]
    if unknown or words.rounds < 1:
        parser.error(f"parts are {', '.join(PARTS)}; rounds are 1 or more")
    chapters = [machine()]
    print(chapters[0])
    for name in words.parts or PARTS:
        chapters.append(chapter(PARTS[name](words.rounds)))
        print(chapters[-1], flush=True)
    if words.write:
        with RESULTS.open("a") as file:
            file.write("\n".join(chapters))


def chapter(outcome: Outcome) -> str:
    """Return one part's figures as Markdown."""
    lines = [f"### {outcome.title}", ""]
    if not outcome.results:
        return "\n".join([*lines, "Not run here.", ""])
    unit = " frames | frames a CPU-s |" if outcome.per_cpu else ""
    lines += [f"| contender | wall s, median | from-to | CPU s | runs | found |{unit}",
              f"|---|---|---|---|---|---|{'---|---|' if unit else ''}"]
    for each in outcome.results.values():
        frames = f" {each.runs[0].metered:,} | {each.per_cpu_s:,.0f} |" if unit else ""
        lines.append(f"| {each.name} | {each.wall_s:.3f} | {each.spread} | {each.cpu_s:.3f} "
                     f"| {len(each.runs)} | {each.found} |{frames}")
    return "\n".join([*lines, "", *(f"- {aim}" for aim in outcome.aims), ""])


def machine() -> str:
    """Return when, with what and on what this was measured."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = _first_line(["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty"])
    peers = [f"{name} {version}" for name, argv in VERSIONS.items()
             if (version := _number(argv))]
    when = datetime.datetime.now(datetime.UTC)
    return "\n".join([
        "", f"## {when:%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'}", "",
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}; "
        f"{', '.join(peers) or 'no peers installed'}.", "",
    ])


def _number(argv: list[str]) -> str:
    found = re.search(r"\d+(\.\d+)+", _first_line(argv))
    return found[0] if found else ""


def _first_line(argv: list[str]) -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              env=os.environ | {"PATH": path})
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip().partition("\n")[0]


main()
