"""Drives one machine after the other: threads, links, news made into steps.

A machine runs in a thread of its own, so that keeping and printing results never holds up the
wire; the steps are made in the caller's thread.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.drive.clock import Clock
from portulan.drive.findings import Evidence, Findings
from portulan.drive.packets import Found, PacketSweep, Report, probes_of
from portulan.drive.plan import UNMEASURED, Plan, fingerprint
from portulan.drive.resume import agree, host_numbers
from portulan.drive.step import Known, Memory, Phase, Step, Tally
from portulan.drive.ways import Cables, Learned, Macs
from portulan.link.contract import Link
from portulan.link.packet import PacketLink
from portulan.link.raw import RawLink
from portulan.record import AnyEvent, Host, Progress
from portulan.scan.capacity import Capacity
from portulan.scan.kind import Kind
from portulan.scan.pace import TIMING, RoundTrip
from portulan.scan.paths import Paths
from portulan.scan.sweep import SENTINELS, Sweep
from portulan.scan.verdict import REASON_TEXT, Answers, Reason, State
from portulan.target.permutation import Shard
from portulan.target.space import Space
from portulan.wire.frames import Frames, LinkType

#: Source ports of our probes: above what Linux gives to connections (32768-60999), in blocks of
#: sixteen, since the port tells the try.
SPORT_FIRST: Final = 61_000
SPORT_BLOCKS: Final = 280
#: News of the driving thread that wait for the caller; beyond, the wire waits.
NEWS_MAX: Final = 256
#: News made into one step: bounds the wait until a result is shown.
NEWS_A_STEP: Final = 16
#: A progress event goes into the record this often.
PROGRESS_NS: Final = 1_000_000_000
#: The phase that asks ports, and those of further protocols (`scan-udp`); what else there is only
#: finds out whom to ask.
SCAN: Final = "scan"
#: The chance at which silence is taken for a limiter's by mistake. Of ICMP errors a limit is the
#: rule and waiting is cheap; resets are limited by few.
DOUBT: Final = 1e-4
DOUBT_UDP: Final = 0.02
#: Methods whose closed ports answer by ICMP errors.
REFUSED_BY_ICMP: Final = ("udp", "protocols")
#: Slower or shorter scans don't find out what the path takes: no path that is usable takes less.
CAPACITY_LEAST_PPS: Final = 200
CAPACITY_LEAST_PROBES: Final = 2_000

News: TypeAlias = "queue.Queue[Found | BaseException | None]"
Amend: TypeAlias = Callable[[list[AnyEvent]], list[AnyEvent]]


def asks_ports(phase: str) -> bool:
    """Tell whether a phase of this name asks ports."""
    return phase.partition("-")[0] == SCAN


class Runner(Protocol):
    """Drives one machine; `close` may take its time, nobody waits for it."""

    def run(self) -> None:
        """Ask until the machine is done."""
        ...

    def close(self) -> None:
        """Let go of links or sockets."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One machine's run: its phase (None: not worth keeping), what makes events of its answers."""

    sweep: Sweep
    findings: Findings | None
    make: Callable[[Report], Runner]
    phase: Phase | None = None
    amend: Amend | None = None


