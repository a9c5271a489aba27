"""Sending 60-byte frames: ours beside scapy's sendp, in frames per CPU-second of the sender.

    python -m bench.send            # root; scapy from Debian (python3-scapy), skipped if absent

Both send into a veth pair of a namespace of their own, which is removed at the end.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

FRAMES, PEER_FRAMES = 1_000_000, 4_000
OURS = """
import resource
from portulan.link.packet import PacketLink
from portulan.wire import Ethernet, IPv4, UDP, build
before = resource.getrusage(resource.RUSAGE_SELF)
sent = 0
with PacketLink("va", rx=False) as link:
    while sent < {frames}:
        frames = build(Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
                       / IPv4(src="10.9.0.1", dst="10.9.0.2")
                       / UDP(sport=9, dport=(1, 50_000)) / bytes(18))
        done = 0
        while done < len(frames):
            done += link.send(frames.take(slice(done, done + 4096)))
        sent += done
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(sent / cpu)
"""
SCAPY = """
import resource
from scapy.all import IP, UDP, Ether, sendp
packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(
    src="10.9.0.1", dst="10.9.0.2") / UDP(sport=9, dport=(1, {frames})) / bytes(18)
before = resource.getrusage(resource.RUSAGE_SELF)
sendp(packet, iface="va", verbose=False)
after = resource.getrusage(resource.RUSAGE_SELF)
print({frames} / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
"""


def measure(name: str, python: str, program: str) -> float:
    done = subprocess.run(
        ["ip", "netns", "exec", name, python, "-c", program], capture_output=True, text=True,
        check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return 0.0
    return float(done.stdout)


def main() -> None:
    name = f"ptl-bench-send-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                      ["link", "set", "va", "up"], ["link", "set", "vb", "up"]):
            subprocess.run(["ip", "-n", name, *words], check=True)
        ours = measure(name, sys.executable, OURS.format(frames=FRAMES))
        print(f"portulan: {ours:,.0f} frames per CPU-second, built with checksums and sent")
        peer = measure(name, "/usr/bin/python3", SCAPY.format(frames=PEER_FRAMES))
        if peer:
            print(f"scapy sendp: {peer:,.0f}; ratio {ours / peer:,.0f}")
        else:
            print("scapy: not here (apt-get install python3-scapy)")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    print(f"children used {resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.1f} s")


if __name__ == "__main__":
    main()
