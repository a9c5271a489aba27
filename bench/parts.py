"""What is compared: each part says who runs, what is read off, and what was aimed at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.ground import (
    ORDINARY,
    PORTULAN,
    asked,
    count_grepable,
    count_json,
    count_lines,
    count_list,
    inside,
    lab,
    mac_of,
    received,
)
from bench.measure import Contender, Result, in_turns, installed

NET = "10.79.0.0/16"
#: masscan at full rate needs minutes to end in this lab and finds half: enough is enough.
MASSCAN_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure, and the bound it shall keep."""

    text: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "holds" if self.holds else "MISSED"
        return f"{self.text}: {self.value:.3g} (aim {sign} {self.bound:g}): {verdict}"


@dataclass(slots=True)
class Outcome:
    """One part's results; without any where it could not run."""

    title: str
    results: dict[str, Result] = field(default_factory=dict)
    aims: list[Aim] = field(default_factory=list)
    per_cpu: bool = False

    def compare(self, text: str, peer: str, bound: float) -> None:
        """Aim at a share of a peer's wall time."""
        if peer in self.results:
            mine = self.results["portulan"].wall_s
            self.aims.append(Aim(text, mine / self.results[peer].wall_s, bound))


def scan16(rounds: int) -> Outcome:
    """Scan a /16 with one port, open everywhere."""
    done = Outcome("A /16, port 80 open on all 65,536 addresses, SYN scan")
    with lab("anyip16") as up:
        if up is None:
            return done
        mac = mac_of(up, "fleet", "wire")
        who = [Contender("portulan", inside(
            up, PORTULAN, "scan", NET, "-p", "80", "-sS", "-Pn", "-n", "--max-rate", "0", "--json",
        ), count_json)]
        if installed("zmap"):
            who.append(Contender("zmap", inside(
                up, "zmap", "-p", "80", NET, "-c", "1", "-B", "10G", "-i", "wire", "-G", mac,
                "-b", "/dev/null", "-q", "-o", "{out}",
            ), count_lines))
        if installed("nmap"):
            who.append(Contender("nmap", inside(
                up, "nmap", "-sS", "-Pn", "-n", "-p", "80", "-T5", "--min-rate", "100000",
                "-oG", "{out}", NET,
            ), count_grepable))
        if installed("masscan"):
            who.append(Contender("masscan", inside(
                up, "masscan", NET, "-p80", "--rate", "10000000", "--wait", "2", "-e", "wire",
                "--adapter-ip", "10.78.0.1", "--router-mac", mac, "-oL", "{out}",
            ), count_list, run_max_s=MASSCAN_MAX_S, rounds_max=1))
        done.results = in_turns(who, rounds=rounds)
    exact = sum(run.found == "65,536 open" for run in done.results["portulan"].runs)
    done.aims.append(Aim("runs that found all 65,536", exact, rounds, at_least=True))
    done.compare("wall, of zmap's", "zmap", 0.8)
    done.compare("wall, of nmap's", "nmap", 0.5)
    return done


def frames(rounds: int) -> Outcome:
    """Send a million SYNs to where nobody answers, and count what arrives."""
    done = Outcome("1,048,576 SYNs (a /16, 16 ports, no retry) into a void", per_cpu=True)
    with lab("blackhole.toml") as up:
        if up is None:
            return done
        mac = mac_of(up, "hole", "wire")
        # Dropped before the receiver's stack: its work would count as every sender's own.
        asked(up, "hole", "nft", "add table netdev hole; add chain netdev hole in "
              "{ type filter hook ingress device wire priority 0; policy drop; }")
        who = [Contender("portulan", inside(
            up, PORTULAN, "scan", NET, "-p", "1-16", "-sS", "-Pn", "-n", "--max-rate", "0",
            "--retries", "0", "--json",
        ))]
        if installed("masscan"):
            who.append(Contender("masscan", inside(
                up, "masscan", NET, "-p1-16", "--rate", "10000000", "--retries", "0",
                "--wait", "0", "-e", "wire", "--adapter-ip", "10.78.0.1", "--router-mac", mac,
                "-oL", "{out}",
            )))
        if installed("zmap"):
            who.append(Contender("zmap", inside(
                up, "zmap", "-p", "80", NET, "-P", "16", "-c", "0", "-B", "10G", "-i", "wire",
                "-G", mac, "-b", "/dev/null", "-q", "-o", "{out}",
            )))
        done.results = in_turns(who, rounds=rounds, meter=lambda: received(up, "hole", "wire"))
    mine = done.results["portulan"].per_cpu_s
    for peer in done.results.keys() - {"portulan"}:
        bound = 1.3 if peer == "masscan" else 1.0
        ratio = mine / done.results[peer].per_cpu_s
        done.aims.append(Aim(f"frames a CPU-second, of {peer}'s", ratio, bound, at_least=True))
    return done


def connect(rounds: int) -> Outcome:
    """Scan every port of loopback without any right."""
    done = Outcome("65,535 ports of loopback, five open, connect scan without rights")
    with lab("loopback.toml") as up:
        if up is None:
            return done
        who = [Contender("portulan", inside(
            up, *ORDINARY, PORTULAN, "scan", "127.0.0.1", "-p-", "-sT", "--max-rate", "0", "--json",
        ), count_json)]
        if installed("nmap"):
            who.append(Contender("nmap", inside(
                up, *ORDINARY, "nmap", "--unprivileged", "-sT", "-T4", "-p-", "-n", "-Pn",
                "-oG", "{out}", "127.0.0.1",
            ), count_grepable))
        done.results = in_turns(who, rounds=rounds)
    exact = sum(run.found == "5 open" for run in done.results["portulan"].runs)
    done.aims.append(Aim("runs that found all 5", exact, rounds, at_least=True))
    done.compare("wall, of nmap's", "nmap", 0.8)
    return done


def startup(rounds: int) -> Outcome:
    """Start and say the version, or help."""
    done = Outcome("Start")
    done.results = in_turns([
        Contender("bare interpreter", [sys.executable, "-c", "pass"]),
        Contender("portulan --version", [PORTULAN, "--version"]),
        Contender("portulan --help", [PORTULAN, "--help"]),
        Contender("portulan scan --help", [PORTULAN, "scan", "--help"]),
    ], rounds=4 * rounds)
    bare = done.results["bare interpreter"].wall_s
    version = done.results["portulan --version"].wall_s
    done.aims = [
        Aim("--version, of a bare interpreter", version / bare, 3),
        Aim("--help, seconds", done.results["portulan --help"].wall_s, 0.15),
    ]
    return done


def local(rounds: int) -> Outcome:
    """Scan this machine's common ports, as everybody's first scan does."""
    done = Outcome("127.0.0.1, the 1,000 most common ports, with its chart")
    with lab("loopback.toml") as up:
        if up is None:
            return done
        scan = [PORTULAN, "scan", "127.0.0.1"]
        done.results = in_turns([
            Contender("no cap", inside(up, *scan, "--max-rate", "0", "--json"), count_json),
            Contender("no cap, no rights", inside(
                up, *ORDINARY, *scan, "--max-rate", "0", "--json"), count_json),
            Contender("default cap", inside(up, *scan, "--json"), count_json),
        ], rounds=rounds)
    done.aims = [Aim(f"{name}, seconds", each.wall_s, 1) for name, each in done.results.items()]
    return done


PARTS: dict[str, Callable[[int], Outcome]] = {
    part.__name__: part for part in (scan16, frames, connect, startup, local)
}