class Conductor:
    """What the phases of a job share."""

    def __init__(self, plan: Plan, evidence: Evidence | None, memory: Memory | None) -> None:
        self.plan, self.memory = plan, memory
        self._evidence = evidence
        self.stop = threading.Event()
        self.key = (secrets.randbits(64), secrets.randbits(64))
        self.sport = SPORT_FIRST + 16 * secrets.randbelow(SPORT_BLOCKS)
        self.tally = Tally()
        self.began = Clock.now()
        self.cables = Cables(plan.ways.reached)
        self.learned: Learned | None = None
        self.gateway_macs: Macs = {}
        self._progressed = 0
        self._rate_from = (self.began, 0)

    def paths(self, space: Space) -> Paths:
        """Return the way to each host of a space."""
        return self.cables.paths(space, self.gateway_macs, self.learned)

    def findings(
        self, space: Space, kind: Kind | None = None, *, every_state: bool = False,
        proves: bool = True,
    ) -> Findings:
        """Return what makes events of a machine's answers; `proves`: its frames are evidence."""
        return Findings(
            space, kind, evidence=self._evidence if proves else None,
            names=self.plan.aim.targets.names,
            every_state=every_state,
        )

    def prove(self, frames: Frames, interface: str) -> list[int]:
        """Keep frames as evidence; return their numbers, none if nothing is kept."""
        if self._evidence is None or not len(frames):
            return []
        first = self._evidence.write(frames, interface)
        return list(range(first, first + len(frames)))

    def _round_trip(self) -> RoundTrip:
        timing = TIMING[self.plan.aim.request.timing]
        return RoundTrip(
            wait_min_ns=timing.wait_min_ms * 1_000_000, wait_max_ns=timing.wait_max_ms * 1_000_000,
            first_wait_ns=timing.first_wait_ms * 1_000_000,
        )

    def sweep(self, name: str, space: Space, *, method: str = "") -> tuple[Phase, Sweep]:
        """Return a machine for a space, and the phase it stands for."""
        aim = self.plan.aim
        measured = asks_ports(name) and method not in UNMEASURED
        # Discovery is not sharded: a shard needs to know its hosts, whichever probes it is given.
        shard = aim.shard if asks_ports(name) else Shard(1, 1)
        seed = aim.request.seed
        sweep = Sweep(
            space.size, seed=seed, shard=shard, rate_pps=aim.rate_pps, retries=aim.retries,
            round_trip=self._round_trip(), hosts=space.host_count, host_of=space.host_of,
            # Limits on ICMP errors are no loss, and most of a UDP scan's answers are such errors.
            audit=measured,
            recall_least=aim.request.recall if measured else 0.0,
            span_of=space.host_span if asks_ports(name) and method != "connect" else None,
            doubt=DOUBT_UDP if method in REFUSED_BY_ICMP else DOUBT,
            capacity=self._capacity(space) if asks_ports(name) and method != "connect" else None,
            # Silence of a closed UDP port is a limiter's as a rule.
            sentinels=(State.OPEN,) if method in REFUSED_BY_ICMP else SENTINELS,
            host_timeout_ns=int(aim.host_timeout_s * 1e9) if asks_ports(name) else 0,
            spacing_ns=int(aim.request.scan_delay_s * 1e9),
        )
        return Phase(name, fingerprint(space, seed, shard)), sweep

    def _capacity(self, space: Space) -> Capacity | None:
        """Return what finds the path's capacity; None where there is too little to find it by."""
        aim = self.plan.aim
        rate, request = aim.rate_pps, aim.request
        if rate < CAPACITY_LEAST_PPS or space.size < CAPACITY_LEAST_PROBES or request.scan_delay_s:
            return None
        return Capacity(rate, request.min_rate)

    def on_links(
        self, sweep: Sweep, kind: Kind, cables: Cables | None = None, *, whole_hosts: bool = False,
    ) -> Callable[[Report], Runner]:
        """Return what makes the runner of a kind over the links of the job."""
        def make(report: Report) -> Runner:
            return _OnLinks(
                (cables or self.cables).links, sweep, kind, report=report, stop=self.stop,
                whole_hosts=whole_hosts, tally=self.tally,
            )
        return make

    def run(self, course: Course) -> Iterator[Step]:
        """Drive a machine in a thread and yield its news as steps."""
        sent_before = self._resume(course)
        base = (self.tally.sent + sent_before, self.tally.received, self.tally.open)
        news: News = queue.Queue(NEWS_MAX)
        thread = threading.Thread(
            target=_work, args=(course.make, news), name="portulan-drive")
        thread.start()
        try:
            for batch in _batches(news):
                yield self._step(course, batch, base)
        except BaseException:
            self.stop.set()
            while thread.is_alive():  # it may be waiting to tell us more
                with contextlib.suppress(queue.Empty):
                    news.get(timeout=0.05)
            raise

    def _resume(self, course: Course) -> int:
        if self.memory is None or course.phase is None:
            return 0
        known, findings = self.memory.recall(course.phase) or Known.nothing(), course.findings
        if findings is not None:
            up = self.recall_hosts(findings)
            asks = asks_ports(course.phase.name)
            known = agree(
                known, findings.space, up=up, listed=findings.listed,
                ports=self.memory.ports if asks else (),
            )
            findings.know(known.answers)
            if not asks:
                course.sweep.settle(probes_of(findings.space, up))
        course.sweep.resume(known.answers, known.mark)
        return known.sent

    def recall_hosts(self, findings: Findings) -> NDArray[np.int64]:
        """Tell findings which hosts have an event already; return their numbers."""
        number = host_numbers(findings.space, self.tally.up)
        codes = {text: code for code, text in enumerate(REASON_TEXT)}
        reasons = np.array(
            [codes.get(reason, Reason.USER_SET) for reason in self.tally.up.values()], np.uint8)
        here = number >= 0
        findings.know_up(number[here], reasons[here])
        return number[here]

    def _step(self, course: Course, batch: Sequence[Found], base: tuple[int, int, int]) -> Step:
        last, findings, tally = batch[-1], course.findings, self.tally
        events: list[AnyEvent] = []
        for found in batch:
            if findings is not None and len(found.answers):
                events += findings.events(found)
        if course.amend:
            events = course.amend(events)
        if course.phase is not None and asks_ports(course.phase.name) and findings is not None:
            tally.hosts_up = max(len(tally.up), findings.hosts_up)
        else:
            self._count(events)
        tally.sent, tally.received = base[0] + last.sent, base[1] + last.received
        if findings is not None:
            tally.open = base[2] + findings.open
        progress = self._progress(last)
        now = Clock.now()
        if now - self._progressed >= PROGRESS_NS:
            self._progressed = now
            events.append(progress)
        answers = Answers.concat([found.answers for found in batch])
        rtt = np.concatenate([found.rtt_ns for found in batch])
        return Step(events, course.phase, answers, rtt, last.mark, last.sent, progress)

    def _count(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, Host) and event.state == "up":
                self.tally.up.setdefault(event.addr, event.reason)
        self.tally.hosts_up = len(self.tally.up)

    def _progress(self, last: Found) -> Progress:
        now = Clock.now()
        began, sent = self._rate_from
        rate = (self.tally.sent - sent) * 1e9 / max(now - began, 1)
        if now - began > PROGRESS_NS:
            self._rate_from = (now, self.tally.sent)
        elapsed = (now - self.began) / 1e9
        done = last.progress
        return Progress(
            done=round(done, 4), sent=self.tally.sent, received=self.tally.received,
            rate_pps=round(rate, 1), eta_s=round(elapsed * (1 - done) / done, 1) if done else 0.0,
        )


