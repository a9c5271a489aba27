"""Scans over a bad path, beside nmap, masscan and zmap: what each finds, and how long it takes.

`python -m bench.loss table` is a /24 with ports 1-100 at several losses; `wall` is one host that
drops all but three of 10,000 ports; `policed` is a path that lets 2,000 packets a second through.
"""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TypeAlias

from bench.ground import PORTULAN, asked, inside, lab, mac_of
from bench.measure import Contender, Run, installed, run_once
from portulan.lab import Lab

States: TypeAlias = Mapping[tuple[str, int], str]
Reading: TypeAlias = Callable[[bytes], States]

HOST = "10.80.0.9"
#: A scan over a path this bad ends some time; the bench does not wait longer.
RUN_MAX_S = 240.0
#: masscan is blind to its rate's effect: one that loses nothing here for its own fault.
MASSCAN_PPS, MASSCAN_RETRIES, WAIT_S = 10_000, 3, 2
POLICED_PPS, POLICED_BURST = 2_000, 64
_NFT = """
table inet path {{
  chain in {{ type filter hook prerouting priority -310; policy accept;
    iifname != "wire" accept
    {rules}
    numgen random mod 1000 < {lost} drop
  }}
  chain out {{ type filter hook postrouting priority -310; policy accept;
    oifname != "wire" accept
    numgen random mod 1000 < {lost} drop
  }}
}}"""
#: Each fourth host drops all but 80.
_QUARTER = "ip daddr & 0.0.0.3 == 0.0.0.3 tcp dport != 80 drop"


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner: its command over targets and ports, and how its output reads."""

    name: str
    argv: Callable[[Lab, str, str], list[str]]
    read: Reading
    only_open: bool = False
    """Tells of open ports only."""
    port: str = ""
    """The one port it is asked for, where it takes no more."""


# -- what they print ---------------------------------------------------------------------------


def read_events(data: bytes) -> States:
    """Read Portulan's `--json --all`."""
    events = map(json.loads, data.splitlines())
    return {(e["addr"], e["port"]): e["state"] for e in events if e["type"] == "port"}


def read_nmap(data: bytes) -> States:
    """Read nmap's XML; what it only counts stands at port 0."""
    found = {}
    for host in ET.fromstring(data).iter("host"):
        address = host.find("address")
        assert address is not None
        addr = address.get("addr", "")
        for port in host.iter("port"):
            state = port.find("state")
            assert state is not None
            found[addr, int(port.get("portid", 0))] = state.get("state", "")
        others = [each.get("state", "") for each in host.iter("extraports")]
        if len(others) == 1:
            found[addr, 0] = others[0]
    return found


def read_list(data: bytes) -> States:
    """Read masscan's `-oL`."""
    words = [line.split() for line in data.decode().splitlines() if line.startswith("open ")]
    return {(word[3], int(word[2])): "open" for word in words}


def read_addresses(data: bytes) -> States:
    """Read the addresses that zmap prints."""
    return {(word, 80): "open" for word in data.decode().split()}


# -- how they are called -----------------------------------------------------------------------


def portulan(*more: str) -> Callable[[Lab, str, str], list[str]]:
    """Return how to call ourselves."""
    return lambda up, net, ports: inside(
        up, PORTULAN, "scan", net, "-p", ports, "-sS", "-Pn", "--json", "--all", *more)


def nmap(up: Lab, net: str, ports: str) -> list[str]:
    """Call nmap as its users do where haste is wanted."""
    return inside(up, "nmap", "-sS", "-T4", "-Pn", "-n", "-d", "-p", ports, "-oX", "{out}", net)


def masscan(up: Lab, net: str, ports: str) -> list[str]:
    """Call masscan with retries, and at a rate that loses nothing here."""
    return inside(
        up, "masscan", net, f"-p{ports}", "--rate", str(MASSCAN_PPS), "--retries",
        str(MASSCAN_RETRIES), "--wait", str(WAIT_S), "-e", "wire", "--adapter-ip", "10.78.1.1",
        "--router-mac", mac_of(up, "shoals", "wire"), "-oL", "{out}")


def zmap(up: Lab, net: str, ports: str) -> list[str]:
    """Call zmap, which knows one port."""
    return inside(
        up, "zmap", "-p", ports, net, "-c", str(WAIT_S), "-r", str(MASSCAN_PPS), "-i", "wire",
        "-G", mac_of(up, "shoals", "wire"), "-b", "/dev/null", "-q", "-o", "{out}")


OURS = Scanner("portulan", portulan(), read_events)
NMAP = Scanner("nmap -sS -T4", nmap, read_nmap)
PEERS = (
    NMAP, Scanner("masscan", masscan, read_list, only_open=True),
    Scanner("zmap", zmap, read_addresses, only_open=True, port="80"),
)


# -- the ground --------------------------------------------------------------------------------


def lay(up: Lab, *, lost: float = 0, rules: str = "") -> None:
    """Make the path lose a share of packets each way, and what else the rules say."""
    asked(up, "shoals", "nft", "flush ruleset")
    asked(up, "shoals", "nft", _NFT.format(lost=round(1000 * lost), rules=rules))


def quarter(net: str, ports: Sequence[int]) -> States:
    """Return the truth of a net whose every fourth host drops all but 80."""
    return {
        (str(address), port): "open" if port == 80 else "filtered" if int(address) % 4 == 3
        else "closed" for address in ip_network(net) for port in ports
    }


def only(host: str, ports: Sequence[int], states: Mapping[int, str], other: str) -> States:
    """Return the truth of one host with a few remarkable ports."""
    return {(host, port): states.get(port, other) for port in ports}


