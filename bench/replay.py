"""Replaying a capture: ours beside tcpreplay, whole processes in turns.

    python -m bench.replay [--rounds 5]       # root; tcpreplay from Debian, skipped if absent

Two figures: frames per CPU-second of 300,000 mixed frames at top speed, and how far from the file's
gaps frames arrive that are 2 ms apart. Both send into a veth pair of a namespace of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from portulan.drive.live import LiveCapture
from portulan.link.pcap import PcapWriter
from portulan.wire.frames import Frames
from tests.link.namespace import inside

FRAMES, GAP_FRAMES, GAP_NS = 300_000, 1_000, 2_000_000
PORTULAN = str(Path(sys.executable).with_name("portulan"))


def ours(file: Path, *, fast: bool) -> list[str]:
    return [PORTULAN, "replay", str(file), "-e", "va", *(["--rate", "0"] if fast else [])]


def theirs(file: Path, *, fast: bool) -> list[str]:
    # -K reads the file before it starts: its best case. Flow statistics would warn per packet.
    speed = ["-K", "--topspeed"] if fast else []
    return ["tcpreplay", "-q", "--no-flow-stats", *speed, "-i", "va", str(file)]


def write(path: Path, sizes: Iterator[int], gap_ns: int) -> Path:
    octets = [b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x88\xb5" + bytes(size - 14) for size in sizes]
    with PcapWriter(path, link_type=1) as writer:
        writer.write(Frames.of(octets, range(0, gap_ns * len(octets) or 1, gap_ns or 1)
                               if gap_ns else 0))
    return path


def cpu_s(name: str, words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["ip", "netns", "exec", name, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def gap_errors_us(name: str, words: list[str]) -> np.ndarray:
    """Return how far each gap that arrived is from the file's."""
    with inside(name):
        live = LiveCapture("vb", filter="ether proto 0x88b5", count=GAP_FRAMES, duration_s=30)
    with live, subprocess.Popen(["ip", "netns", "exec", name, *words],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        times = live.columns("frame.time_ns")["frame.time_ns"].data
    return np.abs(np.diff(times) - GAP_NS) / 1000


@contextlib.contextmanager
def ground() -> Iterator[str]:
    name = f"ptl-bench-replay-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                      ["link", "set", "va", "up"], ["link", "set", "vb", "up"]):
            subprocess.run(["ip", "-n", name, *words], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    contenders: dict[str, Callable[..., list[str]]] = {"portulan": ours}
    if shutil.which("tcpreplay"):
        contenders["tcpreplay"] = theirs
    with ground() as name, tempfile.TemporaryDirectory() as folder:
        sizes = np.random.default_rng(1).integers(60, 1500, FRAMES).tolist()
        many = write(Path(folder) / "many.pcap", sizes, 0)
        even = write(Path(folder) / "even.pcap", [60] * GAP_FRAMES, GAP_NS)
        spent: dict[str, list[float]] = {each: [] for each in contenders}
        errors: dict[str, list[np.ndarray]] = {each: [] for each in contenders}
        for _ in range(rounds):
            for each, words in contenders.items():
                spent[each].append(cpu_s(name, words(many, fast=True)))
                errors[each].append(gap_errors_us(name, words(even, fast=False)))
    for each in contenders:
        rate = FRAMES / statistics.median(spent[each])
        middle, high = np.percentile(np.concatenate(errors[each]), [50, 99])
        print(f"{each}: {rate:,.0f} frames per CPU-second, start and reading included; gaps off by "
              f"{middle:.0f} us (median), {high:.0f} us (99 %)")


if __name__ == "__main__":
    main()
