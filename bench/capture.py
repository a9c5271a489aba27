"""Capture beside a plain `socket.recv` loop: what each drops at the same rate.

Run as root: python -m bench.capture [--rates 100000,200000,...] [--seconds 2]

A namespace of its own, a veth pair, our transmit ring as the sender, 60-byte frames. Dropped is
what the kernel counted for the socket (PACKET_STATISTICS), seen what the reader got.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

from portulan.drive.live import LiveCapture
from portulan.link.packet import PacketLink
from portulan.wire.frames import Frames

FIELDS = ("ip.src", "ip.dst", "udp.sport", "udp.dport")
TICK_S = 0.01
SOL_PACKET, PACKET_STATISTICS, ETH_P_ALL = 263, 6, 3
Reader = Callable[[str, float, Connection], tuple[int, int]]


def recv_loop(interface: str, seconds: float, ready: Connection) -> tuple[int, int]:
    """Read frame by frame, as most scripts do; return seen and dropped."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.bind((interface, ETH_P_ALL))
        sock.settimeout(0.2)
        ready.send(None)
        seen, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                sock.recv(65_535)
            except TimeoutError:
                continue
            seen += 1
        counted = sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        return seen, struct.unpack("2I", counted)[1]


def ours(interface: str, seconds: float, ready: Connection) -> tuple[int, int]:
    """Read columns: time, length, addresses and ports of every frame."""
    from portulan.wire.columns import columns

    seen = 0
    with LiveCapture(interface, duration_s=seconds) as live:
        ready.send(None)
        for frames in live.frames():
            seen += len(columns(frames, FIELDS)["udp.dport"])
        return seen, live.drops


def reading(reader: Reader, interface: str, seconds: float, pipe: Connection) -> None:
    """Run a reader and tell what it saw, dropped, and cost in CPU."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    seen, drops = reader(interface, seconds, pipe)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    pipe.send((seen, drops, spent))


def send(interface: str, rate: int, seconds: float) -> int:
    """Send at a rate in ticks; return how many frames were taken."""
    head = bytes.fromhex("ffffffffffff 020000000001 0800 4500002e000000004011") + bytes(36)
    size = max(int(rate * TICK_S), 1)
    frames = Frames.uniform(np.frombuffer(head[:60] * size, np.uint8).reshape(size, 60))
    sent, began = 0, time.monotonic()
    with PacketLink(interface, rx=False) as link:
        for tick in range(int(seconds / TICK_S)):
            sent += link.send(frames)
            time.sleep(max(began + (tick + 1) * TICK_S - time.monotonic(), 0))
    return sent


def measure(reader: Reader, rate: int, seconds: float) -> str:
    """Return one row of the table."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=reading, args=(reader, "vb", 2.5 * seconds + 0.5, there))
    process.start()
    here.recv()
    began = time.monotonic()
    sent = send("va", rate, seconds)
    took = time.monotonic() - began
    seen, drops, cpu_s = here.recv()
    process.join()
    return (f"| {reader.__name__} | {rate:,} | {sent / took:,.0f} | {sent:,} | {seen:,} "
            f"| {drops:,} | {seen / cpu_s:,.0f} |")


def main() -> None:
    """Make a namespace, run this file inside, take the namespace away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="50000,100000,200000,400000")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.inside:
        print("| reader | asked, frames/s | reached | sent | seen | dropped | seen a CPU-s |\n"
              "|---|---|---|---|---|---|---|")
        for rate in map(int, words.rates.split(",")):
            for reader in (recv_loop, ours):
                print(measure(reader, rate, words.seconds), flush=True)
        return
    name = f"ptl-bench-{os.getpid()}"
    ip = ("ip", "-n", name, "link")
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        subprocess.run(("ip", "netns", "exec", name, "sysctl", "-qw",
                        "net.ipv6.conf.default.disable_ipv6=1"), check=True)
        subprocess.run((*ip, "add", "va", "type", "veth", "peer", "name", "vb"), check=True)
        for end in ("va", "vb"):
            subprocess.run((*ip, "set", end, "up"), check=True)
        subprocess.run(("ip", "netns", "exec", name, sys.executable, "-m", "bench.capture",
                        "--inside", *sys.argv[1:]), check=True)
    finally:
        subprocess.run(("ip", "netns", "del", name), check=True)


if __name__ == "__main__":
    main()
