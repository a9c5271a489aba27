"""Paths to many hosts at once: which hop to ask next, and when a path is known. Pure.

The first host of a network is traced from the first hop on. The others begin where that path
ended and go both ways; going back, they stop at the first router that is known at that distance,
and take over what lies before it (Donnet et al., "Efficient Algorithms for Large-Scale Topology
Discovery", 2005, call it Doubletree).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

#: Hops of one path that are asked at once: enough to hide a round trip, too few for a limiter.
WINDOW_HOPS: Final = 4
#: Silent hops in a row after which nothing more is expected of a path.
GAP_HOPS: Final = 5

Kind: TypeAlias = Literal["expired", "reached", "unreachable"]
Cell: TypeAlias = "Reply | None"


class Ask(NamedTuple):
    """One probe: to which host, how far, the how manieth there."""

    host: int
    ttl: int
    query: int


class Reply(NamedTuple):
    """What came back: from whom, after how long, and what it means for the path."""

    addr: str
    rtt_ns: int
    kind: Kind
    mark: str = ""
    """As traceroute's users know it: !H !N !P !X, empty where all is well."""


@dataclass(slots=True)
class Trail:
    """What is known of one path."""

    start: int
    back: int
    """The next hop to ask on the way back; 0 if there is none."""
    end: int = 0
    """The last hop; 0 while it is not known."""
    reached: bool = False
    sent: dict[tuple[int, int], int] = field(default_factory=dict)
    cells: dict[int, dict[int, Cell]] = field(default_factory=dict)
    shared: int = 0
    """Hops that were taken over from another path."""

    def replies(self, ttl: int) -> list[Reply]:
        """Return the replies of one hop, in the order of asking."""
        cells = self.cells.get(ttl, {})
        return [reply for _, reply in sorted(cells.items()) if reply is not None]

    def hops(self) -> Iterator[tuple[int, list[Reply], int]]:
        """Yield each hop that was asked: its distance, its replies, how often it was asked."""
        for ttl in sorted(self.cells):
            if not self.end or ttl <= self.end:
                yield ttl, self.replies(ttl), len(self.cells[ttl])


class Tracer:
    """Says what to ask next; `groups` names each host's network."""

    def __init__(
        self, groups: Sequence[object], *, hops_max: int, queries: int, wait_ns: int
    ) -> None:
        self._groups, self._hops_max, self._queries = groups, hops_max, queries
        self._wait_ns = wait_ns
        self.trails: dict[int, Trail] = {}
        self._leader: dict[object, int] = {}
        self._known: dict[tuple[str, int], int] = {}
        self._active: list[int] = []
        for host, group in enumerate(groups):
            if self._leader.setdefault(group, host) == host:
                self._begin(host, Trail(start=1, back=0))

    def _begin(self, host: int, trail: Trail) -> None:
        self.trails[host] = trail
        self._active.append(host)

    @property
    def done(self) -> bool:
        """Whether every path is known."""
        return not self._active

    @property
    def active(self) -> tuple[int, ...]:
        """The hosts whose paths are being asked."""
        return tuple(self._active)

    def emit(self, now: int, room: int) -> list[Ask]:
        """Return at most `room` probes to send now."""
        asks: list[Ask] = []
        for host in self._active:
            trail = self.trails[host]
            for ttl in self._wanted(trail):
                for query in range(self._queries):
                    if len(asks) >= room:
                        return asks
                    if (ttl, query) not in trail.sent:
                        trail.sent[ttl, query] = now
                        asks.append(Ask(host, ttl, query))
        return asks

    def feed(self, ask: Ask, reply: Reply) -> None:
        """Take a reply; the first one to a probe counts, a late one too."""
        trail = self.trails.get(ask.host)
        if trail is None or (ask.ttl, ask.query) not in trail.sent:
            return
        cells = trail.cells.setdefault(ask.ttl, {})
        if cells.get(ask.query) is not None:
            return
        cells[ask.query] = reply
        if reply.kind != "expired":
            trail.end = min(trail.end or ask.ttl, ask.ttl)
            trail.reached = trail.reached or reply.kind == "reached"

    def advance(self, now: int) -> list[int]:
        """Give up what waited too long; return the hosts whose paths are known now."""
        finished: list[int] = []
        for host in list(self._active):
            trail = self.trails[host]
            for (ttl, query), sent in trail.sent.items():
                if now - sent >= self._wait_ns:
                    trail.cells.setdefault(ttl, {}).setdefault(query, None)
            self._go_back(trail)
            self._look_for_end(trail)
            if not trail.back and trail.end and self._complete_to(trail, trail.end):
                finished.append(host)
                self._finish(host, trail)
        return finished

    def deadline(self, now: int) -> int:
        """Return when the next probe is given up; `now` if none is under way."""
        waiting = [
            sent + self._wait_ns for host in self._active
            for (ttl, query), sent in self.trails[host].sent.items()
            if query not in self.trails[host].cells.get(ttl, {})
        ]
        return min(waiting, default=now)

    # -- one path --------------------------------------------------------------------------

    def _wanted(self, trail: Trail) -> list[int]:
        front = trail.start
        while self._complete(trail, front):
            front += 1
        last = min(trail.end or self._hops_max, front + WINDOW_HOPS - 1, self._hops_max)
        back = [trail.back] if trail.back else []
        return [*back, *range(front, last + 1)]

    def _complete(self, trail: Trail, ttl: int) -> bool:
        return len(trail.cells.get(ttl, ())) == self._queries

    def _complete_to(self, trail: Trail, end: int) -> bool:
        return all(self._complete(trail, ttl) for ttl in range(1, end + 1))

    def _go_back(self, trail: Trail) -> None:
        while trail.back and self._complete(trail, trail.back):
            owners = [
                self._known[reply.addr, trail.back] for reply in trail.replies(trail.back)
                if reply.kind == "expired" and (reply.addr, trail.back) in self._known
            ]
            if owners:
                trail.shared = trail.back - 1
                for ttl in range(1, trail.back):
                    trail.cells[ttl] = dict(self.trails[owners[0]].cells[ttl])
                trail.back = 0
            else:
                trail.back -= 1

    def _look_for_end(self, trail: Trail) -> None:
        if trail.end:
            return
        ttl, silent = trail.start, 0
        while self._complete(trail, ttl):
            silent = 0 if trail.replies(ttl) else silent + 1
            if silent >= GAP_HOPS or ttl >= self._hops_max:
                trail.end = ttl
                return
            ttl += 1

    def _finish(self, host: int, trail: Trail) -> None:
        self._active.remove(host)
        for ttl, replies, _ in trail.hops():
            for reply in replies:
                if reply.kind == "expired":
                    self._known.setdefault((reply.addr, ttl), host)
        group = self._groups[host]
        if self._leader[group] != host:
            return
        start = max(1, trail.end - 1) if trail.reached else 1
        for other, its_group in enumerate(self._groups):
            if its_group == group and other != host:
                self._begin(other, Trail(start=start, back=start - 1))