@dataclass(frozen=True, slots=True)
class Score:
    """How a run compares with the truth."""

    run: Run
    found: States
    truth: States
    scanner: Scanner

    @property
    def answering(self) -> int:
        states = ("open",) if self.scanner.only_open else ("open", "closed")
        return sum(s in states and self.scanner.port in ("", str(key[1]))
                   for key, s in self.truth.items())

    @property
    def recall(self) -> float:
        """The share of ports that answer and were told rightly."""
        good = sum(self.told(key) == state for key, state in self.truth.items()
                   if state in ("open", "closed"))
        return good / self.answering

    def told(self, key: tuple[str, int]) -> str | None:
        return self.found.get(key, self.found.get((key[0], 0)))

    @property
    def wrong(self) -> str:
        if self.scanner.only_open:
            return "-"
        return f"{sum(self.told(key) != state for key, state in self.truth.items()):,}"

    def row(self, label: str) -> str:
        of = f"{self.answering:,}" + (" (port 80)" if self.scanner.port else "")
        return (f"| {label} | {self.scanner.name} | {self.recall:.5f} | {of} | {self.wrong} "
                f"| {self.run.wall_s:.2f} | {self.run.cpu_s:.2f} | {self.run.note} |")


def score(up: Lab, scanner: Scanner, net: str, *, ports: str, truth: States) -> Score:
    """Run a scanner once and compare what it found."""
    kept: list[States] = []

    def counted(data: bytes) -> str:
        try:
            kept.append(scanner.read(data))
        except (ValueError, ET.ParseError):  # cut off by the bound on a run
            kept.append({})
        return ""

    argv = scanner.argv(up, net, scanner.port or ports)
    run = run_once(Contender(scanner.name, argv, counted, run_max_s=RUN_MAX_S), lambda: 0)
    return Score(run, kept[0], truth, scanner)


HEAD = ("| path | scanner | recall | of answering | wrong states | wall s | CPU s | note |\n"
        "|---|---|---|---|---|---|---|---|")


# -- the parts ---------------------------------------------------------------------------------


def table(up: Lab, words: argparse.Namespace) -> None:
    """Print recall and time of all scanners at several losses."""
    print(f"### /24 x ports 1-100, 80 open, the rest closed, each fourth host drops all but 80; "
          f"masscan, zmap: {words.slow}\n\n{HEAD}")
    for lost in map(float, words.losses.split(",")):
        lay(up, lost=lost / 100, rules=_QUARTER)
        ratio = []
        for scanner in (OURS, *peers(words)):
            net = words.slow if scanner.only_open else words.net
            truth = quarter(net, range(1, 101))
            for _ in range(words.rounds):
                done = score(up, scanner, net, ports="1-100", truth=truth)
                print(done.row(f"{lost:g} % lost each way"), flush=True)
            ratio.append(done.run.wall_s)
        if len(ratio) > 1:
            print(f"\nwall, of nmap's: {ratio[0] / ratio[1]:.3f} (aim <= 0.25)\n")


def wall(up: Lab, words: argparse.Namespace) -> None:
    """Print how long a wall of silence takes."""
    print(f"### One host, 10,000 ports, all dropped but three\n\n{HEAD}")
    lay(up, rules=f"ip daddr {HOST} tcp dport != {{ 22, 80, 443 }} drop")
    truth = only(HOST, range(1, 10_001), {22: "closed", 80: "open", 443: "closed"}, "filtered")
    walls = [one(up, scanner, "all dropped but 3", ports="1-10000", truth=truth)
             for scanner in (OURS, *peers(words)[:1])]
    if len(walls) > 1:
        print(f"\nwall, of nmap's: {walls[0] / walls[1]:.3f} (aim <= 0.25)\n")


def policed(up: Lab, words: argparse.Namespace) -> None:
    """Print how near to the physical minimum a policed path is scanned."""
    last = words.policed_ports
    print(f"### One host, {last:,} ports, 80 open, the rest closed; {POLICED_PPS:,} packets a "
          f"second pass\n\n{HEAD}")
    lay(up, rules=f"ip protocol tcp limit rate over {POLICED_PPS}/second burst {POLICED_BURST} "
                  "packets drop")
    truth = only(HOST, range(1, last + 1), {80: "open"}, "closed")
    took = [one(up, scanner, "policed", ports=f"1-{last}", truth=truth)
            for scanner in (OURS, *peers(words)[:1])]
    print(f"\nwall, of the physical minimum {last / POLICED_PPS:.1f} s: "
          f"{took[0] * POLICED_PPS / last:.2f} (aim <= 1.5)\n")


def one(up: Lab, scanner: Scanner, label: str, *, ports: str, truth: States) -> float:
    """Run a scanner against the one host, print its row, return its wall time."""
    done = score(up, scanner, HOST, ports=ports, truth=truth)
    print(done.row(label), flush=True)
    return done.run.wall_s


def peers(words: argparse.Namespace) -> list[Scanner]:
    """Return the peers that are wanted and here."""
    return [each for each in PEERS if not words.alone and installed(each.name.split()[0])]


PARTS = {part.__name__: part for part in (table, wall, policed)}


def main() -> None:
    """Put up the lab and run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.loss", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--losses", default="0,1,5,10,20", help="percent, each way [%(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="runs at each loss [1]")
    parser.add_argument("--net", default="10.80.0.0/24", help="for us and nmap [%(default)s]")
    parser.add_argument("--slow", default="10.80.0.0/26",
                        help="for masscan and zmap, whose recall needs no more [%(default)s]")
    parser.add_argument("--policed-ports", type=int, default=20_000)
    parser.add_argument("--alone", action="store_true", help="without peers")
    words = parser.parse_args()
    with lab("loss.toml") as up:
        if up is not None:
            for name in words.parts or PARTS:
                PARTS[name](up, words)


if __name__ == "__main__":
    main()
