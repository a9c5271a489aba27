"""UDP scans of hosts that limit their ICMP errors, and of hosts that don't, beside nmap.

`python -m bench.udp one` is one host behind its kernel's limit (one error a second after six),
`net` a /28 of such hosts, `free` one host without a limit, `shared` one with only the kernel's
bound for all askers together (1,000 a second after 50). On the first host of each run what is
installed of dnsmasq, ntpd, snmpd and avahi-daemon. `--last 60` asks ports 1-60 instead of 1-200.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.measure import installed

HOSTS: Final = {"one": 1, "net": 14, "free": 1, "shared": 1}
SERVED: Final = {"dnsmasq": 53, "ntpd": 123, "snmpd": 161, "avahi-daemon": 5353}
NET: Final = "10.99.7"
BURST: Final = 6
#: A kernel's bound for all askers together: not what is measured, but in `shared`.
GLOBAL: Final = ("net.ipv4.icmp_msgs_per_sec=100000", "net.ipv4.icmp_msgs_burst=10000")
RUN_MAX_S: Final = 900.0


@dataclass(slots=True)
class Outcome:
    """What a scanner said of each port, and when."""

    states: dict[tuple[str, int], str] = field(default_factory=dict)
    open_s: float = 0.0
    """When the last open port was told."""
    wall_s: float = 0.0
    sent: int = 0
    unlisted: int = 0
    """Ports not told one by one, and not as closed."""


# -- ground ------------------------------------------------------------------------------------


def run(*argv: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def namespaces(hosts: int, settings: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Make a scanner and hosts on one link; return their namespaces' names."""
    mark = f"pud{os.getpid()}"
    scanner, targets = f"{mark}s", [f"{mark}h{n}" for n in range(1, hosts + 1)]
    with ExitStack() as stack:
        for name in (scanner, *targets):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        inside = ("ip", "-n", scanner)
        run(*inside, "link", "add", "wire", "type", "bridge")
        run(*inside, "addr", "add", f"{NET}.254/24", "dev", "wire")
        run(*inside, "link", "set", "wire", "up")
        for number, name in enumerate(targets, 1):
            there = ("ip", "-n", name)
            run(*inside, "link", "add", f"w{number}", "type", "veth", "peer", "name", "wire",
                "netns", name)
            run(*inside, "link", "set", f"w{number}", "master", "wire", "up")
            run(*there, "addr", "add", f"{NET}.{number}/24", "dev", "wire")
            run(*there, "link", "set", "wire", "up")
            for setting in settings:
                run("ip", "netns", "exec", name, "sysctl", "-qw", setting)
        yield scanner, targets


@contextmanager
def servers(namespace: str) -> Iterator[set[int]]:
    """Run what is installed; return the ports served."""
    with tempfile.TemporaryDirectory(prefix="portulan-bench-") as folder, ExitStack() as stack:
        commands = _commands(Path(folder))
        ports = set()
        for name, argv in commands.items():
            if not installed(name):
                continue
            started = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *argv], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(_end, started)
            ports.add(SERVED[name])
        time.sleep(3)
        yield ports & _bound(namespace)


