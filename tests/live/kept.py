"""A scan that is killed and taken up again in a lab, and what must be true of it afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from portulan.lab import Lab
from portulan.lab.rules import nft
from portulan.link.pcapng_reader import PcapngReader

SCENARIO = Path(__file__).with_name("kept.toml")
PORTULAN = [sys.executable, "-m", "portulan"]
#: A whole scan takes about a second at this rate: long enough to be killed in the middle of.
RATE_PPS = 4_000
COUNTING = (
    "add table inet kept; add counter inet kept probes; "
    "add chain inet kept in { type filter hook prerouting priority -400; }; "
    # Questions only: neither the handshake's end nor the reset after it is a probe.
    "add rule inet kept in meta iif != lo tcp flags & (syn | ack | rst) == syn "
    "counter name probes; "
    "add rule inet kept in meta iif != lo icmp type echo-request counter name probes"
)

Row = tuple[str, int, str]


@dataclass
class Range:
    """The lab, and scans in it."""

    lab: Lab

    def __post_init__(self) -> None:
        done = self.lab.run([nft(), COUNTING], host="fleet")
        assert not done.returncode

    def probes(self) -> int:
        """Return how many probes have reached the target so far."""
        found = self.lab.run(
            [nft(), "-j", "list", "counter", "inet", "kept", "probes"], host="fleet",
            stdout=subprocess.PIPE,
        )
        return next(
            part["counter"]["packets"] for part in json.loads(found.stdout)["nftables"]
            if "counter" in part
        )

    def start(
        self, home: Path, options: Sequence[str], out: Path, err: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a scan; its stdout goes to a file, which keeps what a killed process wrote."""
        with out.open("wb") as stdout, (err or Path(os.devnull)).open("wb") as stderr:
            return self.lab.exec(
                self.lab.scenario.scanner, [*PORTULAN, "scan", *options, "--json"],
                stdout=stdout, stderr=stderr, env=os.environ | {"PORTULAN_HOME": str(home)},
            )

    def truth(self) -> set[Row]:
        """Return the state of every port."""
        return {(row.addr, row.port, row.state) for row in self.lab.truth()}


