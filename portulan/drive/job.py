"""A scan from its plan to its end, as steps that whoever runs it keeps and shows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from portulan.drive.clock import Clock, rfc3339
from portulan.drive.conductor import SCAN, SPORT_BLOCKS, SPORT_FIRST, Conductor, Course, Runner
from portulan.drive.connecting import ConnectSweep
from portulan.drive.controls import Controls
from portulan.drive.datagrams import DatagramSweep, datagram_kind
from portulan.drive.discovery import Discovery
from portulan.drive.filtering import Filtering
from portulan.drive.findings import Evidence, Findings
from portulan.drive.packets import Report
from portulan.drive.plan import Leg, Plan, controlled, of_protocol, systems_asked
from portulan.drive.step import Memory, Step
from portulan.drive.systems import Systems
from portulan.record import SCHEMA, AnyEvent, End, EndReason, Host, Missed, Note, Run
from portulan.scan.flags import MANNERS, FlagKind, manner_of
from portulan.scan.kind import Kind
from portulan.scan.protocols import ProtocolKind
from portulan.scan.sctp import SctpKind
from portulan.scan.sweep import Sweep
from portulan.scan.syn import SynKind
from portulan.scan.udp import UdpKind
from portulan.target.ranges import Range, merge, subtract
from portulan.target.space import Segment, Space

PlainKind: TypeAlias = type[UdpKind] | type[SctpKind] | type[ProtocolKind]
#: Kinds of methods other than TCP's.
PLAIN_KINDS: Final[Mapping[str, PlainKind]] = {
    "udp": UdpKind, "sctp": SctpKind, "protocols": ProtocolKind,
}


class Job:
    """A scan under way: iterate `steps()`, call `stop()` to end it with what is known."""

    def __init__(
        self, plan: Plan, *, run_id: str, version: str, evidence: Evidence | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._plan, self._run_id, self._version = plan, run_id, version
        self._memory = memory
        self._found: list[Findings] = []
        self._conductor = Conductor(plan, evidence, memory)
        self._tally = self._conductor.tally

    def stop(self) -> None:
        """End soon, with what is known; may be called from a signal handler or another thread."""
        self._conductor.stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._conductor.stop.is_set()

    def steps(self) -> Generator[Step, None, None]:
        """Yield what happens, a `run` event first and an `end` event last.

        An error on the way is told by the `end` event and then raised.
        """
        self._conductor.began = Clock.now()
        try:
            yield Step([self._run(), *self._notes()])
            yield from self._phases()
        except GeneratorExit:
            self._conductor.stop.set()
            raise
        except Exception as error:
            yield Step([self._end("error", str(error))])
            raise
        yield Step([self._end("interrupted" if self.stopped else "done")])

    # -- events of the whole job -----------------------------------------------------------

    def _run(self) -> Run:
        aim, space = self._plan.aim, self._plan.aim.space()
        probes = 0 if self._plan.method == "ping" else aim.probes
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
        damage = self._memory.damage if self._memory else ()
        return [
            Note(addr="", text=text, level="warning") for text in (*self._plan.notes, *damage)
        ]

    def _end(self, reason: EndReason, error: str = "") -> End:
        tally = self._tally
        return End(
            reason=reason, hosts_up=tally.hosts_up, open=tally.open, sent=tally.sent,
            received=tally.received, drops=tally.drops, error=error, missed=tally.missed,
            timed_out=tally.timed_out,
            elapsed_s=round((Clock.now() - self._conductor.began) / 1e9, 3),
        )

    # -- phases ----------------------------------------------------------------------------

    def _phases(self) -> Iterator[Step]:
        plan = self._plan
        raw = plan.rights.net_raw and plan.rights.packet_sockets
        connect = not any(leg.raw for leg in plan.legs) and (bool(plan.legs) or not raw)
        discovery = Discovery(self._conductor, self._known_hosts())
        # Packets find who is up even before a connect scan: two ports alone would miss a host
        # whose firewall is silent.
        packets = raw and (plan.aim.request.discover or not connect)
        up = yield from (discovery.by_packets() if packets else discovery.by_connect())
        self._tally.hosts_up = len(self._tally.up)
        for number, leg in enumerate(plan.legs):
            space = self._space(up, leg)
            if self.stopped:
                return
            if space.size:
                yield from self._scan(leg, space, SCAN if not number else f"{SCAN}-{leg.protocol}")
        if systems_asked(plan) and not self.stopped:
            yield from Systems(self._conductor, self._found).steps()

    def _known_hosts(self) -> dict[str, Host]:
        if self._memory is None:
            return {}
        known = {host.addr: host for host in self._memory.hosts if host.state == "up"}
        self._tally.up.update((addr, host.reason) for addr, host in known.items())
        return known

    # -- ports -----------------------------------------------------------------------------

    def _space(self, up: Sequence[Range], leg: Leg) -> Space:
        """Return a leg's probes to hosts that are up."""
        outside = subtract(merge(b.range for b in self._plan.aim.targets.blocks), up)
        whole = Space(
            Segment(part.family, part.start, part.count, block.ports.packed())
            for block in self._plan.aim.targets.blocks
            for part in subtract([block.range], outside)
        )
        return whole if len(self._plan.legs) == 1 else of_protocol(whole, leg.protocol)

    def _scan(self, leg: Leg, space: Space, name: str) -> Iterator[Step]:
        conductor, aim = self._conductor, self._plan.aim
        phase, sweep = conductor.sweep(name, space, method=leg.method)
        kind, make = self._asking(leg, space, sweep)
        findings = conductor.findings(
            space, kind, every_state=aim.request.every_state, proves=leg.raw)
        conductor.recall_hosts(findings)
        yield from conductor.run(Course(sweep, findings, make, phase))
        self._found.append(findings)
        self._tally.missed = self._tally.missed or _missed(sweep)
        if controlled(self._plan, leg) and not self.stopped:
            make_kind = partial(self._kind, leg) if leg.raw else None
            yield from Controls(conductor, findings, make_kind).steps()
            if leg.raw:
                yield from Filtering(conductor, findings, self._stray).steps()
        asked = sweep.ours if aim.shard.count > 1 else None
        for events in findings.rest(
            asked=asked, stopped=self.stopped, timed_out=sweep.timed_out
        ):
            yield Step(events)
        if len(sweep.timed_out):
            self._tally.timed_out += len(sweep.timed_out)
            yield Step([Note(addr="", text=_given_up(len(sweep.timed_out), aim.host_timeout_s),
                             level="warning")])
        if leg is not self._plan.legs[-1]:
            self._tally.up.update(findings.up())

    def _stray(self, space: Space) -> Kind:
        """Return what asks ports by ACKs that belong to no connection."""
        conductor = self._conductor
        # From other ports than the SYNs: a stateful filter still knows those.
        sport = SPORT_FIRST + (conductor.sport - SPORT_FIRST + 16) % (16 * SPORT_BLOCKS)
        return FlagKind(
            space, conductor.paths(space), key=conductor.key, sport=sport,
            manner=MANNERS["ack"])

    def _asking(
        self, leg: Leg, space: Space, sweep: Sweep
    ) -> tuple[Kind | None, Callable[[Report], Runner]]:
        """Return what reads a leg's answers, and what makes its runner."""
        conductor, request = self._conductor, self._plan.aim.request
        if leg.raw:
            kind = self._kind(leg, space)
            return kind, conductor.on_links(sweep, kind)
        if leg.method == "connect":
            return None, self._by_connect(sweep, space)
        asked = datagram_kind(space, key=conductor.key, sport=conductor.sport)
        return asked, lambda report: DatagramSweep(
            sweep, asked, report=report, stop=conductor.stop, zones=self._plan.ways.zones(),
            interface=request.interface,
        )

    def _kind(self, leg: Leg, space: Space) -> Kind:
        paths, key, sport = (
            self._conductor.paths(space), self._conductor.key, self._conductor.sport)
        plain = PLAIN_KINDS.get(leg.method)
        if plain is not None:
            return plain(space, paths, key=key, sport=sport)
        manner = manner_of(leg.method, self._plan.aim.request.tcp_flags)
        if manner is None:
            return SynKind(space, paths, key=key, sport=sport)
        return FlagKind(space, paths, key=key, sport=sport, manner=manner)

    def _by_connect(self, sweep: Sweep, space: Space) -> Callable[[Report], Runner]:
        ways = self._plan.ways
        local = not subtract(merge(_ranges_of(space)), merge(ways.ranges("local")))
        return lambda report: ConnectSweep(
            sweep, space, report=report, stop=self._conductor.stop, zones=ways.zones(),
            interface=self._plan.aim.request.interface, local=local,
        )


def _given_up(hosts: int, seconds: float) -> str:
    return (f"{hosts} host{'s' * (hosts > 1)} given up after {seconds:g} s: "
            "ports without an answer have no verdict")


def _missed(sweep: Sweep) -> Missed | None:
    """Return the estimate of ports that answer and were not heard; None if not all was asked."""
    found = sweep.missed
    if found is None:
        return None
    return Missed(
        estimate=float(f"{found.estimate:.2g}"), low=round(found.low, 1), high=round(found.high, 1))


def _ranges_of(space: Space) -> Iterator[Range]:
    for segment in space.segments:
        yield Range(segment.family, segment.start, segment.count)
