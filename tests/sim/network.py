"""A network in virtual time: hosts behind a bad path, answering as a table says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np

import portulan.wire as wire
from portulan.drive import packets
from portulan.drive.packets import PacketSweep
from portulan.link.memory import ResponderLink
from portulan.scan.capacity import Capacity
from portulan.scan.paths import Paths, Via
from portulan.scan.sweep import Sweep
from portulan.scan.syn import SynKind
from portulan.scan.verdict import State
from portulan.target.ranges import Range
from portulan.target.space import Space

MAC, NEXT = b"\x02\0\0\0\0\1", 0x0200_0000_0002
OURS, FIRST = 0x0A00_0001, 0x0A01_0000
KEY, SPORT = (5, 6), 61_008
MS = 1_000_000
BURST_NS = 5 * MS


class VirtualClock:
    """Stands in for the real clock; time passes when somebody waits, sends, or looks at it."""

    time_ns = 0

    @classmethod
    def now(cls) -> int:
        cls.time_ns += 1_000
        return cls.time_ns

    @classmethod
    def offset(cls) -> int:
        return 0

    @classmethod
    def advance(cls, by_ns: int) -> None:
        cls.time_ns += by_ns


@dataclass(frozen=True)
class Path:
    """What happens on the way, each way; every number from one seed."""

    loss: float = 0.0
    duplicate: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float = 10.0
    policed_pps: float = 0.0
    """Packets a second that pass towards the hosts, 64 at once; 0 for all."""
    seed: int = 1


class Network:
    """Answers SYNs by `truth` (index -> State); the path loses, doubles and delays."""

    def __init__(self, space: Space, truth: np.ndarray, path: Path) -> None:
        self.space, self.truth, self.path = space, truth, path
        self.chance = np.random.default_rng(path.seed)
        self.tokens, self.filled_ns = 64.0, 0

    def respond(self, frames: wire.Frames) -> wire.Frames:
        VirtualClock.advance(len(frames) * 1_000)
        frames = self._lossy(self._policed(frames))
        if not len(frames):
            return wire.Frames.empty()
        rows = np.stack([np.frombuffer(octets, np.uint8) for octets in frames])
        ip, tcp = wire.IPv4.view(rows, 14), wire.TCP.view(rows, 34)
        count = len(rows)
        index = self.space.index_of(
            np.full(count, 4, np.uint8), np.zeros(count, np.uint64), ip.dst[:].astype(np.uint64),
            tcp.dport[:].astype(np.uint16), np.full(count, 6, np.uint8))
        assert (index >= 0).all()
        state = self.truth[index]
        answers = rows[state != State.SILENT].copy()
        state = state[state != State.SILENT]
        here, there = wire.IPv4.view(answers, 14), wire.TCP.view(answers, 34)
        source, target = here.src[:].copy(), here.dst[:].copy()
        here.src[:], here.dst[:] = target, source
        ours, theirs = there.sport[:].copy(), there.dport[:].copy()
        there.sport[:], there.dport[:] = theirs, ours
        there.ack[:] = (there.seq[:].astype(np.uint64) + 1) & 0xFFFF_FFFF
        there.flags[:] = np.where(state == State.OPEN, 0x12, 0x14)
        delay = self.path.rtt_ms + self.chance.random(len(answers)) * self.path.jitter_ms
        # Arrivals in bursts: a wake for each single frame would cost real time, not virtual.
        times = -(-(VirtualClock.time_ns + (delay * MS).astype(np.int64)) // BURST_NS) * BURST_NS
        return self._lossy(wire.Frames.uniform(answers, times))

    def _policed(self, frames: wire.Frames) -> wire.Frames:
        if not self.path.policed_pps:
            return frames
        passed, self.filled_ns = VirtualClock.time_ns - self.filled_ns, VirtualClock.time_ns
        self.tokens = min(64.0, self.tokens + passed * self.path.policed_pps / 1e9)
        kept = min(int(self.tokens), len(frames))
        self.tokens -= kept
        # Which ones of a burst pass is chance: other traffic lies between.
        chosen = np.sort(self.chance.permutation(len(frames))[:kept])
        return frames.take(chosen)

    def _lossy(self, frames: wire.Frames) -> wire.Frames:
        kept = self.chance.random(len(frames)) >= self.path.loss
        copies = kept * (1 + (self.chance.random(len(frames)) < self.path.duplicate))
        chosen = frames.take(np.repeat(np.arange(len(frames)), copies))
        return replace(chosen, time_ns=np.ascontiguousarray(chosen.time_ns))


@dataclass(frozen=True)
class Result:
    """What a simulated scan found and spent."""

    state: np.ndarray
    news: int
    sent: int
    seconds: float


def simulate(
    monkeypatch, *, hosts: int, ports: int, path: Path, silent: float = 0.0, seed: int = 3,
    rate_pps: float = 0, retries: int = 10, capacity: Capacity | None = None,
) -> tuple[np.ndarray, Result]:
    """Run a whole packet sweep; return the truth and what was found."""
    monkeypatch.setattr(packets, "Clock", VirtualClock)
    VirtualClock.time_ns = 0
    space = Space.hosts([Range(4, FIRST, hosts)], [(6, port) for port in range(1, ports + 1)])
    chance = np.random.default_rng(seed)
    truth = np.where(chance.random(space.size) < 0.1, State.OPEN, State.CLOSED).astype(np.uint8)
    truth[chance.random(space.size) < silent] = State.SILENT
    network = Network(space, truth, path)
    link = ResponderLink(
        network.respond, now=VirtualClock.now, advance=VirtualClock.advance)
    kind = SynKind(space, Paths((Via(0, 4, OURS, MAC, NEXT),)), key=KEY, sport=SPORT)
    sweep = Sweep(
        space.size, seed=seed, rate_pps=rate_pps, retries=retries,
        hosts=space.host_count, host_of=space.host_of, capacity=capacity,
        span_of=space.host_span if capacity else None, doubt=1e-4,
    )
    found = np.zeros(space.size, np.uint8)
    news = 0

    def report(told):
        nonlocal news
        news += len(told.answers)
        found[told.answers.index] = told.answers.state

    PacketSweep(sweep, kind, [("sim", link)], report=report, stop=threading.Event()).run()
    return truth, Result(found, news, sweep.sent, VirtualClock.time_ns / 1e9)