@dataclass
class Story:
    """One chart from its first run, through kills, to its end."""

    range: Range
    home: Path
    options: list[str]
    shown: list[bytes] = field(default_factory=list)
    """What each run printed, as far as lines were ended."""
    kills: int = 0

    @property
    def fresh(self) -> list[str]:
        """The options of the first run."""
        scenario = self.range.lab.scenario
        return [*scenario.targets, "-p", scenario.ports, "--max-rate", str(RATE_PPS),
                *self.options]

    @property
    def folder(self) -> Path | None:
        """The chart's folder, None while there is nothing to take up again."""
        found = sorted((self.home / "charts").glob("2*"))
        assert len(found) <= 1, found
        return found[0] if found and (found[0] / "plan.json").exists() else None

    def begin(self, err: Path | None = None) -> tuple[subprocess.Popen[bytes], Path]:
        """Start the next run: the first, or one that resumes."""
        folder = self.folder
        if folder is None:
            self._sweep()
        out = self.home / f"out-{len(self.shown)}"
        options = ["--resume", folder.name] if folder else self.fresh
        return self.range.start(self.home, options, out, err), out

    def _sweep(self) -> None:
        """Forget a run that was killed before it had written down what to do."""
        assert not b"".join(self.shown)
        for left in (self.home / "charts").glob("2*"):
            for file in left.iterdir():
                file.unlink()
            left.rmdir()

    def run(self, kill_after_s: float | None = None) -> int:
        """Run once, killed after a while or to its end; return the exit code, -9 for killed."""
        process, out = self.begin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(kill_after_s if kill_after_s is not None else 60)
        if kill_after_s is not None and process.poll() is None:
            process.kill()
            self.kills += 1
        code = process.wait()
        self.read(out)
        return code

    def kill_after_the_first_port(self, chance: random.Random) -> None:
        """Begin, and kill the scan while it finds ports."""
        process, out = self.begin()
        wait_for_line(out, b'"port"')
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        self.read(out)

    def read(self, out: Path) -> None:
        """Take what a run printed, and check that it is kept."""
        printed = out.read_bytes()
        self.shown.append(printed[: printed.rfind(b"\n") + 1])
        if self.shown[-1]:
            assert self.folder is not None, "lines were shown of a scan that is not kept"
            assert self.shown[-1] in self.journal, "a shown line is not in the journal"

    @property
    def journal(self) -> bytes:
        """What is kept; nothing yet if the kill came between the plan and the first event."""
        assert self.folder is not None
        path = self.folder / "events.jsonl"
        return path.read_bytes() if path.exists() else b""

    @property
    def events(self) -> list[dict]:
        """The journal's whole lines."""
        return [json.loads(line) for line in self.journal.split(b"\n")[:-1]]

    @property
    def complete(self) -> bool:
        folder = self.folder
        return folder is not None and any(
            event["type"] == "end" and event["reason"] == "done" for event in self.events)

    def finish(self) -> None:
        """Resume to the end."""
        if not self.complete:
            assert self.run() == 0
        assert self.complete

    def check(self, *, torn: bool = False) -> None:
        """Assert that the chart tells the truth, once, and the proof of it.

        After its files were cut, shown lines may be gone, and frames replaced by empty ones.
        """
        for number, shown in enumerate(self.shown if not torn else ()):
            assert shown in self.journal, f"run {number} showed what is kept no more"
        ports = [event for event in self.events if event["type"] == "port"]
        rows = Counter((event["addr"], event["port"]) for event in ports)
        assert not [row for row, count in rows.items() if count > 1]
        found = {(event["addr"], event["port"], event["state"]) for event in ports}
        truth = self.range.truth()
        listed = truth if "--all" in self.options else {row for row in truth if row[2] == "open"}
        assert found == listed, (sorted(listed - found)[:5], sorted(found - listed)[:5])
        self._check_hosts(truth, listed)
        if "-sS" in self.options:
            self._check_frames(ports, torn=torn)

    def _check_hosts(self, truth: set[Row], listed: set[Row]) -> None:
        """Each host has the right counts of what is not listed; none is ever said to be down."""
        hosts = [event for event in self.events if event["type"] == "host"]
        assert {host["state"] for host in hosts} == {"up"}
        last = {host["addr"]: host for host in hosts}
        assert set(last) == {addr for addr, *_ in truth}
        rest = Counter((addr, state) for addr, _, state in truth - listed)
        for addr, host in last.items():
            counts = host.get("rest", {}).get("tcp", {})
            assert counts == {
                state: count for (where, state), count in rest.items() if where == addr}
        # Runs that were interrupted cleanly tell counts too; the news "up" comes once.
        bare = Counter(host["addr"] for host in hosts if not host.get("rest"))
        assert not [addr for addr, count in bare.items() if count > 1]
        end = self.events[-1]
        assert (end["hosts_up"], end["open"]) == (
            len(last), sum(state == "open" for *_, state in truth))

    def _check_frames(self, ports: list[dict], *, torn: bool) -> None:
        assert self.folder is not None
        frames = list(_frames(self.folder / "evidence.pcapng"))
        for port in ports:
            if port["state"] == "filtered":
                assert not port.get("frames")
                continue
            probe, reply = (frames[number - 1] for number in port["frames"])
            if torn and not reply:
                continue
            assert _tcp(probe)[1:] == (port["addr"], port["port"], 0x02), port
            source, _, _, flags = _tcp(reply)
            assert source == (port["addr"], port["port"]), port
            assert flags == (0x12 if port["state"] == "open" else 0x14), port


def _frames(path: Path) -> Iterator[bytes]:
    reader = PcapngReader(path)
    with contextlib.closing(reader):
        for batch in reader.frames():
            for offset, length in zip(batch.offset.tolist(), batch.length.tolist(), strict=True):
                yield bytes(batch.buffer[offset : offset + length])
    assert reader.damage is None, reader.damage


def _tcp(frame: bytes) -> tuple[tuple[str, int], str, int, int]:
    """Return source address and port, destination address, destination port, flags."""
    packet = frame[14:]
    tcp = packet[(packet[0] & 15) * 4 :]
    source, target = (str(IPv4Address(packet[at : at + 4])) for at in (12, 16))
    sport, dport = int.from_bytes(tcp[:2], "big"), int.from_bytes(tcp[2:4], "big")
    return (source, sport), target, dport, tcp[13]


def wait_for_line(out: Path, word: bytes, timeout_s: float = 20) -> None:
    """Wait until a run has printed a line with `word`."""
    give_up = time.monotonic() + timeout_s
    while word not in out.read_bytes():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def wait_until_python_is_up(pid: int) -> None:
    """Wait until a run minds signals as Python does.

    Before that it is a copy of this process, with its libraries, and then `nsenter`.
    """
    of = Path(f"/proc/{pid}")
    start = "\0".join(PORTULAN).encode()
    while not (of / "cmdline").read_bytes().startswith(start):
        time.sleep(0.001)
    wait_for_line(of / "maps", b"msgspec")


def tear(path: Path, chance: random.Random) -> int:
    """Cut a file at a random byte; return how many are left."""
    size = path.stat().st_size
    left = chance.randint(0, size)
    os.truncate(path, left)
    return left


def leave(process: subprocess.Popen[bytes], number: signal.Signals) -> tuple[int, float]:
    """Send a signal; return the exit code, and the seconds it took to leave."""
    began = time.monotonic()
    process.send_signal(number)
    return process.wait(20), time.monotonic() - began
