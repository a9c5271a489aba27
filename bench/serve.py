"""HTTP servers of files side by side on loopback: requests a second, CPU-seconds per GiB.

Run: python bench/serve.py [--seconds 4] [--clients 16] [--mib 512] [--repeats 3]

`python -m http.server` speaks HTTP/1.0, a connection a request: that is what it is asked for, and
once more with `--protocol HTTP/1.1` and keep-alive. Starlette on uvicorn is what we would use if
it were fast enough. The load generator is ours, an epoll loop in its own process; wrk, where it is
installed, is the second opinion. CPU-seconds are the server's own, user and system, from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SMALL = b"hello world, small file\n"
AGED_S = 3  # A file younger than 2 s has a weak validator and is not kept ready.
STARLETTE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
app = Starlette(routes=[Mount("/", StaticFiles(directory=sys.argv[2]))])
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""


def commands(port: int, root: str) -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    plain = [*python, "http.server", str(port), "--bind", "127.0.0.1", "--directory", root]
    return {
        "portulan": [*python, "portulan", "serve", root, "--bind", str(port)],
        "http.server": plain,
        "http.server 1.1": [*plain, "--protocol", "HTTP/1.1"],
        "starlette+uvicorn": [sys.executable, "-c", STARLETTE, str(port), root],
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def running(name: str, root: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen(commands(port, root)[name], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in fields[11:15]) / TICKS


def load(port: int, *, clients: int, seconds: float, keep: bool) -> float:
    """Return answers a second; each client sends its next request when it has its answer."""
    request = b"GET /small.txt HTTP/1.%d\r\nHost: 127.0.0.1\r\n\r\n" % keep
    poll, socks, got = select.epoll(), {}, {}

    def begin() -> None:
        # Without blocking: http.server's queue holds 5, and a lost SYN is sent again after 1 s.
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", port))
        socks[sock.fileno()], got[sock.fileno()] = sock, b""
        poll.register(sock, select.EPOLLOUT)

    for _ in range(clients):
        begin()
    done, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        for number, mask in poll.poll(1):
            sock = socks[number]
            if mask & select.EPOLLOUT:
                poll.modify(number, select.EPOLLIN)
                sock.send(request)
                continue
            data = sock.recv(65536)
            got[number] += data
            if keep and got[number].endswith(SMALL):
                done += 1
                got[number] = b""
                sock.send(request)
            elif not data:
                done += got[number].endswith(SMALL)
                poll.unregister(sock)
                sock.close()
                del socks[number]
                begin()
    elapsed = time.monotonic() - start
    for sock in socks.values():
        sock.close()
    return done / elapsed


def in_process(port: int, *, clients: int, seconds: float, keep: bool) -> float:
    """Run the load in a process of its own, so that nobody shares an interpreter."""
    words = [sys.executable, __file__, "--load", str(port), "--clients", str(clients), "--seconds",
             str(seconds), *(["--keep"] if keep else [])]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def wrk(port: int, *, clients: int, seconds: float) -> float | None:
    if not shutil.which("wrk"):
        return None
    words = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}",
             f"http://127.0.0.1:{port}/small.txt"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Requests/sec")))


def download(port: int, size: int) -> None:
    """Fetch the large file: by curl as people do, else by a client that reads 1 MiB at once.

    On loopback most of a sender's CPU time is the receiver's work done in the same softirq; a
    client that reads with 1 MiB calls brings all servers closer together (1.3 to 1.6 x here).
    """
    if shutil.which("curl"):
        words = ["curl", "-sf", "-o", os.devnull, f"http://127.0.0.1:{port}/large.bin"]
        subprocess.run(words, check=True)
        return
    scratch = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        count = 0
        while got := sock.recv_into(scratch):
            count += got
        assert count > size, f"only {count} bytes came"


def requests(options: argparse.Namespace, root: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name in commands(0, root):
        keep = name != "http.server"
        with running(name, root) as (port, pid):
            in_process(port, clients=2, seconds=0.3, keep=keep)
            before, rates = cpu_s(pid), []
            for _ in range(options.repeats):
                rates.append(in_process(port, clients=options.clients, seconds=options.seconds,
                                        keep=keep))
            total = sum(rates) * options.seconds
            found[name] = {"requests_per_s": statistics.median(rates),
                           "requests_per_cpu_s": total / max(cpu_s(pid) - before, 0.01)}
            other = wrk(port, clients=options.clients, seconds=options.seconds)
            if other is not None:
                found[name]["wrk_requests_per_s"] = other
    return found


def large(options: argparse.Namespace, root: str) -> dict[str, float]:
    found: dict[str, float] = {}
    size = options.mib << 20
    for name in commands(0, root):
        with running(name, root) as (port, pid):
            download(port, size)
            before = cpu_s(pid)
            for _ in range(options.repeats):
                download(port, size)
            used = max(cpu_s(pid) - before, 0.01)
            found[name] = options.repeats * options.mib / 1024 / used
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(load(options.load, clients=options.clients, seconds=options.seconds,
                   keep=options.keep))
        return
    with tempfile.TemporaryDirectory() as root:
        Path(root, "small.txt").write_bytes(SMALL)
        with open(Path(root, "large.bin"), "wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(1 << 20))
        time.sleep(AGED_S)
        report(requests(options, root), large(options, root), as_json=options.json)


def ratio(a: float, b: float) -> str:
    return f"{a / b:.1f}"


def report(rates: dict[str, dict[str, float]], sizes: dict[str, float], *, as_json: bool) -> None:
    base, base_size = rates["http.server"], sizes["http.server"]
    if as_json:
        print(json.dumps({"requests": rates, "gib_per_cpu_s": sizes}))
        return
    head = f"{'':<18} {'requests/s':>11} {'x':>6} {'by wrk':>9} {'x':>6} {'per CPU-s':>10} "
    print(head + f"{'GiB/CPU-s':>10} {'x':>6}")
    for name, rate in rates.items():
        other, base_other = rate.get("wrk_requests_per_s"), base.get("wrk_requests_per_s")
        by_wrk = (f"{other:>9,.0f} {ratio(other, base_other):>6}" if other and base_other
                  else f"{'-':>9} {'-':>6}")
        print(f"{name:<18} {rate['requests_per_s']:>11,.0f} "
              f"{ratio(rate['requests_per_s'], base['requests_per_s']):>6} {by_wrk} "
              f"{rate['requests_per_cpu_s']:>10,.0f} {sizes[name]:>10.2f} "
              f"{ratio(sizes[name], base_size):>6}")


if __name__ == "__main__":
    main()
