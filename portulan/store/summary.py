"""One line about a chart, without reading all of it where its first and last line will do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from portulan.record import AnyEvent, End, Run

from .charts import ChartFolder
from .disk import DiskError
from .findings import Findings
from .journal import Damage, decode_lines, read_events

State: TypeAlias = Literal["done", "interrupted", "running", "damaged"]

EDGE_BYTES = 1 << 16
"""Read from each end of a journal: `run` and `end` lines are far shorter."""

SMALL_BYTES = 1 << 20
"""Journals up to this size are read whole, and so checked: 20 ms."""


LEDGERS = frozenset({"listen", "relay", "proxy"})
"""Verbs whose charts hold connections."""

CONNECTION = b'"type":"connection"'
"""In such a line only: a quote in the text of others is escaped."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of charts shows of one."""

    id: str
    started: str
    """RFC 3339, UTC; empty if the journal's beginning is lost."""
    targets: list[str]
    hosts_up: int
    open: int
    state: State
    size_bytes: int
    connections: int = 0
    """What a listener, a relay or a proxy kept."""
    verb: str = ""
    """`listen`, `relay`, `proxy`, or how a scan asked."""


def summarize(folder: ChartFolder) -> Summary:
    """Return a chart's line; a chart that cannot be read is `damaged`, never an error.

    A large journal that ended is looked at from both ends only: damage in its middle is found by
    opening it.
    """
    try:
        run, end, damage = _ends(folder.journal)
    except DiskError:
        run, end, damage = None, None, [Damage(1, 0, "unreadable")]
    found = (end.hosts_up, end.open) if end else (0, 0)
    if not end:
        found, damage = _count(folder.journal)
    running = folder.writer() is not None
    return Summary(
        id=folder.id, started=run.started if run else "", targets=run.targets if run else [],
        hosts_up=found[0], open=found[1],
        state="running" if running else _state(run, end, damage), size_bytes=folder.size_bytes(),
        verb=run.method if run else "", connections=_connections(folder.journal, run),
    )


def _connections(path: Path, run: Run | None) -> int:
    """Return how many connections a ledger holds; of scans, whose journals have none, 0."""
    if run is None or run.method not in LEDGERS:
        return 0
    try:
        with path.open("rb") as file:
            return sum(CONNECTION in line for line in file)
    except OSError:
        return 0


def _state(run: Run | None, end: End | None, damage: list[Damage]) -> State:
    if damage or not run:
        return "damaged"
    return "done" if end and end.reason == "done" else "interrupted"


def _ends(path: Path) -> tuple[Run | None, End | None, list[Damage]]:
    try:
        size = path.stat().st_size
        if size <= SMALL_BYTES:
            events, damage = read_events(path)
        else:
            events, damage = _edges(path), []
    except OSError as error:
        raise DiskError(error, path) from error
    run = events[0] if events and isinstance(events[0], Run) else None
    end = events[-1] if events and isinstance(events[-1], End) else None
    return run, end, damage


def _edges(path: Path) -> list[AnyEvent]:
    """Return the first event, if it can be read, and the whole ones near the end."""
    with path.open("rb") as file:
        first = file.readline(EDGE_BYTES)
        file.seek(-EDGE_BYTES, 2)
        last = file.read().partition(b"\n")[2]
    return decode_lines(first + last[: last.rfind(b"\n") + 1])[0]


def _count(path: Path) -> tuple[tuple[int, int], list[Damage]]:
    """Return hosts up and open ports of a journal that says no sum itself, and its damage."""
    try:
        events, damage = read_events(path)
    except DiskError:
        return (0, 0), [Damage(1, 0, "unreadable")]
    findings = Findings.of(events)
    open_ports = sum(port.state == "open" for port in findings.ports.values())
    return (findings.hosts_up(), open_ports), damage
