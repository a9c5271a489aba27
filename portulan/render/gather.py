"""Merge the events of one run into a small model that every format reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address

from msgspec.structs import replace

from portulan.record import (
    AnyEvent,
    End,
    Hop,
    Host,
    HostState,
    Note,
    Os,
    Port,
    PortState,
    Run,
    Service,
)

PROTOCOLS = ("tcp", "udp", "sctp", "ip")
REACHED: frozenset[PortState] = frozenset({"open", "closed", "unfiltered"})
"""Port states that only an answer can give: such a host is up even if no `host` event says so."""


@dataclass(slots=True)
class Finding:
    """What one run knows of one host; a later event amends an earlier one."""

    addr: str
    state: HostState = "unknown"
    reason: str = "no-response"
    names: list[str] = field(default_factory=list)
    mac: str = ""
    vendor: str = ""
    hops: int = 0
    rtt_us: int = 0
    rest: dict[str, dict[str, int]] = field(default_factory=dict)
    ports: dict[tuple[str, int], Port] = field(default_factory=dict)
    services: dict[tuple[str, int], Service] = field(default_factory=dict)
    systems: list[Os] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    path: dict[int, Hop] = field(default_factory=dict)
    timed_out: bool = False

    def amend(self, host: Host) -> None:
        """Take the state of a `host` event and each optional field that it fills."""
        self.state, self.reason = host.state, host.reason
        self.names = host.names or self.names
        self.mac, self.vendor = host.mac or self.mac, host.vendor or self.vendor
        self.hops, self.rtt_us = host.hops or self.hops, host.rtt_us or self.rtt_us
        self.rest = {**self.rest, **host.rest}
        self.timed_out |= host.timed_out

    def add_port(self, port: Port) -> None:
        """Take a port's verdict; it also proves an otherwise unknown host."""
        self.ports[port.protocol, port.port] = port
        if self.state == "unknown" and port.state in REACHED:
            self.state, self.reason = "up", port.reason

    def open_ports(self) -> list[Port]:
        """Return the open ports by protocol, then number."""
        return [port for port in self.sorted_ports() if port.state == "open"]

    def sorted_ports(self) -> list[Port]:
        """Return the listed ports by protocol, then number."""
        return sorted(self.ports.values(), key=lambda p: (PROTOCOLS.index(p.protocol), p.port))

    def service(self, port: Port) -> Service | None:
        """Return what was identified behind a port, if anything was."""
        return self.services.get((port.protocol, port.port))

    def grade(self, port: Port) -> str:
        """Return how far a port was shown to be open: handshake, data, protocol, or nothing."""
        return "protocol" if port.state == "open" and self.service(port) else port.grade

    def counts(self) -> Counter[PortState]:
        """Return how many ports are in each state, listed or not."""
        total: Counter[PortState] = Counter(port.state for port in self.ports.values())
        for states in self.rest.values():
            total.update(states)  # type: ignore[arg-type]  # the wire type is str
        return total


@dataclass(slots=True)
class Findings:
    """One run: how it was asked, its hosts sorted by address, how it ended."""

    run: Run | None
    hosts: list[Finding]
    end: End | None
    notes: list[Note] = field(default_factory=list)
    """About the run as a whole."""

    @property
    def complete(self) -> bool:
        """Whether the run reached its own end."""
        return self.end is not None and self.end.reason == "done"

    @property
    def hosts_up(self) -> int:
        """How many hosts are up, by the run's own count where it has one."""
        return self.end.hosts_up if self.end else sum(h.state == "up" for h in self.hosts)

    @property
    def hosts_asked(self) -> int:
        """How many hosts were asked: the plan's count, or what was seen if that is more."""
        return max(self.run.hosts if self.run else 0, len(self.hosts), self.hosts_up)

    @property
    def open(self) -> int:
        """How many ports are open, by the run's own count where it has one."""
        return self.end.open if self.end else self.counts()["open"]

    @property
    def started(self) -> datetime | None:
        """When the run began, or None if that cannot be read."""
        try:
            moment = datetime.fromisoformat(self.run.started) if self.run else None
        except ValueError:
            return None
        return moment if moment and moment.tzinfo else None

    def counts(self) -> Counter[PortState]:
        """Return how many ports are in each state over all hosts."""
        total: Counter[PortState] = Counter()
        for host in self.hosts:
            total.update(host.counts())
        return total

    def top_open(self, most: int) -> list[tuple[str, int, int]]:
        """Return (protocol, port, hosts it is open on), the most frequent first, then by number."""
        hosts = Counter(
            key for host in self.hosts for key, port in host.ports.items() if port.state == "open"
        )
        ranked = sorted(hosts.items(), key=lambda item: (-item[1], item[0][1], item[0][0]))
        return [(protocol, port, count) for (protocol, port), count in ranked[:most]]


def gather(events: Iterable[AnyEvent]) -> Findings:
    """Return the model of one run's events.

    A second `run` event is the same run taken up again: it keeps the first start and takes back
    an earlier `end`. Order matters only between events about the same thing: the later one wins.
    """
    found: dict[str, Finding] = {}
    run: Run | None = None
    end: End | None = None
    started, notes = "", list[Note]()
    for event in events:
        if isinstance(event, Run):
            started = started or event.started
            run, end = event, None
        elif isinstance(event, End):
            end = event
        elif isinstance(event, Note) and not event.addr:
            notes.append(event)
        elif isinstance(event, Host | Port | Service | Os | Note | Hop):
            _place(event, found)
    if run is not None and run.started != started:
        run = replace(run, started=started)
    hosts = sorted(found.values(), key=lambda host: address_key(host.addr))
    return Findings(run, hosts, end, notes)


def _place(event: Host | Port | Service | Os | Note | Hop, found: dict[str, Finding]) -> None:
    addr = event.target if isinstance(event, Hop) else event.addr
    host = found.get(addr)
    if host is None:
        host = found[addr] = Finding(addr)
    match event:
        case Host():
            host.amend(event)
        case Port():
            host.add_port(event)
        case Service():
            host.services[event.protocol, event.port] = event
        case Os():
            host.systems.append(event)
        case Note():
            if event not in host.notes:  # a run taken up again may come to the same verdict
                host.notes.append(event)
        case Hop():
            host.path[event.ttl] = event


def address_key(addr: str) -> tuple[int, int, str]:
    """Return a key that sorts IPv4 before IPv6 before what is no address, each by value."""
    try:
        address = ip_address(addr)
    except ValueError:
        return 9, 0, addr
    return address.version, int(address), addr
