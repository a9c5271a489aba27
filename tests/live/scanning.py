"""`portulan scan` inside of labs, as a user runs it, and its result compared with the truth."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as Tree
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from portulan.lab import Lab
from portulan.lab.scenario import BUNDLED

_ADDRESS = re.compile(r"\b(\d+\.\d+\.\d+\.\d+)(?:/(\d+))?")
PORTULAN = [sys.executable, "-m", "portulan"]
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@dataclass(frozen=True)
class Scanned:
    """What a run printed."""

    events: list[dict]
    stderr: str
    code: int

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def ports(self) -> dict[tuple[str, int], str]:
        """(address, port) -> state; a port told twice would be a defect."""
        rows = [((e["addr"], e["port"]), e["state"]) for e in self.of("port")]
        assert len(rows) == len(dict(rows))
        return dict(rows)

    @property
    def up(self) -> set[str]:
        return {event["addr"] for event in self.of("host") if event["state"] == "up"}


def six(text: str) -> str:
    """Return a text with every IPv4 address and prefix as IPv6: 10.0.0.8/29 is fd00::a00:8/125."""
    return _ADDRESS.sub(_mapped, text)


def _mapped(found: re.Match[str]) -> str:
    address = IPv6Address((0xFD00 << 112) | int(IPv4Address(found[1])))
    return f"{address}/{int(found[2]) + 96}" if found[2] else str(address)


def in_family(scenario: str, family: int, folder: Path) -> str:
    """Return a bundled scenario, or the path of its twin that has IPv6 only."""
    if family == 4:
        return scenario
    path = folder / f"{scenario}6.toml"
    text = six((BUNDLED / f"{scenario}.toml").read_text())
    path.write_text(text.replace("net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"))
    return str(path)


def but_anycast(*nets: str) -> list[str]:
    """Return the words that leave out the first address of nets with routers.

    They answer there too (RFC 4291 section 2.6.1), after up to a second (RFC 4861 section 7.2.7).
    """
    return ["--exclude", ",".join(six(net) for net in nets)]


#: The nets of the lab `router`, if it has IPv6 only.
ROUTER_6 = but_anycast("10.82.0.0", "10.82.1.0", "10.82.2.0")


def scan(
    lab: Lab, *words: str, prefix: list[str] = [], targets: str = "", limit_s: int = 100,  # noqa: B006
) -> Scanned:
    """Run a scan of the lab's targets, or of others, in its scanner."""
    asked = targets.split() or lab.scenario.targets
    ports = [] if {"-p", "-sn"} & set(words) else ["-p", lab.scenario.ports]
    argv = [*prefix, *PORTULAN, "scan", *asked, *ports, "--json", "--all", *words]
    process = lab.exec(
        lab.scenario.scanner, argv, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1, text=True)
    with process:
        out, err = process.communicate(timeout=limit_s)
    return Scanned([json.loads(line) for line in out.splitlines()], err, process.returncode)


def truth(lab: Lab, *left_out: str) -> dict[tuple[str, int], str]:
    """Return the lab's answer sheet for TCP, some hosts left out."""
    return {
        (row.addr, row.port): row.state for row in lab.truth()
        if row.protocol == "tcp" and row.addr not in left_out
    }


def differences(found: dict, wanted: dict) -> dict:
    return {key: (found.get(key), state) for key, state in wanted.items()
            if found.get(key) != state}


def last_chart(home: Path) -> Path:
    """Return the folder of the only chart below a home."""
    [journal] = home.rglob("events.jsonl")
    return journal.parent


def nmaps(lab: Lab, *words: str, targets: list[str]) -> dict[tuple[str, int], str]:
    """Return what nmap says of every port: (address, port) -> state."""
    if not shutil.which("nmap"):
        pytest.skip("nmap is not here: apt-get install nmap")
    six = ["-6"] if ":" in targets[0] else []
    argv = ["nmap", "-n", "-Pn", "-T4", "-dd", "-oX", "-", *six, *words, *targets]
    process = lab.exec(
        lab.scenario.scanner, argv, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1, text=True)
    with process:
        out, err = process.communicate(timeout=100)
    assert not process.returncode, err
    return {
        (host.find("address").get("addr"), int(port.get("portid"))): port.find("state").get("state")
        for host in Tree.fromstring(out).iter("host") for port in host.iter("port")
    }
