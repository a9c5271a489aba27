"""Relays side by side on loopback: CPU-seconds per GiB, new connections, memory of idle ones.

Run: python bench/relay.py [--gib 1] [--seconds 4] [--idle 9000] [--repeats 2]
Peers that are not installed are left out. Only the relay's own processes are counted: user and
system time of the process and of its children, from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CHUNK = memoryview(bytes(1 << 20))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def commands(listen: int, target: int) -> dict[str, list[str]]:
    """Return each relay's command line."""
    to = f"TCP:127.0.0.1:{target}"
    door = f"TCP-LISTEN:{listen},fork,reuseaddr,backlog=1024,bind=127.0.0.1"
    ncat = ["ncat", "-lk", "127.0.0.1", str(listen), "-c", f"ncat 127.0.0.1 {target}"]
    found = {
        "portulan": [sys.executable, "-m", "portulan", "relay", f"127.0.0.1:{listen}",
                     f"127.0.0.1:{target}"],
        "socat": ["socat", door, to], "socat -b262144": ["socat", "-b262144", door, to],
        "ncat -c": ncat,
    }
    return {name: words for name, words in found.items() if shutil.which(words[0])}


def cpu_s(pid: int) -> float:
    """Return CPU-seconds of a process, of its ended and of its running children."""
    total = 0.0
    for each in [pid, *children(pid)]:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(word) for word in fields[11:15])
    return total / TICKS


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in
                Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Sink:
    """A server that reads everything and answers the count, or says one word at once."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.sock.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                self.serve(self.sock.accept()[0])


def swallow(client: socket.socket) -> None:
    def run() -> None:
        buffer, total = bytearray(1 << 20), 0
        with client, suppress(OSError):  # the probe that waits for the relay may be reset
            while got := client.recv_into(buffer):
                total += got
            client.sendall(str(total).encode())
    threading.Thread(target=run, daemon=True).start()


def greet(client: socket.socket) -> None:
    with client, suppress(OSError):
        client.sendall(b"hello")


class Started:
    """A relay's process, ready to be connected to."""

    def __init__(self, name: str, target: int) -> None:
        self.port = free_port()
        words = commands(self.port, target)[name]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.05)
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
        time.sleep(0.3)
        self.before = cpu_s(self.process.pid)

    def spent(self) -> float:
        time.sleep(0.3)
        return cpu_s(self.process.pid) - self.before

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def bulk(name: str, gib: float) -> dict[str, float]:
    """Send some GiB through a relay; the answer proves that all came."""
    sink = Sink(swallow)
    relay = Started(name, sink.port)
    size = int(gib * (1 << 30))
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", relay.port)) as sock:
        left = size
        while left:
            left -= sock.send(CHUNK[: min(left, len(CHUNK))])
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(99), b""))
    clock = time.perf_counter() - began
    cpu = relay.spent()
    relay.stop()
    complete = answer == str(size).encode()
    return {"cpu_s_per_gib": cpu / gib, "gib_per_s": gib / clock, "answer_kept": complete}


def rate(name: str, seconds: float) -> dict[str, float]:
    """Open connections one after the other from two threads, each answered and closed."""
    sink = Sink(greet)
    relay = Started(name, sink.port)
    counts = [0, 0]
    stop = time.perf_counter() + seconds

    def ask(at: int) -> None:
        while time.perf_counter() < stop:
            with socket.create_connection(("127.0.0.1", relay.port)) as sock:
                while sock.recv(64):
                    pass
            counts[at] += 1

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = relay.spent()
    relay.stop()
    total = sum(counts)
    return {"per_s": total / seconds, "per_cpu_s": total / max(cpu, 1 / TICKS)}


def idle(count: int) -> dict[str, float]:
    """Hold idle connections through our relay; every one is proved to be joined."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, (hard - 100) // 2)
    held: list[socket.socket] = []

    def hold(client: socket.socket) -> None:
        with suppress(OSError):
            client.send(b"!")
        held.append(client)

    sink = Sink(hold)
    relay = Started("portulan", sink.port)
    clients = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", relay.port))
        clients.append(sock)
    joined = sum(sock.recv(1) == b"!" for sock in clients)
    time.sleep(1)
    memory = rss_mb(relay.process.pid)
    before = cpu_s(relay.process.pid)
    time.sleep(3)
    busy = (cpu_s(relay.process.pid) - before) / 3
    relay.stop()
    return {"connections": joined, "rss_mb": memory, "cpu_share_idle": busy}


def main() -> None:
    """Print one JSON object a measurement, then the ratios that the goals name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--idle", type=int, default=9_900)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    socket.setdefaulttimeout(20)
    best: dict[str, dict[str, float]] = {}
    for name in commands(0, 0):
        runs = [bulk(name, given.gib) for _ in range(given.repeats)]
        best[name] = min(runs, key=lambda run: run["cpu_s_per_gib"])
        if name != "ncat -c":
            runs = [rate(name, given.seconds) for _ in range(given.repeats)]
            best[name] |= max(runs, key=lambda run: run["per_cpu_s"])
        rounded = {key: round(value, 3) for key, value in best[name].items()}
        print(json.dumps({"relay": name} | rounded), flush=True)
    print(json.dumps({"relay": "portulan, idle"}
                     | {k: round(v, 3) for k, v in idle(given.idle).items()}))
    ours = best["portulan"]
    for name, goal in (("socat", 0.30), ("socat -b262144", 1.1)):
        if name in best:
            ratio = ours["cpu_s_per_gib"] / best[name]["cpu_s_per_gib"]
            print(f"CPU-seconds per GiB: {ratio:.2f} x {name}'s (goal: at most {goal})")
    if "socat" in best:
        by_cpu = ours["per_cpu_s"] / best["socat"]["per_cpu_s"]
        by_clock = ours["per_s"] / best["socat"]["per_s"]
        print(f"new connections: {by_cpu:.2f} x socat fork's per CPU-second (goal: at least 1.5), "
              f"{by_clock:.2f} x by the clock (goal: at least 1)")


if __name__ == "__main__":
    main()
