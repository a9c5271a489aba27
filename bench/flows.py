"""The flow table beside tshark's conversations and nfstream; its memory; SQL cold and kept.

    python bench/flows.py [PACKETS] [--times N] [--nfstream PYTHON] [--gigabytes N]

PYTHON is an interpreter that has nfstream. Figures are CPU-seconds of whole processes, start
included, at their best of three; the same mixed packets come four times in a row. With --gigabytes
a synthetic capture of that size, 1,400 bytes a packet and a new flow every 14, goes through a
pipe, and the peak of memory is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from portulan.link.pcap import PcapWriter
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import TCP, Ethernet, Frames, IPv4
from tests.traffic.traffic import packets

TOP = "select src, sum(length) as bytes from packets group by src order by bytes desc limit 10"
NFSTREAM = (
    "import sys; from nfstream import NFStreamer; "
    "print(sum(1 for _ in NFStreamer(source=sys.argv[1], n_dissections=0, n_meters=1)))")
RUNS = 3
BATCH = 65_536
OCTETS = 1_400
PACKETS_A_FLOW = 14
PER_SECOND = 10_000
"""Packets a second of the capture's own time."""


def cpu_s(*words: str) -> float:
    """Return the CPU-seconds of a program, start included, at its best of three."""
    took = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(took)


def portulan(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "portulan", *words)


def beside(path: str, count: int, nfstream: str | None) -> None:
    """Print the rates of the flow table and of others."""
    programs = {
        "portulan flows --json": portulan("flows", path, "--json"),
        "portulan flows --json --long": portulan("flows", path, "--json", "--long")}
    if nfstream:
        programs["nfstream, no dissection"] = (nfstream, "-c", NFSTREAM, path)
    if shutil.which("tshark"):
        programs["tshark -q -z conv,tcp"] = ("tshark", "-n", "-r", path, "-q", "-z", "conv,tcp")
    mine: list[float] = []
    for name, words in programs.items():
        took = cpu_s(*words)
        ratios = "" if len(mine) < 2 else "".join(f"{took / each:6.1f} x" for each in mine)
        print(f"{name:30} {took:6.2f} s CPU  {count / took:12,.0f} packets/s {ratios}", flush=True)
        mine += [took] if words[0] == sys.executable else []


def asked(path: str) -> None:
    """Print what SQL takes cold and with the tables kept."""
    print(f"sql top talkers, cold  {cpu_s(*portulan('sql', TOP, path)):.2f} s CPU")
    subprocess.run(portulan("sql", "--index", TOP, path), stdout=subprocess.DEVNULL, check=True)
    print(f"sql top talkers, kept  {cpu_s(*portulan('sql', TOP, path)):.2f} s CPU")


def synthetic(first: int) -> Frames:
    """Return a batch of packets, of which 14 each have two ports of their own."""
    head = (Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(dport=443, flags=16)
            / bytes(OCTETS - 54)).pack()
    rows = np.tile(np.frombuffer(head, np.uint8), (BATCH, 1))
    number = np.arange(first, first + BATCH)
    flow = number // PACKETS_A_FLOW
    rows[:, 28:30] = (flow // 60_000 % 65_536).astype(">u2").view(np.uint8).reshape(-1, 2)
    rows[:, 34:36] = (flow % 60_000 + 1_024).astype(">u2").view(np.uint8).reshape(-1, 2)
    return Frames.uniform(rows, number * (1_000_000_000 // PER_SECOND))


def memory(gigabytes: float) -> None:
    """Print the peak of memory for a capture of so many gigabytes, flows ending by silence."""
    for words in (("--idle", "zeek"), ("--idle", "60", "--long"), ()):
        work = subprocess.Popen(portulan("flows", "-", "--json", *words), stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL)
        total = 0
        with PcapWriter(work.stdin, link_type=1) as writer:
            while total * OCTETS < gigabytes * 1e9:
                writer.write(synthetic(total))
                total += BATCH
        work.stdin.close()
        _, status, usage = os.wait4(work.pid, 0)
        took = usage.ru_utime + usage.ru_stime
        print(f"flows {' '.join(words):22} {total:,} packets, {total * OCTETS / 1e9:.0f} GB: "
              f"{usage.ru_maxrss / 1e3:.0f} MB, {took:.1f} s CPU, exit {status}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("packets", nargs="?", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=4, help="the packets so often in a row")
    parser.add_argument("--nfstream", metavar="PYTHON")
    parser.add_argument("--gigabytes", type=float)
    words = parser.parse_args()
    if words.gigabytes:
        memory(words.gigabytes)
        return
    some = packets(3, words.packets, 3_000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "mixed.pcapng")
        with PcapngWriter(path, link_type=1) as writer:
            frames = Frames.of([each for each, _, _ in some], [time for _, time, _ in some])
            for again in range(words.times):
                shifted = frames.time_ns + again * int(frames.time_ns.max() + 1)
                writer.write(dataclasses.replace(frames, time_ns=shifted))
        beside(path, words.packets * words.times, words.nfstream)
        asked(path)


if __name__ == "__main__":
    main()
