"""A scan from its plan to its end, as steps that whoever runs it keeps and shows.

Phases: who is on the link (ARP, ND), who else is up (ping), then the ports. Each drives one machine
in a thread of its own, so that keeping and printing results never holds up the wire; the steps
are made in the caller's thread.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.drive.clock import Clock, rfc3339
from portulan.drive.connecting import ConnectSweep
from portulan.drive.findings import SILENT_LISTED_MAX, Evidence, Findings
from portulan.drive.packets import Found, PacketSweep, Report
from portulan.drive.plan import Plan, fingerprint
from portulan.drive.ways import Cables, Learned, Way
from portulan.link.contract import Link
from portulan.link.packet import PacketLink
from portulan.link.raw import RawLink
from portulan.link.routes import neighbours
from portulan.record import SCHEMA, AnyEvent, End, EndReason, Host, Note, Port, Progress, Run
from portulan.scan.kind import Kind
from portulan.scan.neighbour import QUESTION, NeighbourKind
from portulan.scan.pace import TIMING, RoundTrip
from portulan.scan.ping import PROBES, PingKind
from portulan.scan.sweep import Mark, Sweep
from portulan.scan.syn import SynKind
from portulan.scan.verdict import REASON_TEXT, Answers, Reason
from portulan.target.address import address_texts, address_value
from portulan.target.permutation import Shard
from portulan.target.ranges import Range, merge, subtract
from portulan.target.space import TCP, Segment, Space
from portulan.wire.frames import LinkType

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
#: Neighbours answer fast or not at all.
NEIGHBOUR_WAIT_NS: Final = 300_000_000
NEIGHBOUR_RETRIES: Final = 2
#: Ports whose answer, of either kind, shows that a host is up where nothing raw may be sent.
CONNECT_PORTS: Final = ((TCP, 80), (TCP, 443))
_VIRTUAL_MAC: Final = 0x02
SCAN: Final = "scan"


@dataclass(frozen=True, slots=True)
class Phase:
    """One machine's part of a job; its answers mean something only with the same fingerprint."""

    name: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened since the last step; keep `events` before showing them, then `answers`."""

    events: list[AnyEvent]
    phase: Phase | None = None
    answers: Answers | None = None
    rtt_ns: NDArray[np.int64] | None = None
    mark: Mark | None = None
    sent: int = 0
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What an earlier run of a phase knew when it was killed."""

    answers: Answers
    mark: Mark
    sent: int


class Memory(Protocol):
    """An earlier run that is taken up again."""

    @property
    def hosts(self) -> Sequence[Host]:
        """Host events that were kept."""
        ...

    @property
    def ports(self) -> Sequence[Port]:
        """Port events that were kept."""
        ...

    @property
    def times(self) -> int:
        """How often the run was taken up before."""
        ...

    def recall(self, phase: Phase) -> Known | None:
        """Return what is known of a phase, None if nothing is."""
        ...


Search: TypeAlias = Generator[Step, None, tuple[Range, ...]]
"""Steps, and at their end the ranges that were found."""


@dataclass(slots=True)
class _Tally:
    """What the whole job counts."""

    sent: int = 0
    received: int = 0
    drops: int = 0
    up: dict[str, str] = field(default_factory=dict)
    """Address -> reason."""
    hosts_up: int = 0
    open: int = 0


