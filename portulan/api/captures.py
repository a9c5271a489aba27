"""Captures as Python users have them: packets, and the tables made of them.

>>> import portulan
>>> from portulan.wire import DNS, IPv4, UDP, Ethernet
>>> from portulan.link.pcap import PcapWriter
>>> from portulan.wire.frames import Frames
>>> import io
>>> ask = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=53) / DNS.query("a.example")
>>> file = io.BytesIO()
>>> PcapWriter(file, link_type=1).write(Frames.of([ask.pack()]))
1
>>> _ = file.seek(0)
>>> Capture(file).flows()["application"].tolist()
['dns']
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from portulan.api.table import Table, relation
from portulan.api.tables import capture_sources
from portulan.drive import capture, capture_merge, live
from portulan.errors import UsageError
from portulan.store.sql import Source

if TYPE_CHECKING:
    from portulan.store.sql import Relation


class Tables(capture.Capture):
    """The tables of a capture; each is read from the packets when its columns are asked for."""

    def table(self, name: str) -> Table:
        """Return packets, layers, flows, streams, dns, http or tls as a table.

        Raises `UsageError` for another name.
        """
        tables = self._sources()
        if name not in tables:
            raise UsageError("no such table", text=name, hint=", ".join(tables))
        return Table(name, tables[name])

    def flows(self) -> Table:
        """Return who talked to whom, one row a flow, see `traffic.flows.Flow`."""
        return self.table("flows")

    def streams(self) -> Table:
        """Return what both sides of each TCP connection said, one row a flow, held in memory."""
        return self.table("streams")

    def dns(self) -> Table:
        """Return DNS messages; answers know how long they took."""
        return self.table("dns")

    def http(self) -> Table:
        """Return requests and answers of HTTP/1."""
        return self.table("http")

    def tls(self) -> Table:
        """Return TLS handshake messages: names asked for, fingerprints."""
        return self.table("tls")

    def sql(self, query: str) -> Relation:
        """Run SQL over the tables that `table` knows; only what is named is made.

        Take rows with `.fetchall()` or `.fetchnumpy()`. Raises `UsageError` if the query is wrong.
        """
        return relation(query, self._sources())

    def _sources(self) -> Mapping[str, Source]:
        return capture_sources([self])


class Capture(Tables):
    """A capture file, see `drive.capture.Capture`."""

    def _sources(self) -> Mapping[str, Source]:
        origin = self._origin
        if not self.rereadable or self._steps or not isinstance(origin, str | os.PathLike):
            return capture_sources([self])
        return capture_sources([self], [os.fspath(origin)])


class Merged(Tables, capture_merge.Merged):
    """Several captures as one, by time."""


class LiveCapture(Tables, live.LiveCapture):
    """Packets as they pass: they can be read once, so one table can be made of them."""
