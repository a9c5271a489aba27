"""A chart as a Python user holds it: what a run found, as records, columns and SQL tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from portulan.errors import printable
from portulan.record import AnyEvent, Connection, End, Hop, Host, Note, Os, Port, Run, Service

from .charts import ChartFolder, Charts
from .findings import Findings, TableName, address_key, port_key
from .journal import Damage, read_events

if TYPE_CHECKING:
    import duckdb

    from .tables import Columns

HTML_ROWS = 100
"""Rows a notebook shows; a browser needs seconds for tens of thousands."""


class Chart:
    """What a run found. It may still be running: every look reads what was added since.

    An empty chart is true: truth says that there is a chart, `len` how many ports are listed.
    """

    def __init__(self, folder: ChartFolder) -> None:
        self.folder = folder
        self._seen = -1
        self._events: list[AnyEvent] = []
        self._damage: list[Damage] = []
        self._findings = Findings.of([])

    @classmethod
    def open(cls, which: str | Path = "last", *, charts: Charts | None = None) -> Chart:
        """Open a chart by id, by an id's beginning, as `last`, or by the path of its folder.

        Raises `UsageError` if there is none, `DiskError` if it cannot be read.
        """
        path = Path(which)
        if isinstance(which, Path) or os.sep in which or (path / "events.jsonl").is_file():
            folder = ChartFolder(path.resolve())
        else:
            folder = (charts or Charts()).find(which)
        chart = cls(folder)
        chart._look()
        return chart

    @property
    def id(self) -> str:
        """The chart's id: the name of its folder."""
        return self.folder.id

    @property
    def evidence(self) -> Path:
        """Where the packets are that `Port.frames` count; absent if none were kept."""
        return self.folder.evidence

    @property
    def damage(self) -> list[Damage]:
        """What is wrong with the journal; empty as a rule."""
        self._look()
        return self._damage

    @property
    def findings(self) -> Findings:
        """The sum of all events so far."""
        self._look()
        return self._findings

    @property
    def run(self) -> Run | None:
        """What was asked, and how it was done."""
        return self.findings.run

    @property
    def end(self) -> End | None:
        """How the run ended and what it cost; None while it goes on, and after a kill."""
        return self.findings.end

    @property
    def complete(self) -> bool:
        """Whether the run came to its own end."""
        return self.end is not None and self.end.reason == "done"

    @property
    def hosts(self) -> list[Host]:
        """The hosts, by address."""
        return sorted(self.findings.hosts.values(), key=lambda host: address_key(host.addr))

    @property
    def ports(self) -> list[Port]:
        """The ports that are listed one by one, by address, protocol and number."""
        return sorted(self.findings.ports.values(), key=port_key)

    @property
    def services(self) -> list[Service]:
        """What runs behind ports, in the same order."""
        return sorted(self.findings.services.values(), key=port_key)

    @property
    def systems(self) -> list[Os]:
        """What systems the hosts seem to run, by address."""
        return sorted(self.findings.systems.values(), key=lambda system: address_key(system.addr))

    @property
    def notes(self) -> list[Note]:
        """What checks said, in order of time."""
        return list(self.findings.notes)

    def paths(self) -> dict[str, list[Hop]]:
        """Return the hops to each host that was traced, in order."""
        paths: dict[str, list[Hop]] = {}
        for (target, _), hop in sorted(self.findings.hops.items(), key=_hop_key):
            paths.setdefault(target, []).append(hop)
        return paths

    @property
    def connections(self) -> list[Connection]:
        """The connections of a listener, a relay or a proxy, in the order of their ends."""
        return list(self.findings.connections)

    def open_ports(self) -> list[Port]:
        """Return the open ports, by address, protocol and number."""
        return self.findings.open_ports()

    def events(self) -> list[AnyEvent]:
        """Return every event in the order it was kept."""
        self._look()
        return list(self._events)

    def columns(self, table: TableName) -> Columns:
        """Return hosts, ports, services, systems or notes as NumPy columns of one length.

        Raises `UsageError` if there is no such table.
        """
        from .tables import columns

        return columns(self.findings, table)

    def sql(self, query: str) -> duckdb.DuckDBPyRelation | None:
        """Run SQL over the tables hosts, ports, services, systems, notes; lazy, as DuckDB's are.

        Take the rows with `.fetchall()`, `.fetchnumpy()`, `.df()`; None if the statement yields
        none. Raises `UsageError` if the query is wrong.
        """
        from . import tables

        kept = tables.kept_parquet(self.folder)
        return tables.query(query, tables=kept or tables.all_columns(self.findings))

    def __len__(self) -> int:
        return len(self.findings.ports)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Port]:
        return iter(self.ports)

    def __repr__(self) -> str:
        targets = printable(" ".join(self.run.targets), 40) if self.run else "?"
        count = sum(port.state == "open" for port in self.findings.ports.values())
        state = self.end.reason if self.end else "not ended"
        up = self.findings.hosts_up()
        return f"<Chart {self.id}: {targets}, {up} hosts up, {count} ports open, {state}>"

    def _repr_html_(self) -> str:
        head = ("address", "port", "state", "reason", "service", "frames")
        services = self.findings.services
        rows = []
        for port in self.ports[:HTML_ROWS]:
            key = (port.addr, port.port, port.protocol)
            name = _service_text(services[key]) if key in services else ""
            frames = ", ".join(map(str, port.frames))
            number = f"{port.port}/{port.protocol}"
            rows.append(_row("td", (port.addr, number, port.state, port.reason, name, frames)))
        more = len(self) - len(rows)
        foot = f"<p>and {more} more ports</p>" if more > 0 else ""
        title = escape(printable(repr(self), 300))
        return f"<p>{title}</p><table>{_row('th', head)}{''.join(rows)}</table>{foot}"

    def _look(self) -> None:
        """Read the journal again if it has grown."""
        try:
            size = self.folder.journal.stat().st_size
        except OSError:
            size = -2  # `read_events` says what is wrong
        if size != self._seen:
            self._events, self._damage = read_events(self.folder.journal)
            self._findings = Findings.of(self._events)
            self._seen = size


def _hop_key(item: tuple[tuple[str, int], Hop]) -> tuple[bytes, int]:
    (target, ttl), _ = item
    return address_key(target), ttl


def _service_text(service: Service) -> str:
    return " ".join(filter(None, (service.name, service.product, service.version)))


def _row(tag: str, cells: tuple[str, ...]) -> str:
    inner = "".join(f"<{tag}>{escape(printable(cell))}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