class Job:
    """A scan under way: iterate `steps()`, call `stop()` to end it with what is known."""

    def __init__(
        self, plan: Plan, *, run_id: str, version: str, evidence: Evidence | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._plan, self._run_id, self._version = plan, run_id, version
        self._evidence, self._memory = evidence, memory
        self._stop = threading.Event()
        self._key = (secrets.randbits(64), secrets.randbits(64))
        self._sport = SPORT_FIRST + 16 * secrets.randbelow(SPORT_BLOCKS)
        self._tally = _Tally()
        self._began = Clock.now()
        self._progressed = 0
        self._rate_from = (self._began, 0)
        self._learned: Learned | None = None
        self._gateway_macs: dict[tuple[int, int, int], bytes] = {}
        self._cables = Cables(plan.ways.reached)

    def stop(self) -> None:
        """End soon, with what is known; may be called from a signal handler or another thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def steps(self) -> Generator[Step, None, None]:
        """Yield what happens, a `run` event first and an `end` event last.

        An error on the way is told by the `end` event and then raised.
        """
        self._began = Clock.now()
        try:
            yield Step([self._run(), *self._notes()])
            yield from self._phases()
        except GeneratorExit:
            self._stop.set()
            raise
        except Exception as error:
            yield Step([self._end("error", str(error))])
            raise
        yield Step([self._end("interrupted" if self.stopped else "done")])

    # -- events of the whole job -----------------------------------------------------------

    def _run(self) -> Run:
        aim, space = self._plan.aim, self._plan.aim.space()
        probes = 0 if self._plan.method == "ping" else aim.shard.size(space.size)
        return Run(
            schema=SCHEMA, id=self._run_id, version=self._version, argv=aim.request.argv,
            started=rfc3339(Clock.unix()), seed=aim.request.seed,
            targets=[text for text, _ in aim.request.targets], probes=probes,
            method=self._plan.method, why=self._plan.why, hosts=space.host_count,
            ports="" if self._plan.method == "ping" else str(aim.ports),
            shard=str(aim.shard) if aim.shard.count > 1 else "",
            resumes=self._memory.times + 1 if self._memory else 0,
        )

    def _notes(self) -> list[AnyEvent]:
        return [Note(addr="", text=text, level="warning") for text in self._plan.notes]

    def _end(self, reason: EndReason, error: str = "") -> End:
        tally = self._tally
        return End(
            reason=reason, hosts_up=tally.hosts_up, open=tally.open, sent=tally.sent,
            received=tally.received, drops=tally.drops, error=error,
            elapsed_s=round((Clock.now() - self._began) / 1e9, 3),
        )

    # -- phases ----------------------------------------------------------------------------

    def _phases(self) -> Iterator[Step]:
        plan = self._plan
        connect = plan.method == "connect" or not plan.rights.net_raw
        known_up = self._known_hosts()
        if connect:
            up = yield from self._discover_by_connect(known_up)
        else:
            up = yield from self._discover_by_packets(known_up)
        self._tally.hosts_up = len(self._tally.up)
        if plan.method == "ping" or self.stopped:
            return
        space = self._space(up)
        if space.size:
            yield from self._scan(space, connect=connect)

    def _known_hosts(self) -> dict[str, Host]:
        if self._memory is None:
            return {}
        known = {host.addr: host for host in self._memory.hosts if host.state == "up"}
        self._tally.up.update((addr, host.reason) for addr, host in known.items())
        return known

    def _local(self, known: Mapping[str, Host]) -> Iterator[Step]:
        """Say that this machine's own addresses are up, without asking them."""
        ranges = self._plan.ways.ranges("local")
        if not ranges or (self._asks_anyway and self._plan.method != "ping"):
            return
        for item in ranges:
            for at in range(0, item.count, 4096):
                texts = _texts(Range(item.family, item.start + at, min(4096, item.count - at)))
                events = [
                    Host(addr=text, state="up", reason=Reason.LOCALHOST_RESPONSE.text,
                         names=self._names(text))
                    for text in texts if text not in known
                ]
                self._tally.up.update(dict.fromkeys(texts, Reason.LOCALHOST_RESPONSE.text))
                yield Step(list(events))

    def _names(self, text: str) -> list[str]:
        if not self._plan.aim.targets.names:
            return []
        family, hi, lo = address_value(text)
        return list(self._plan.aim.targets.names.get((family, hi << 64 | lo), ()))

    @property
    def _asks_anyway(self) -> bool:
        """Whether ports are asked without knowing that a host is up."""
        return not self._plan.aim.request.discover

    def _discover_by_connect(self, known: Mapping[str, Host]) -> Search:
        ways = self._plan.ways
        local = ways.ranges("local")
        others = ways.ranges("neighbour", "routed", "raw")
        if self._asks_anyway:
            return merge([*local, *others])
        yield from self._local(known)
        space = Space.hosts(others, CONNECT_PORTS)
        found: list[Range] = list(local)
        if space.size:
            phase, sweep = self._sweep("discover", space)
            findings = self._findings(space, None, every_state=False)
            yield from self._run_phase(phase, sweep, findings, lambda report: ConnectSweep(
                sweep, space, report=report, stop=self._stop, zones=self._zones(),
                interface=self._plan.aim.request.interface, hosts_only=True,
            ))
            yield from self._say_down(findings, space)
            found += self._up_ranges(space)
        return merge(found)

    def _discover_by_packets(self, known: Mapping[str, Host]) -> Search:
        ways = self._plan.ways
        yield from self._local(known)
        near = yield from self._ask_neighbours(known)
        yield from self._ask_gateways()
        far = merge(ways.ranges("routed", "raw"))
        if not self._asks_anyway and far:
            far = yield from self._ping(far)
        return merge([*ways.ranges("local"), *near, *far])

    def _ask_neighbours(self, known: Mapping[str, Host]) -> Search:
        """Learn the Ethernet addresses of hosts on the link; those that answer are up."""
        ranges = merge(self._plan.ways.ranges("neighbour"))
        if not ranges:
            return ()
        space = Space.hosts(ranges, [QUESTION])
        kind = NeighbourKind(space, self._cables.asking(space))
        if self._asks_anyway:
            self._take_from_kernel(kind)
        sweep = self._neighbour_sweep(space)
        sweep.settle(np.flatnonzero(kind.macs))
        findings = self._findings(space, None, every_state=False)
        yield from self._run_phase(
            None, sweep, findings, self._packet_runner(sweep, kind), amend=_tell_macs(kind, known),
        )
        there = np.flatnonzero(kind.macs)
        family, hi, lo = space.host_address(there)
        self._learned = Learned(family, hi, lo, kind.macs[there])
        if not self._asks_anyway:
            yield from self._say_down(findings, space)
        return _runs(space, there)

    def _take_from_kernel(self, kind: NeighbourKind) -> None:
        for (_, number, family), mac in neighbours().items():
            host = kind.space.host_number(
                np.array([family], np.uint8), np.array([number >> 64], np.uint64),
                np.array([number & (1 << 64) - 1], np.uint64),
            )
            if host[0] >= 0:
                kind.macs[host[0]] = int.from_bytes(mac, "big")

    def _ask_gateways(self) -> Iterator[Step]:
        ways = self._cables.gateways()
        if not ways:
            return
        self._gateway_macs = dict(neighbours())
        missing = [way for way in ways if self._gateway_key(way) not in self._gateway_macs]
        own = [way for way in missing if way.gateway_family == way.range.family]
        if own:
            space = Space.hosts(
                [Range(way.gateway_family, way.gateway or 0) for way in own], [QUESTION])
            asking = Cables([_toward_gateway(way) for way in own])
            kind = NeighbourKind(space, asking.asking(space))
            sweep = self._neighbour_sweep(space)
            runner = self._packet_runner(sweep, kind, asking)
            yield from self._run_phase(None, sweep, None, runner)
            self._keep_gateways(kind, own)
        lost = [way for way in ways if self._gateway_key(way) not in self._gateway_macs]
        if lost:
            yield Step([
                Note(addr="", level="warning",
                     text=f"{way}: the router does not answer, its targets are left out")
                for way in lost
            ])

    def _keep_gateways(self, kind: NeighbourKind, ways: Sequence[Way]) -> None:
        for way in ways:
            number = way.gateway or 0
            host = kind.space.host_number(
                np.array([way.gateway_family], np.uint8), np.array([number >> 64], np.uint64),
                np.array([number & (1 << 64) - 1], np.uint64),
            )
            mac = int(kind.macs[host[0]])
            if mac:
                self._gateway_macs[self._gateway_key(way)] = mac.to_bytes(6, "big")

    @staticmethod
    def _gateway_key(way: Way) -> tuple[int, int, int]:
        return way.index, way.gateway or 0, way.gateway_family

    def _ping(self, ranges: Sequence[Range]) -> Search:
        """Ask who is up beyond the link; return their ranges."""
        found: list[Range] = []
        for family in (4, 6):
            space = Space.hosts([r for r in ranges if r.family == family], PROBES[family])
            if not space.size:
                continue
            kind = PingKind(
                space, self._cables.paths(space, self._gateway_macs, self._learned),
                key=self._key, sport=self._sport, contact=self._plan.aim.request.contact.encode(),
            )
            phase, sweep = self._sweep(f"discover{family}", space)
            findings = self._findings(space, None, every_state=False)
            yield from self._run_phase(
                phase, sweep, findings, self._packet_runner(sweep, kind, whole_hosts=True))
            yield from self._say_down(findings, space)
            found += self._up_ranges(space)
        return merge(found)

    def _say_down(self, findings: Findings, space: Space) -> Iterator[Step]:
        every = self._plan.aim.request.every_state
        if not self.stopped and (every or space.host_count <= SILENT_LISTED_MAX):
            for events in findings.down():
                yield Step(events)

    def _up_ranges(self, space: Space) -> list[Range]:
        """Return the hosts of a space that are known to be up."""
        values = [address_value(text) for text in self._tally.up]
        columns = np.array(values, np.uint64).reshape(-1, 3)
        number = space.host_number(columns[:, 0].astype(np.uint8), columns[:, 1], columns[:, 2])
        return list(_runs(space, np.unique(number[number >= 0])))

    # -- ports -----------------------------------------------------------------------------

    def _space(self, up: Sequence[Range]) -> Space:
        """Return the probes to hosts that are up."""
        outside = subtract(merge(b.range for b in self._plan.aim.targets.blocks), up)
        return Space(
            Segment(part.family, part.start, part.count, block.ports.packed())
            for block in self._plan.aim.targets.blocks
            for part in subtract([block.range], outside)
        )

    def _scan(self, space: Space, *, connect: bool) -> Iterator[Step]:
        aim = self._plan.aim
        kind: Kind | None = None
        if not connect:
            paths = self._cables.paths(space, self._gateway_macs, self._learned)
            kind = SynKind(space, paths, key=self._key, sport=self._sport)
        phase, sweep = self._sweep(SCAN, space)
        findings = self._findings(space, kind, every_state=aim.request.every_state)
        self._recall_hosts(space, findings)
        if kind is not None:
            runner = self._packet_runner(sweep, kind)
        else:
            local = not subtract(merge(_ranges_of(space)), merge(self._plan.ways.ranges("local")))

            def runner(report: Report) -> ConnectSweep:
                return ConnectSweep(
                    sweep, space, report=report, stop=self._stop, zones=self._zones(),
                    interface=aim.request.interface, local=local,
                )
        yield from self._run_phase(phase, sweep, findings, runner)
        asked = sweep.ours if aim.shard.count > 1 else None
        for events in findings.rest(asked=asked, stopped=self.stopped):
            yield Step(events)

    def _recall_hosts(self, space: Space, findings: Findings) -> None:
        """Tell the findings which hosts have an event already."""
        if not self._tally.up:
            return
        values = np.array([address_value(text) for text in self._tally.up], np.uint64)
        number = space.host_number(values[:, 0].astype(np.uint8), values[:, 1], values[:, 2])
        codes = {text: code for code, text in enumerate(REASON_TEXT)}
        reasons = np.array(
            [codes.get(reason, Reason.USER_SET) for reason in self._tally.up.values()], np.uint8,
        )
        here = number >= 0
        findings.know_up(number[here], reasons[here])

    # -- machinery -------------------------------------------------------------------------

    def _zones(self) -> dict[str, int]:
        """Return interface indices of link-local targets by address text."""
        return {
            text: way.index for way in self._plan.ways.reached
            if way.range.family == 6 and way.range.start >> 118 == 0x3FA
            for text in _texts(way.range)
        }

    def _findings(self, space: Space, kind: Kind | None, *, every_state: bool) -> Findings:
        return Findings(
            space, kind, evidence=self._evidence, names=self._plan.aim.targets.names,
            every_state=every_state,
        )

    def _round_trip(self) -> RoundTrip:
        _, _, first, least, most = TIMING[self._plan.aim.request.timing]
        return RoundTrip(
            wait_min_ns=least * 1_000_000, wait_max_ns=most * 1_000_000,
            first_wait_ns=first * 1_000_000,
        )

    def _sweep(self, name: str, space: Space) -> tuple[Phase, Sweep]:
        aim = self._plan.aim
        # Discovery is not sharded: a shard needs to know its hosts, whichever probes it is given.
        shard = aim.shard if name == SCAN else Shard(1, 1)
        seed = aim.request.seed
        sweep = Sweep(
            space.size, seed=seed, shard=shard, rate_pps=aim.rate_pps, retries=aim.retries,
            round_trip=self._round_trip(),
        )
        return Phase(name, fingerprint(space, seed, shard)), sweep

    def _neighbour_sweep(self, space: Space) -> Sweep:
        aim = self._plan.aim
        return Sweep(
            space.size, seed=aim.request.seed, rate_pps=aim.rate_pps,
            retries=min(NEIGHBOUR_RETRIES, aim.retries),
            round_trip=RoundTrip(first_wait_ns=NEIGHBOUR_WAIT_NS),
        )

    def _packet_runner(
        self, sweep: Sweep, kind: Kind, cables: Cables | None = None, *, whole_hosts: bool = False,
    ) -> Callable[[Report], _Runner]:
        def make(report: Report) -> _Runner:
            return _OnLinks(
                (cables or self._cables).links, sweep, kind, report=report, stop=self._stop,
                whole_hosts=whole_hosts, tally=self._tally,
            )
        return make

    def _run_phase(
        self, phase: Phase | None, sweep: Sweep, findings: Findings | None,
        make: Callable[[Report], _Runner],
        amend: Callable[[list[AnyEvent]], list[AnyEvent]] | None = None,
    ) -> Iterator[Step]:
        """Drive a machine in a thread and yield its news as steps."""
        sent_before = self._resume(phase, sweep, findings)
        base = (self._tally.sent + sent_before, self._tally.received, self._tally.open)
        news: queue.Queue[Found | BaseException | None] = queue.Queue(NEWS_MAX)
        thread = threading.Thread(target=_work, args=(make, news), name="portulan-drive")
        thread.start()
        try:
            for batch in _batches(news):
                yield self._step(phase, batch, findings, base=base, amend=amend)
        except BaseException:
            self._stop.set()
            while thread.is_alive():  # it may be waiting to tell us more
                with contextlib.suppress(queue.Empty):
                    news.get(timeout=0.05)
            raise

    def _resume(self, phase: Phase | None, sweep: Sweep, findings: Findings | None) -> int:
        if self._memory is None or phase is None:
            return 0
        known = self._memory.recall(phase)
        if known is None:
            return 0
        sweep.resume(known.answers, known.mark)
        if findings is not None:
            findings.know(known.answers)
        return known.sent

    def _step(
        self, phase: Phase | None, batch: Sequence[Found], findings: Findings | None,
        *, base: tuple[int, int, int], amend: Callable[[list[AnyEvent]], list[AnyEvent]] | None,
    ) -> Step:
        last = batch[-1]
        events: list[AnyEvent] = []
        for found in batch:
            if findings is not None and len(found.answers):
                events += findings.events(found)
        if amend:
            events = amend(events)
        tally = self._tally
        if phase is not None and phase.name == SCAN and findings is not None:
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
        return Step(events, phase, answers, rtt, last.mark, last.sent, progress)

    def _count(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, Host) and event.state == "up":
                self._tally.up.setdefault(event.addr, event.reason)
        self._tally.hosts_up = len(self._tally.up)

    def _progress(self, last: Found) -> Progress:
        now = Clock.now()
        began, sent = self._rate_from
        rate = (self._tally.sent - sent) * 1e9 / max(now - began, 1)
        if now - began > PROGRESS_NS:
            self._rate_from = (now, self._tally.sent)
        elapsed = (now - self._began) / 1e9
        done = last.progress
        return Progress(
            done=round(done, 4), sent=self._tally.sent, received=self._tally.received,
            rate_pps=round(rate, 1), eta_s=round(elapsed * (1 - done) / done, 1) if done else 0.0,
        )


class _Runner(Protocol):
    def run(self) -> None: ...
    def close(self) -> None: ...


class _OnLinks:
    """Opens the links a machine needs, drives it, and counts what the kernel dropped."""

    def __init__(
        self, cables: Sequence[tuple[str, bool, int]], sweep: Sweep, kind: Kind, *,
        report: Report, stop: threading.Event, whole_hosts: bool, tally: _Tally,
    ) -> None:
        self._cables, self._sweep, self._kind = cables, sweep, kind
        self._report, self._stop, self._whole_hosts = report, stop, whole_hosts
        self._tally = tally
        self._opened = ExitStack()

    def run(self) -> None:
        links = [
            (name, self._opened.enter_context(_open(name, ethernet, family, self._kind)))
            for name, ethernet, family in self._cables
        ]
        PacketSweep(
            self._sweep, self._kind, links, report=self._report, stop=self._stop,
            whole_hosts=self._whole_hosts,
        ).run()
        self._tally.drops += sum(link.counters().drops for _, link in links)

    def close(self) -> None:
        self._opened.close()


def _open(name: str, ethernet: bool, family: int, kind: Kind) -> Link:
    if ethernet:
        return PacketLink(name, filter=kind.filter(LinkType.ETHERNET))
    return RawLink(name, family=family, filter=kind.filter(LinkType.RAW))


def _work(
    make: Callable[[Report], _Runner], news: queue.Queue[Found | BaseException | None]
) -> None:
    runner = make(news.put)
    try:
        runner.run()
    except BaseException as error:  # handed to the caller's thread, whatever it is
        news.put(error)
    else:
        news.put(None)
    finally:
        # The kernel takes some 50 ms to take a ring down: nobody has to wait for that.
        runner.close()


def _batches(
    news: queue.Queue[Found | BaseException | None]
) -> Iterator[list[Found]]:
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


def _tell_macs(
    kind: NeighbourKind, known: Mapping[str, Host]
) -> Callable[[list[AnyEvent]], list[AnyEvent]]:
    """Return what adds Ethernet addresses and their vendors to host events."""
    def amend(events: list[AnyEvent]) -> list[AnyEvent]:
        return [
            _with_mac(event, kind) if isinstance(event, Host) else event
            for event in events if not (isinstance(event, Host) and event.addr in known)
        ]
    return amend


def _with_mac(event: Host, kind: NeighbourKind) -> Host:
    family, hi, lo = address_value(event.addr)
    host = kind.space.host_number(
        np.array([family], np.uint8), np.array([hi], np.uint64), np.array([lo], np.uint64))
    mac = int(kind.macs[host[0]]).to_bytes(6, "big")
    maker = ""
    if not mac[0] & _VIRTUAL_MAC:
        from portulan.link.vendor import vendor

        maker = vendor(mac)
    return Host(
        addr=event.addr, state=event.state, reason=event.reason, names=event.names,
        mac=mac.hex(":"), vendor=maker, rtt_us=event.rtt_us,
    )


def _toward_gateway(way: Way) -> Way:
    """Return the way to a router itself, as a neighbour."""
    return Way(
        Range(way.gateway_family, way.gateway or 0), way.interface, way.index, "neighbour",
        way.source, way.source_mac,
    )


def _texts(item: Range) -> list[str]:
    offset = np.arange(item.count, dtype=np.uint64)
    low = np.uint64(item.start & (1 << 64) - 1) + offset
    return address_texts(
        np.full(item.count, item.family, np.uint8),
        np.full(item.count, item.start >> 64, np.uint64), low,
    )


def _ranges_of(space: Space) -> Iterator[Range]:
    for segment in space.segments:
        yield Range(segment.family, segment.start, segment.count)


def _runs(space: Space, hosts: NDArray[np.int64]) -> tuple[Range, ...]:
    """Return hosts, given by ascending numbers, as merged ranges."""
    if not len(hosts):
        return ()
    ends = np.cumsum([segment.count for segment in space.segments])
    segment = np.searchsorted(ends, hosts, "right")
    jumps = (np.diff(hosts) != 1) | (np.diff(segment) != 0)
    first = np.flatnonzero(np.concatenate([[True], jumps]))
    counts = np.diff(np.concatenate([first, [len(hosts)]]))
    family, hi, lo = space.host_address(hosts[first])
    return merge(
        Range(f, h << 64 | low, count) for f, h, low, count in zip(
            family.tolist(), hi.tolist(), lo.tolist(), counts.tolist(), strict=True)
    )
