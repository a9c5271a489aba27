"""Control probes: random high ports of hosts where too much is open, and what that says.

A service listens where its port is; something that answers for every port is found by asking where
nobody listens. Hosts with many open ports, or with a window too small to talk, are asked on a few
random high ports, and a few connections are made to see whether anybody takes data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.drive.clock import Clock
from portulan.drive.conductor import Conductor, Course, Runner
from portulan.drive.connecting import ConnectSweep
from portulan.drive.findings import Findings
from portulan.drive.packets import Report
from portulan.drive.plan import CONTROL_PORTS, PROVED_CONTROLS, PROVED_PORTS
from portulan.drive.step import Step
from portulan.record import AnyEvent, Level, Note
from portulan.scan.between import Facts, Grade, Proof, Verdict, judge, remarkable, suspects
from portulan.scan.kind import Kind
from portulan.scan.sweep import Sweep
from portulan.scan.verdict import State
from portulan.sockets.handshakes import Address, shake_hands
from portulan.target.address import address_texts
from portulan.target.ports import top_ports
from portulan.target.ranges import Range
from portulan.target.space import TCP, Space

#: IANA's dynamic ports (RFC 6335 section 6): nothing is registered there.
FIRST, LAST = 49_152, 65_535
#: Hosts that are looked at closely: in a net where all pretend, a sample says it.
HOSTS_MAX: Final = 256
#: Ports ranked by use; beyond, by number.
RANKED: Final = 100
#: Printers put on paper what comes to these.
UNTOUCHED: Final = range(9_100, 9_108)


MakeKind: TypeAlias = Callable[[Space], Kind]


class Controls:
    """Judges what stands between, after the ports of a scan are known."""

    def __init__(
        self, conductor: Conductor, findings: Findings, make_kind: MakeKind | None,
    ) -> None:
        self._conductor, self._findings, self._make_kind = conductor, findings, make_kind
        self._facts = Facts.none()
        self._controls = Facts.none()
        self._space = Space(())

    def steps(self) -> Iterator[Step]:
        """Ask control ports where that is worth it, and yield verdicts as notes."""
        self._facts, asked = self._findings.facts(), self._findings.asked()
        odd = suspects(self._facts, asked)[:HOSTS_MAX]
        if len(odd) and not self._conductor.stop.is_set():
            yield from self._ask(odd)
        if self._conductor.stop.is_set():
            return
        hosts = np.union1d(odd, remarkable(self._facts, asked))
        proofs = self._prove(odd)
        notes: list[AnyEvent] = [
            note for host in hosts.tolist()
            for note in self._notes(host, int(asked[host]), proofs.get(host, []))
        ]
        yield Step(notes)

    # -- asking ----------------------------------------------------------------------------

    def _ask(self, hosts: NDArray[np.int64]) -> Iterator[Step]:
        self._space = Space.hosts(
            [_range(self._findings.space, host) for host in hosts.tolist()],
            [(TCP, port) for port in self._ports()],
        )
        _, sweep = self._conductor.sweep("controls", self._space)
        kind = self._make_kind(self._space) if self._make_kind else None
        make = self._conductor.on_links(sweep, kind) if kind else self._by_connect(sweep)
        quiet = _Quiet(self._conductor.findings(self._space, kind))
        up = self._conductor.tally.hosts_up
        yield from self._conductor.run(Course(sweep, quiet.findings, make, amend=quiet.hush))
        self._conductor.tally.hosts_up = up
        self._controls = quiet.findings.facts()

    def _ports(self) -> list[int]:
        """Return ports that the scan did not ask; the seed says which."""
        taken = {key & 0xFFFF for each in self._findings.space.segments for key in each.keys}
        free = np.setdiff1d(np.arange(FIRST, LAST + 1), list(taken))
        seed = self._conductor.plan.aim.request.seed
        count = min(CONTROL_PORTS, len(free))
        picked = np.random.default_rng(seed).choice(free, count, replace=False)
        return [int(port) for port in picked]

    def _by_connect(self, sweep: Sweep) -> Callable[[Report], Runner]:
        plan = self._conductor.plan
        return lambda report: ConnectSweep(
            sweep, self._space, report=report, stop=self._conductor.stop,
            zones=plan.ways.zones(), interface=plan.aim.request.interface,
        )

    # -- proving ---------------------------------------------------------------------------

    def _prove(self, hosts: NDArray[np.int64]) -> dict[int, list[Proof]]:
        """Connect to some control ports and some asked ports of hosts whose controls are open."""
        wanted: list[tuple[int, int, bool, Address]] = []
        for host in hosts.tolist():
            controls = self._controls_of(host).of(State.OPEN).port
            if not len(controls):
                continue
            ports = self._facts.take(self._facts.host == host).of(State.OPEN).port
            # The most used ports first: there is most likely somebody.
            ports = ports[np.argsort(_rank(ports), kind="stable")]
            ports = ports[~np.isin(ports, UNTOUCHED)][:PROVED_PORTS]
            text = str(_range(self._findings.space, host))
            for port in controls[:PROVED_CONTROLS].tolist():
                wanted.append((host, port, True, self._address(text, port)))
            for port in ports.tolist():
                wanted.append((host, port, False, self._address(text, port)))
        interface = self._conductor.plan.aim.request.interface
        fared = shake_hands([each[3] for each in wanted], Clock.now, interface=interface)
        proofs: dict[int, list[Proof]] = {}
        for (host, port, control, _), hand in zip(wanted, fared, strict=True):
            proofs.setdefault(host, []).append(Proof(
                port, control, hand.acknowledged, hand.reset, hand.window, hand.segments > 0))
        return proofs

    def _address(self, text: str, port: int) -> Address:
        if ":" not in text:
            return text, port
        return text, port, 0, self._conductor.plan.ways.zones().get(text, 0)

    # -- telling ---------------------------------------------------------------------------

    def _controls_of(self, host: int) -> Facts:
        if not self._space.size:
            return Facts.none()
        family, hi, lo = self._findings.space.host_address(np.array([host]))
        number = int(self._space.host_number(family, hi, lo)[0])
        return self._controls.take(self._controls.host == number)

    def _notes(self, host: int, asked: int, proofs: Sequence[Proof]) -> Iterator[Note]:
        seen = self._facts.take(self._facts.host == host)
        controls = self._controls_of(host)
        width = len(self._space.segments[0].keys) if self._space.size else 0
        for verdict in judge(
            seen, asked, controls=controls, controls_asked=width, proofs=proofs,
        ):
            yield _note(verdict, address_texts(*self._findings.space.host_address(
                np.array([host])))[0])


class _Quiet:
    """Findings of control ports: kept as evidence, but not told as ports of the scan."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def hush(self, _events: list[AnyEvent]) -> list[AnyEvent]:
        """Tell nothing, and count nothing as open."""
        self.findings.open = 0
        return []


def _note(verdict: Verdict, addr: str) -> Note:
    level: Level = "warning" if verdict.grade >= Grade.LIKELY else "info"
    return Note(addr=addr, text=verdict.text, level=level)


def _rank(ports: NDArray[np.int64]) -> NDArray[np.int64]:
    place = {port: rank for rank, port in enumerate(top_ports(RANKED))}
    return np.array([place.get(port, RANKED + port) for port in ports.tolist()], np.int64)


def _range(space: Space, host: int) -> Range:
    family, hi, lo = space.host_address(np.array([host]))
    return Range(int(family[0]), int(hi[0]) << 64 | int(lo[0]))