class _OnLinks:
    """Opens the links a machine needs, drives it, and counts what the kernel dropped."""

    def __init__(
        self, cables: Sequence[tuple[str, bool, int]], sweep: Sweep, kind: Kind, *,
        report: Report, stop: threading.Event, whole_hosts: bool, tally: Tally,
    ) -> None:
        self.cables, self._sweep, self._kind = cables, sweep, kind
        self._report, self.stop, self._whole_hosts = report, stop, whole_hosts
        self.tally = tally
        self._opened = ExitStack()

    def run(self) -> None:
        links = [
            (name, self._opened.enter_context(_open(name, ethernet, family, self._kind)))
            for name, ethernet, family in self.cables
        ]
        PacketSweep(
            self._sweep, self._kind, links, report=self._report, stop=self.stop,
            whole_hosts=self._whole_hosts,
        ).run()
        self.tally.drops += sum(link.counters().drops for _, link in links)

    def close(self) -> None:
        self._opened.close()


def _open(name: str, ethernet: bool, family: int, kind: Kind) -> Link:
    if ethernet:
        return PacketLink(name, filter=kind.filter(LinkType.ETHERNET))
    return RawLink(name, family=family, filter=kind.filter(LinkType.RAW))


def _work(make: Callable[[Report], Runner], news: News) -> None:
    runner: Runner | None = None
    try:
        runner = make(news.put)
        runner.run()
    except BaseException as error:  # handed to the caller's thread, whatever it is
        news.put(error)
    else:
        news.put(None)
    finally:
        # The kernel takes some 50 ms to take a ring down: nobody has to wait for that.
        if runner is not None:
            runner.close()


def _batches(news: News) -> Iterator[list[Found]]:
    """Yield what is there now as one batch, until the thread says that it is done."""
    while True:
        batch: list[Found] = []
        item = news.get()
        while isinstance(item, Found):
            batch.append(item)
            if len(batch) >= NEWS_A_STEP or news.empty():
                break
            item = news.get()
        if batch:
            yield batch
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item


