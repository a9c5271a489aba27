"""Traces of many hosts at once, hop by hop, as `hop` events."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias

from portulan.drive.clock import Clock
from portulan.record import Hop
from portulan.scan.trace import Ask, Reply, Tracer
from portulan.sockets.hops import HopSockets, Manner
from portulan.sockets.hops_tcp import TcpHops

#: Probes a second over all hosts: what a router's ICMP limiter bears for one asker.
RATE_PPS: Final = 200
#: Hosts traced at once: each has a socket, and most systems give 1,024 descriptors.
HOSTS_MAX: Final = 512
#: Traceroute's, which no service uses.
UDP_PORT: Final = 33434
#: Between two looks at paths under way: as often as eyes follow.
WATCH_NS: Final = 100_000_000
NAP_NS: Final = 20_000_000
HOPS_MAX: Final = 255


Watch: TypeAlias = Callable[[list[list[Hop]]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How to trace."""

    manner: Manner = "udp"
    port: int = UDP_PORT
    hops_max: int = 30
    queries: int = 3
    wait_ns: int = 1_000_000_000
    interface: str = ""
    rate_pps: float = RATE_PPS


def trace(
    hosts: Sequence[str], options: TraceOptions, watch: Watch | None = None, *,
    ports: Mapping[str, int] | None = None, stopped: Callable[[], bool] = lambda: False,
) -> Iterator[list[Hop]]:
    """Trace addresses; yield each path when it is known, its hops in order.

    `watch` is called ten times a second with what is known of the paths under way; `ports` are
    those to ask where not the options' own; paths are given up once `stopped` says so. A host
    without a route has one hop, unreachable. Raises `PrivilegeError` where the kernel gives no
    ICMP sockets.
    """
    for at in range(0, len(hosts), HOSTS_MAX):
        part = hosts[at : at + HOSTS_MAX]
        lost = [host for host in part if not _has_route(host, options)]
        yield from (
            [Hop(target=host, ttl=1, addr="", state="unreachable", mark="!N")] for host in lost)
        if ways := [host for host in part if host not in lost]:
            yield from _Round(ways, options, watch).paths(ports or {}, stopped)


def _has_route(host: str, options: TraceOptions) -> bool:
    sockets = _sockets(options)
    try:
        sockets.open(0, host)
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return False
        raise
    finally:
        sockets.close()
    return True


def _sockets(options: TraceOptions) -> HopSockets | TcpHops:
    if options.manner == "tcp":
        return TcpHops(port=options.port, interface=options.interface)
    return HopSockets(options.manner, port=options.port, interface=options.interface)


class _Round:
    """As many hosts as are traced at once."""

    def __init__(
        self, hosts: Sequence[str], options: TraceOptions, watch: Watch | None = None
    ) -> None:
        self._hosts, self._options, self._watch = hosts, options, watch
        self._watched = Clock.now()
        self._tracer = Tracer(
            [_network(host) for host in hosts], hops_max=options.hops_max,
            queries=options.queries, wait_ns=options.wait_ns,
        )
        self._sent: dict[Ask, int] = {}
        self._next = Clock.now()

    def paths(
        self, ports: Mapping[str, int], stopped: Callable[[], bool]
    ) -> Iterator[list[Hop]]:
        sockets = _sockets(self._options)
        try:
            for host, addr in enumerate(self._hosts):
                sockets.open(host, addr, port=ports.get(addr, 0))
            while not self._tracer.done and not stopped():
                self._send(sockets)
                wait = min(NAP_NS, max(0, self._tracer.deadline(Clock.now()) - Clock.now()))
                self._hear(sockets, min(wait, max(0, self._next - Clock.now())) or wait)
                for host in self._tracer.advance(Clock.now()):
                    yield self._events(host)
                self._show()
        finally:
            sockets.close()

    def _show(self) -> None:
        if self._watch is not None and Clock.now() - self._watched >= WATCH_NS:
            self._watch([self._events(host) for host in self._tracer.active])
            self._watched = Clock.now()

    def _send(self, sockets: HopSockets | TcpHops) -> None:
        gap = int(1e9 / self._options.rate_pps)
        if Clock.now() < self._next:
            return
        for ask in self._tracer.emit(Clock.now(), 1):
            self._sent[ask] = Clock.now()
            sockets.send(ask.host, ask.ttl, ask.ttl << 8 | ask.query)
            self._next = Clock.now() + gap

    def _hear(self, sockets: HopSockets | TcpHops, wait_ns: int) -> None:
        for heard in sockets.hear(wait_ns):
            now = Clock.now()
            ask = self._ask_of(heard.host, heard.tag)
            if ask is not None:
                reply = Reply(heard.addr, now - self._sent[ask], heard.kind, heard.mark)
                self._tracer.feed(ask, reply)

    def _ask_of(self, host: int, tag: int) -> Ask | None:
        """Return the probe of a tag; a router that quotes too little answers the oldest one."""
        if tag >= 0:
            ask = Ask(host, tag >> 8, tag & 0xFF)
            return ask if ask in self._sent else None
        cells = self._tracer.trails[host].cells
        open_asks = (
            ask for ask in self._sent
            if ask.host == host and ask.query not in cells.get(ask.ttl, {})
        )
        return next(open_asks, None)

    def _events(self, host: int) -> list[Hop]:
        events = []
        for ttl, replies, asked in self._tracer.trails[host].hops():
            first = replies[0] if replies else None
            others = {reply.addr for reply in replies} - {first.addr if first else ""}
            events.append(Hop(
                target=self._hosts[host], ttl=ttl, addr=first.addr if first else "",
                rtt_us=min((r.rtt_ns // 1000 for r in replies), default=0),
                loss=round(1 - len(replies) / asked, 3), others=sorted(others),
                state=first.kind if first else "silent", mark=first.mark if first else "",
            ))
        return events


def _network(addr: str) -> object:
    """Return what hosts share that are likely to be behind the same routers: /24, or /64."""
    address = ip_address(addr)
    return address.version, int(address) >> (8 if address.version == 4 else 64)
