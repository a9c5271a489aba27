"""Whom to ask for ports: who is on the link, and who else is up."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portulan.drive.conductor import Amend, Conductor, Course
from portulan.drive.connecting import ConnectSweep
from portulan.drive.echoes import EchoSweep, echo_kind
from portulan.drive.findings import SILENT_LISTED_MAX, Findings
from portulan.drive.packets import Report
from portulan.drive.step import Step
from portulan.drive.ways import Cables, Learned, Way, range_texts
from portulan.link.routes import neighbour_table, neighbours
from portulan.record import AnyEvent, Host, Note
from portulan.scan.neighbour import QUESTION, NeighbourKind
from portulan.scan.pace import RoundTrip
from portulan.scan.ping import ECHO, ECHO6, PROBES, PingKind
from portulan.scan.sweep import Sweep
from portulan.scan.verdict import Reason
from portulan.target.address import address_value
from portulan.target.ranges import Range, merge, subtract
from portulan.target.space import TCP, Space

#: Neighbours answer fast or not at all. A host whose answers are lost is taken for down, so tries
#: go deep where late answers show that the link loses packets; elsewhere two are all.
NEIGHBOUR_WAIT_NS: Final = 300_000_000
NEIGHBOUR_RETRIES: Final = 6
#: Ports whose answer, of either kind, shows that a host is up where nothing raw may be sent.
CONNECT_PORTS: Final = ((TCP, 80), (TCP, 443))
#: This machine's addresses told at once.
LOCAL_PORTION: Final = 4_096
_VIRTUAL_MAC: Final = 0x02
_LOW_64: Final = (1 << 64) - 1

Search: TypeAlias = Generator[Step, None, tuple[Range, ...]]
"""Steps, and at their end the ranges that were found."""


class Discovery:
    """Finds out who is up; `known` are hosts that have an event from an earlier run."""

    def __init__(self, conductor: Conductor, known: Mapping[str, Host]) -> None:
        self._conductor, self._known = conductor, known
        self._plan, self._tally = conductor.plan, conductor.tally

    def _local(self) -> Iterator[Step]:
        """Say that this machine's own addresses are up, without asking them."""
        ranges = self._plan.ways.ranges("local")
        if not ranges or (self._asks_anyway and self._plan.method != "ping"):
            return
        for item in ranges:
            for at in range(0, item.count, LOCAL_PORTION):
                count = min(LOCAL_PORTION, item.count - at)
                texts = range_texts(Range(item.family, item.start + at, count))
                events = [
                    Host(addr=text, state="up", reason=Reason.LOCALHOST_RESPONSE.text,
                         names=self._names(text))
                    for text in texts if text not in self._known
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

    def by_connect(self) -> Search:
        """Find out by `connect()`, which needs no right; return whom to ask."""
        ways = self._plan.ways
        local = ways.ranges("local")
        others = ways.ranges("neighbour", "routed", "raw")
        if self._asks_anyway:
            return merge([*local, *others])
        yield from self._local()
        whole = Space.hosts(others, CONNECT_PORTS)
        if self._plan.rights.ping_sockets:
            yield from self._echo(others)
        space = Space.hosts(subtract(merge(others), self._up_ranges(whole)), CONNECT_PORTS)
        if space.size:
            phase, sweep = self._conductor.sweep("discover", space)
            findings = self._conductor.findings(space)
            yield from self._conductor.run(Course(sweep, findings, lambda report: ConnectSweep(
                sweep, space, report=report, stop=self._conductor.stop,
                zones=self._plan.ways.zones(), interface=self._plan.aim.request.interface,
                hosts_only=True,
            ), phase))
            yield from self._resolved(findings, space)
            yield from self._say_down(findings, space)
        if whole.size:
            yield from self._macs(whole)
        return merge([*local, *self._up_ranges(whole)])

    def _echo(self, ranges: Sequence[Range]) -> Iterator[Step]:
        """Ask by ICMP echo through ping sockets, which need no right either."""
        request, conductor = self._plan.aim.request, self._conductor
        for family, question in ((4, ECHO), (6, ECHO6)):
            space = Space.hosts([r for r in ranges if r.family == family], [question])
            if not space.size:
                continue
            kind = echo_kind(space, family, key=conductor.key, contact=request.contact)
            phase, sweep = conductor.sweep(f"echo{family}", space)

            def make(report: Report, sweep: Sweep = sweep, kind: PingKind = kind) -> EchoSweep:
                return EchoSweep(
                    sweep, kind, report=report, stop=conductor.stop,
                    zones=self._plan.ways.zones(), interface=request.interface)

            yield from conductor.run(Course(
                sweep, conductor.findings(space, kind, proves=False), make, phase))

    def _macs(self, space: Space) -> Iterator[Step]:
        """Tell the Ethernet addresses that the kernel learned from hosts that are up."""
        if not self._plan.ways.ranges("neighbour"):
            return
        events: list[AnyEvent] = []
        for one in neighbour_table():
            text = str(Range(one.family, one.address))
            reason = self._tally.up.get(text, "")
            known = reason in (Reason.ARP_RESPONSE.text, Reason.ND_RESPONSE.text)
            if one.mac is not None and reason and not known and (
                    _host_number(space, one.family, one.address) >= 0):
                events.append(Host(addr=text, state="up", reason=reason,
                                   mac=one.mac.hex(":"), vendor=_maker(one.mac)))
        yield Step(events)

    def _resolved(self, findings: Findings, space: Space) -> Iterator[Step]:
        """Say who is up by the kernel's ARP and ND: our connects made it ask its neighbours.

        Only what it calls reachable has answered just now; a stale entry may be of one long gone.
        """
        if not self._plan.ways.ranges("neighbour"):
            return
        events: list[AnyEvent] = []
        for one in neighbour_table():
            host = _host_number(space, one.family, one.address)
            text = str(Range(one.family, one.address))
            if host < 0 or one.mac is None or one.state != "reachable" or text in self._tally.up:
                continue
            reason = Reason.ARP_RESPONSE if one.family == 4 else Reason.ND_RESPONSE
            events.append(Host(addr=text, state="up", reason=reason.text, names=self._names(text),
                               mac=one.mac.hex(":"), vendor=_maker(one.mac)))
            self._tally.up[text] = reason.text
            findings.know_up(np.array([host]), np.array([reason], np.uint8))
        yield Step(events)

    def by_packets(self) -> Search:
        """Find out by ARP, ND, ICMP and TCP; return whom to ask."""
        ways = self._plan.ways
        yield from self._local()
        near = yield from self._ask_neighbours()
        yield from self._ask_gateways()
        far = merge(ways.ranges("routed", "raw"))
        if not self._asks_anyway and far:
            far = yield from self._ping(far)
        return merge([*ways.ranges("local"), *near, *far])

    def _ask_neighbours(self) -> Search:
        """Learn the Ethernet addresses of hosts on the link; those that answer are up."""
        ranges = merge(self._plan.ways.ranges("neighbour"))
        if not ranges:
            return ()
        space = Space.hosts(ranges, [QUESTION])
        kind = NeighbourKind(space, self._conductor.cables.asking(space))
        if self._asks_anyway:
            _take_from_kernel(kind)
        sweep = self._neighbour_sweep(space)
        sweep.settle(np.flatnonzero(kind.macs))
        findings = self._conductor.findings(space, kind)
        yield from self._conductor.run(Course(
            sweep, findings, self._conductor.on_links(sweep, kind),
            amend=_tell_macs(kind, self._known),
        ))
        there = np.flatnonzero(kind.macs)
        family, hi, lo = space.host_address(there)
        self._conductor.learned = Learned(family, hi, lo, kind.macs[there])
        if not self._asks_anyway:
            yield from self._say_down(findings, space)
        return _runs(space, there)

    def _ask_gateways(self) -> Iterator[Step]:
        ways = self._conductor.cables.gateways()
        if not ways:
            return
        macs = dict(neighbours())
        self._conductor.gateway_macs = macs
        missing = [way for way in ways if _gateway_key(way) not in macs]
        own = [way for way in missing if way.gateway_family == way.range.family]
        if own:
            space = Space.hosts(
                [Range(way.gateway_family, way.gateway or 0) for way in own], [QUESTION])
            asking = Cables([_toward_gateway(way) for way in own])
            kind = NeighbourKind(space, asking.asking(space))
            sweep = self._neighbour_sweep(space)
            yield from self._conductor.run(
                Course(sweep, None, self._conductor.on_links(sweep, kind, asking)))
            macs.update(_told_by(kind, own))
        lost = [way for way in ways if _gateway_key(way) not in macs]
        if lost:
            yield Step([
                Note(addr="", level="warning",
                     text=f"{way}: the router does not answer, its targets are left out")
                for way in lost
            ])

    def _ping(self, ranges: Sequence[Range]) -> Search:
        """Ask who is up beyond the link; return their ranges."""
        found: list[Range] = []
        for family in (4, 6):
            space = Space.hosts([r for r in ranges if r.family == family], PROBES[family])
            if not space.size:
                continue
            kind = PingKind(
                space, self._conductor.paths(space), key=self._conductor.key,
                sport=self._conductor.sport, contact=self._plan.aim.request.contact.encode(),
            )
            phase, sweep = self._conductor.sweep(f"discover{family}", space)
            findings = self._conductor.findings(space, kind)
            yield from self._conductor.run(Course(
                sweep, findings, self._conductor.on_links(sweep, kind, whole_hosts=True), phase))
            yield from self._say_down(findings, space)
            found += self._up_ranges(space)
        return merge(found)

    def _say_down(self, findings: Findings, space: Space) -> Iterator[Step]:
        every = self._plan.aim.request.every_state
        if not self._conductor.stop.is_set() and (every or space.host_count <= SILENT_LISTED_MAX):
            memory = self._conductor.memory
            told = {host.addr for host in memory.hosts} if memory else set()
            for events in findings.down():
                yield Step([event for event in events if event.addr not in told])

    def _up_ranges(self, space: Space) -> list[Range]:
        """Return the hosts of a space that are known to be up."""
        values = [address_value(text) for text in self._tally.up]
        columns = np.array(values, np.uint64).reshape(-1, 3)
        number = space.host_number(columns[:, 0].astype(np.uint8), columns[:, 1], columns[:, 2])
        return list(_runs(space, np.unique(number[number >= 0])))

    def _neighbour_sweep(self, space: Space) -> Sweep:
        aim = self._plan.aim
        return Sweep(
            space.size, seed=aim.request.seed, rate_pps=aim.rate_pps,
            retries=min(NEIGHBOUR_RETRIES, aim.retries),
            round_trip=RoundTrip(first_wait_ns=NEIGHBOUR_WAIT_NS),
        )


def _tell_macs(
    kind: NeighbourKind, known: Mapping[str, Host]
) -> Amend:
    """Return what adds Ethernet addresses and their vendors to host events."""
    def amend(events: list[AnyEvent]) -> list[AnyEvent]:
        return [
            _with_mac(event, kind) if isinstance(event, Host) else event
            for event in events if not (isinstance(event, Host) and event.addr in known)
        ]
    return amend


def _with_mac(event: Host, kind: NeighbourKind) -> Host:
    family, hi, lo = address_value(event.addr)
    host = _host_number(kind.space, family, hi << 64 | lo)
    mac = int(kind.macs[host]).to_bytes(6, "big")
    return Host(
        addr=event.addr, state=event.state, reason=event.reason, names=event.names,
        mac=mac.hex(":"), vendor=_maker(mac), rtt_us=event.rtt_us, frames=event.frames,
    )


def _maker(mac: bytes) -> str:
    if mac[0] & _VIRTUAL_MAC:
        return ""
    from portulan.link.vendor import vendor

    return vendor(mac)


def _take_from_kernel(kind: NeighbourKind) -> None:
    """Give a kind the addresses that the kernel knows already."""
    for (_, number, family), mac in neighbours().items():
        host = _host_number(kind.space, family, number)
        if host >= 0:
            kind.macs[host] = int.from_bytes(mac, "big")


def _told_by(kind: NeighbourKind, ways: Sequence[Way]) -> dict[tuple[int, int, int], bytes]:
    """Return the addresses of routers that answered."""
    found = {}
    for way in ways:
        mac = int(kind.macs[_host_number(kind.space, way.gateway_family, way.gateway or 0)])
        if mac:
            found[_gateway_key(way)] = mac.to_bytes(6, "big")
    return found


def _gateway_key(way: Way) -> tuple[int, int, int]:
    return way.index, way.gateway or 0, way.gateway_family


def _host_number(space: Space, family: int, number: int) -> int:
    found = space.host_number(
        np.array([family], np.uint8), np.array([number >> 64], np.uint64),
        np.array([number & _LOW_64], np.uint64),
    )
    return int(found[0])


def _toward_gateway(way: Way) -> Way:
    """Return the way to a router itself, as a neighbour."""
    return Way(
        Range(way.gateway_family, way.gateway or 0), way.interface, way.index, "neighbour",
        way.source, way.source_mac,
    )


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