def _commands(folder: Path) -> dict[str, list[str]]:
    folder.chmod(0o755)
    (folder / "snmpd.conf").write_text("agentAddress udp:161\nrocommunity public\n")
    (folder / "ntp.conf").write_text("server 127.127.1.0\nfudge 127.127.1.0 stratum 10\n")
    (folder / "avahi.conf").write_text("[server]\nhost-name=bench\nenable-dbus=no\n")
    return {
        "dnsmasq": ["dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts",
                    f"--pid-file={folder}/dnsmasq.pid"],
        "ntpd": ["ntpd", "-n", "-g", "-c", f"{folder}/ntp.conf"],
        "snmpd": ["snmpd", "-f", "-C", "-c", f"{folder}/snmpd.conf", "-p", f"{folder}/snmpd.pid"],
        "avahi-daemon": ["avahi-daemon", "-f", f"{folder}/avahi.conf", "--no-drop-root",
                         "--no-chroot", "--no-rlimits"],
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bound(namespace: str) -> set[int]:
    """Return the UDP ports that somebody listens on, by the kernel's own table."""
    table = subprocess.run(["ip", "netns", "exec", namespace, "cat", "/proc/net/udp"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    return {int(line.split()[1].rpartition(":")[2], 16) for line in table.splitlines()[1:]}


# -- scanners ----------------------------------------------------------------------------------


def portulan(namespace: str, targets: str, ports: str) -> Outcome:
    """Scan with Portulan; read its events as they come."""
    began = time.monotonic()
    outcome = Outcome()
    argv = ["ip", "netns", "exec", namespace, sys.executable, "-m", "portulan", "scan", "-sU",
            targets, "-p", ports, "--json", "--all", "--no-keep"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        timer = threading.Timer(RUN_MAX_S, process.kill)
        timer.start()
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "port":
                outcome.states[event["addr"], event["port"]] = event["state"]
                if event["state"] == "open":
                    outcome.open_s = time.monotonic() - began
            elif event["type"] == "end":
                outcome.sent = event["sent"]
        timer.cancel()
    outcome.wall_s = time.monotonic() - began
    return outcome


def nmap(namespace: str, targets: str, ports: str) -> Outcome:
    """Scan with nmap -T4; what it finds is known at its end."""
    began = time.monotonic()
    argv = ["ip", "netns", "exec", namespace, "nmap", "-sU", "-T4", "-n", "-p", ports, "-oX", "-",
            "-d0", "-v0", targets]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          timeout=RUN_MAX_S * 2)
    wall = time.monotonic() - began
    outcome = Outcome(open_s=wall, wall_s=wall)
    for host in ET.fromstring(done.stdout).iter("host"):
        address = host.find("address")
        assert address is not None
        # Ports that it does not list one by one: of several states, nothing tells which is which.
        rest = [each.get("state", "") for each in host.iter("extraports")]
        outcome.unlisted += sum(
            int(each.get("count", 0)) for each in host.iter("extraports")
            if each.get("state") != "closed")
        for port in host.iter("port"):
            state = port.find("state")
            assert state is not None
            key = address.get("addr", ""), int(port.get("portid", 0))
            outcome.states[key] = state.get("state", "")
        for number in _numbers(ports):
            if rest:
                outcome.states.setdefault((address.get("addr", ""), number), "closed")
    return outcome


def _numbers(ports: str) -> Iterator[int]:
    for part in ports.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


# -- report ------------------------------------------------------------------------------------


def wrong(outcome: Outcome, served: set[int], hosts: int, ports: str) -> int:
    """Return how many ports are not told as they are; `open|filtered` is not what any is."""
    count = outcome.unlisted
    for host in range(1, hosts + 1):
        for port in _numbers(ports):
            truth = "open" if host == 1 and port in served else "closed"
            count += outcome.states.get((f"{NET}.{host}", port)) != truth
    return count


def measure(part: str, last: int, *, peers: bool) -> None:
    """Run one part and print its rows."""
    hosts = HOSTS[part]
    limit_ms = 1000 if part in ("one", "net") else 0
    settings = [f"net.ipv4.icmp_ratelimit={limit_ms}", *(GLOBAL if part != "shared" else ())]
    ports = ",".join([f"1-{last}", *(str(port) for port in sorted(SERVED.values()) if port > last)])
    targets = f"{NET}.1" + (f"-{hosts}" if hosts > 1 else "")
    scanners = {"portulan": portulan} | ({"nmap -T4": nmap} if peers and installed("nmap") else {})
    print(f"\n{part}: {hosts} host{'s' * (hosts > 1)}, ports {ports}, "
          f"{limit_ms or 'no'} ms an error")
    for name, scan in scanners.items():
        with namespaces(hosts, settings) as (scanner, names), servers(names[0]) as served:
            closed = len(set(_numbers(ports))) - (len(served) if hosts == 1 else 0)
            least = max(closed - BURST, 0) * limit_ms / 1000
            found = scan(scanner, targets, ports)
            ratio = f"{found.wall_s / least:.3f} x the limit's {least:.0f} s" if least else ""
            print(f"  {name:10} {found.wall_s:8.2f} s  open after {found.open_s:6.2f} s  "
                  f"wrong {wrong(found, served, hosts, ports)} of "
                  f"{hosts * len(set(_numbers(ports)))}  sent {found.sent or '?'}  {ratio}",
                  flush=True)


def main() -> None:
    """Read the command line and go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of: {', '.join(HOSTS)}")
    parser.add_argument("--last", type=int, default=200, help="ask ports 1 to this [200]")
    parser.add_argument("--no-peers", action="store_true")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # namespaces and servers must go
    for part in words.parts or HOSTS:
        measure(part, words.last, peers=not words.no_peers)


if __name__ == "__main__":
    main()
