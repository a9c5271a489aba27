"""Read addresses and ports of a capture: Portulan beside dpkt, tshark and scapy.

What starting costs is taken off, ours and theirs: each contender also reads a capture of a few
packets. The capture is made here, of frames that four thousand conversations might have: TCP and
UDP over both IP versions, ICMP, ARP, VLAN tags, 60 to 1,514 bytes.

Run: .venv/bin/python -m bench.read [--packets 300000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import portulan.wire as wire
from bench.ground import PORTULAN
from bench.parts import Aim
from portulan.link.pcap import PcapWriter
from portulan.wire.frames import Frames

FEW = 10
SCAPY_SHARE = 15
"""scapy gets so much less to read: it would take minutes."""
TIMES_SIZE = 10
MEMORY_MAX_MIB = 400
KINDS, SHARES = ("tcp", "udp", "tcp6", "udp6", "icmp", "arp", "vlan"), (
    0.5, 0.2, 0.1, 0.08, 0.05, 0.02, 0.05)
PIECE = 50_000
FIELDS = ("ip.src", "ip.dst", "ip6.src", "ip6.dst", "tcp.sport", "tcp.dport", "udp.sport",
          "udp.dport")
TSHARK = ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport",
          "udp.dstport")

OURS = f"""
import sys, portulan
found = portulan.read(sys.argv[1]).columns(*{FIELDS!r})
print(len(found["ip.src"]))
"""
DPKT = """
import sys, dpkt
from dpkt.ip import IP
from dpkt.ip6 import IP6
rows = []
with open(sys.argv[1], "rb") as file:
    for _, octets in dpkt.pcap.Reader(file):
        ip = dpkt.ethernet.Ethernet(octets).data
        if isinstance(ip, (IP, IP6)):
            inner = ip.data
            if isinstance(inner, (dpkt.tcp.TCP, dpkt.udp.UDP)):
                rows.append((ip.src, ip.dst, inner.sport, inner.dport))
            else:
                rows.append((ip.src, ip.dst, None, None))
        else:
            rows.append(None)
print(len(rows))
"""
SCAPY = """
import sys
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader
rows = []
for packet in PcapReader(sys.argv[1]):
    ip = packet.getlayer(IP) or packet.getlayer(IPv6)
    inner = packet.getlayer(TCP) or packet.getlayer(UDP)
    rows.append((ip and ip.src, ip and ip.dst, inner and inner.sport, inner and inner.dport))
print(len(rows))
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """A contender: its command line, and by how much less it gets."""

    name: str
    argv: Sequence[str]
    share: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    cpu_s: float
    peak_mib: int
    lines: int
    last: str


def main() -> None:
    """Make the captures, let all read them in turns, print a table."""
    parser = argparse.ArgumentParser(prog="bench.read", description=__doc__)
    parser.add_argument("--packets", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portulan-bench-") as folder:
        whole, few = Path(folder, "whole.pcap"), Path(folder, "few.pcap")
        part, large = Path(folder, "part.pcap"), Path(folder, "large.pcap")
        make(whole, options.packets)
        make(part, options.packets // SCAPY_SHARE)
        make(few, FEW)
        print(f"{options.packets:,} packets, {whole.stat().st_size / 1e6:.0f} MB")
        rates = {each.name: list[float]() for each in readers()}
        for _ in range(options.rounds):
            for each in readers():
                path, packets = (whole, options.packets) if each.share == 1 else (
                    part, options.packets // each.share)
                began = read(each, few, FEW).cpu_s
                rates[each.name].append(packets / (read(each, path, packets).cpu_s - began))
        table(rates)
        make(large, options.packets * TIMES_SIZE)
        for each in readers()[:2]:
            peak = read(each, large, options.packets * TIMES_SIZE).peak_mib
            print(f"- {Aim(f'peak MiB of {each.name}, {TIMES_SIZE} times', peak, MEMORY_MAX_MIB)}")


def readers() -> list[Reader]:
    """Return who is here."""
    found = [
        Reader("portulan, columns", [sys.executable, "-c", OURS]),
        Reader("portulan read --fields", [PORTULAN, "read", "--fields", ",".join(FIELDS)]),
    ]
    python = "/usr/bin/python3"
    for name, program, share in (("dpkt", DPKT, 1), ("scapy", SCAPY, SCAPY_SHARE)):
        if not subprocess.run([python, "-c", f"import {name}"], capture_output=True,
                              check=False).returncode:
            found.append(Reader(name, [python, "-c", program], share))
        else:
            print(f"  {name} is not installed: left out (apt-get install python3-{name})")
    if shutil.which("tshark"):
        words = [word for field in TSHARK for word in ("-e", field)]
        found.append(Reader("tshark -T fields", ["tshark", "-n", "-T", "fields", *words, "-r"]))
    return found


def read(reader: Reader, path: Path, packets: int) -> Cost:
    """Let a contender read a capture; all of it must have been read."""
    cost = spent([*reader.argv, str(path)])
    seen = cost.lines if cost.lines > 1 else int(cost.last)
    assert seen == packets, (reader.name, seen, packets)
    return cost


def spent(argv: Sequence[str]) -> Cost:
    """Run a process to its end and return what it took."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert not process.returncode, argv
        out.seek(0)
        lines, last = 0, b""
        for last in out:  # noqa: B007 - the last one is wanted
            lines += 1
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, lines, last.decode())


def table(rates: dict[str, list[float]]) -> None:
    """Print medians and how they compare."""
    print("\n| contender | packets a CPU-s, median | from-to |\n|---|---|---|")
    middle = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        print(f"| {name} | {middle[name]:,.0f} | {min(each):,.0f}-{max(each):,.0f} |")
    print()
    mine = middle["portulan, columns"]
    for name, bound in (("dpkt", 12), ("tshark -T fields", 20), ("scapy", 150)):
        if name in middle:
            print(f"- {Aim(f'times {name}', mine / middle[name], bound, at_least=True)}")
    if "tshark -T fields" in middle:
        lines = middle["portulan read --fields"] / middle["tshark -T fields"]
        print(f"- lines: `portulan read --fields` is {lines:.1f} times `tshark -T fields`")


def make(path: Path, packets: int) -> None:
    """Write a capture of mixed frames, the same for the same count."""
    rng = np.random.default_rng(7)
    seeds = {kind: np.frombuffer(frame(kind), np.uint8) for kind in KINDS}
    with PcapWriter(path, link_type=1) as writer:
        for begin in range(0, packets, PIECE):
            writer.write(piece(rng, seeds, min(PIECE, packets - begin), begin))


def frame(kind: str) -> bytes:
    """Return the headers of one kind of frame."""
    ether = wire.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    four, six = wire.IPv4(src="10.0.0.0", dst="10.1.0.0"), wire.IPv6(src="fd00::", dst="fd01::")
    tcp, udp = wire.TCP(sport=0x8000, dport=4433, flags="A"), wire.UDP(sport=0x8000, dport=5001)
    made = {
        "tcp": ether / four / tcp, "udp": ether / four / udp, "tcp6": ether / six / tcp,
        "udp6": ether / six / udp, "icmp": ether / four / wire.ICMP.echo(id=7, seq=1),
        "arp": ether / wire.ARP.request(sha=1, spa="10.0.0.1", tpa="10.0.0.2"),
        "vlan": ether / wire.VLAN(id=7) / four / tcp,
    }
    return made[kind].pack()


def piece(
    rng: np.random.Generator, seeds: dict[str, np.ndarray], packets: int, begin: int
) -> Frames:
    """Return mixed frames: a seed each, other addresses and ports, lengths as they should be."""
    kind = rng.choice(len(KINDS), packets, p=SHARES)
    small = rng.random(packets) < 0.5
    body = np.where(small, rng.integers(0, 60, packets), rng.integers(60, 1_440, packets))
    rows = np.zeros((packets, 1_518), np.uint8)
    length = np.zeros(packets, np.int64)
    talk = rng.integers(0, 4_096, packets)
    for number, name in enumerate(KINDS):
        seed, mine = seeds[name], np.flatnonzero(kind == number)
        grown = np.zeros(len(mine), np.int64) if name == "arp" else body[mine]
        rows[mine, : len(seed)] = seed
        length[mine] = len(seed) + grown
        if name == "arp":
            continue
        at = 18 if name == "vlan" else 14
        sized = at + 4 if name.endswith("6") else at + 2
        size = length[mine] - at - (40 if name.endswith("6") else 0)
        rows[mine, sized], rows[mine, sized + 1] = size >> 8, size & 255
        low = at + 22 if name.endswith("6") else at + 14
        rows[mine, low], rows[mine, low + 1] = talk[mine] >> 8, talk[mine] & 255
        ports = at + (40 if name.endswith("6") else 20)
        if name != "icmp":
            rows[mine, ports + 1] = talk[mine] & 255
        if name.startswith("udp"):
            size = length[mine] - ports
            rows[mine, ports + 4], rows[mine, ports + 5] = size >> 8, size & 255
    offset = np.arange(packets, dtype=np.int64) * rows.shape[1]
    times = (1_700_000_000 * 10**9 + (begin + np.arange(packets)) * 50_000).astype(np.int64)
    return Frames(rows.reshape(-1), offset, length, length, times)


if __name__ == "__main__":
    main()
