"""The tables that SQL can ask, made of captures and charts when a query names them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan import __version__
from portulan.api.expert import COLUMNS as EXPERT
from portulan.api.expert import expert_columns
from portulan.api.systems import COLUMNS as SYSTEMS
from portulan.api.systems import system_columns
from portulan.api.words import Words
from portulan.drive.capture import Batch, Capture
from portulan.drive.flowing import gathered
from portulan.errors import UsageError
from portulan.store.chart import Chart
from portulan.store.sidecar import Sidecar, write_sidecar
from portulan.store.sql import ABSENT, Source
from portulan.store.tables import TABLES, columns
from portulan.traffic.contents import COLUMNS as CONTENTS
from portulan.traffic.contents import Contents
from portulan.traffic.flows import BASE, FlowTable
from portulan.traffic.names import COLUMNS as NAMES
from portulan.traffic.names import Names
from portulan.traffic.quality import COLUMNS as QUALITY
from portulan.traffic.quality import Quality
from portulan.wire.columns import Masked, decoder, dtype_of, numbered
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import locate

Columns = dict[str, NDArray[Any]]

_PACKET: Final = {
    "number": ("frame.number",), "time_ns": ("frame.time_ns",), "length": ("frame.length",),
    "src": ("ip.src", "ip6.src"), "dst": ("ip.dst", "ip6.dst")}
FIELDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "packets": {
        **_PACKET, "ttl": ("ip.ttl",), "tcp_flags": ("tcp.flags",),
        "sport": ("tcp.sport", "udp.sport"), "dport": ("tcp.dport", "udp.dport")},
    "layers": {**_PACKET, "protocols": ("frame.protocols",)},
    "dns": {
        **_PACKET, "sport": ("tcp.sport", "udp.sport"), "dport": ("tcp.dport", "udp.dport"),
        "id": ("dns.id",), "answer": ("dns.qr",), "rcode": ("dns.rcode",),
        "name": ("dns.qname",), "type": ("dns.qtype",), "answers": ("dns.answers",)},
    "http": {
        **_PACKET, "method": ("http.method",), "target": ("http.target",), "host": ("http.host",),
        "status": ("http.status",), "user_agent": ("http.user_agent",),
        "server": ("http.server",), "content_type": ("http.content_type",)},
    "tls": {
        **_PACKET, "handshake": ("tls.handshake",), "sni": ("tls.sni",), "alpn": ("tls.alpn",),
        "cipher": ("tls.cipher",), "ja3": ("tls.ja3_hash",), "ja4": ("tls.ja4",)},
    "arp": {
        "number": ("frame.number",), "time_ns": ("frame.time_ns",),
        "operation": ("arp.operation",), "sender": ("arp.spa",), "sender_mac": ("arp.sha",),
        "target": ("arp.tpa",), "target_mac": ("arp.tha",)},
    "icmp": {
        **_PACKET, "type": ("icmp.type", "icmpv6.type"), "code": ("icmp.code", "icmpv6.code"),
        "ipv6": ("icmpv6.type",)},
    "dhcp": {
        **_PACKET, "message": ("dhcp.message",), "mac": ("dhcp.chaddr",), "id": ("dhcp.xid",),
        "address": ("dhcp.yiaddr",), "server": ("dhcp.server",), "host": ("dhcp.hostname",),
        "requested": ("dhcp.requested",), "lease_s": ("dhcp.lease_s",)},
}
"""Column -> fields, one row a packet; of several fields the first that a packet has."""
LATENCY: Final = "latency_ns"
"""Of a DNS answer: how long after its question it came."""
LATENCY_NEEDS: Final = ("time_ns", "src", "dst", "sport", "dport", "id", "answer", "name")
INDEXED: Final = ("packets", "dns", "http", "tls")
"""Tables of packets that an index keeps, beside flows."""
_MARKS: Final = {
    "dns": ("id",), "http": ("method", "status"), "tls": ("handshake",), "arp": ("operation",),
    "icmp": ("type", "ipv6"), "dhcp": ("message",)}
"""Which columns say that a packet has a row at all."""
_ADDRESSES: Final = (
    ".src", ".dst", ".spa", ".tpa", ".sha", ".tha", ".chaddr", ".yiaddr")
"""Fields that SQL has as text, not as numbers."""
_TEXTS: Final = ("src", "dst", "protocol", "application", "sni", "alpn", "ja3", "ja4", "state",
                 "history")
FLOW_TYPES: Final[Mapping[str, str]] = {
    name: "VARCHAR" if name in _TEXTS else "BIGINT"
    for name in ("number", *BASE, "vlan", "flags_fwd", "flags_rev", *NAMES, *QUALITY)}
"""What is known of a flow, and its SQL type."""
STREAM_TYPES: Final[Mapping[str, str]] = {
    "number": "BIGINT", "src": "VARCHAR", "dst": "VARCHAR", "sport": "BIGINT", "dport": "BIGINT",
    "start_ns": "BIGINT", "end_ns": "BIGINT", "data_fwd": "BLOB", "data_rev": "BLOB",
    "missing_fwd": "BIGINT", "missing_rev": "BIGINT"}
"""What is known of a TCP connection's contents; `number` is that of its flow."""
_PARTS: Final = ((frozenset(NAMES), Names), (frozenset(QUALITY), Quality))
"""What a flow table needs to know these columns."""
INDEX_VERSION: Final = f"{__version__} 1 " + ",".join(
    [*FLOW_TYPES, *(column for name in INDEXED for column in FIELDS[name])])
"""An index of other columns, or of another version of this package, is made anew."""
_FIRST_OCTETS: Final = {
    "http": np.isin(np.arange(256), np.arange(ord("A"), ord("Z") + 1)),
    "tls": np.isin(np.arange(256), (20, 21, 22))}
"""What a TCP payload of this kind can begin with: for TLS a record that has no data yet."""
CHART_TABLES: Final = ("hosts", "ports", "services")


def sources(
    names: Sequence[str], *, tell: Callable[[str], None] = lambda damage: None
) -> dict[str, Source]:
    """Return what makes each table, of captures by their path and charts by id or folder.

    Without a name the newest chart is meant. Where a capture is damaged `tell` gets a line, each
    time it was read. Raises `UsageError` for what is neither capture nor chart.
    """
    files = [name for name in names if Path(name).is_file()]
    which = [name for name in names if not Path(name).is_file()]
    charts = [Chart.open(name) for name in which or ([] if names else ["last"])]
    return capture_sources(list(map(Capture, files)), files, tell=tell) | {
        name: Source(_chart_types(name), partial(_of_charts, name, charts))
        for name in CHART_TABLES}


def capture_sources(
    captures: Sequence[Capture], files: Sequence[str] = (), *,
    tell: Callable[[str], None] = lambda damage: None,
) -> dict[str, Source]:
    """Return what makes the tables of captures, counted together.

    `files` are those that the captures are all of, if so: their indexes are used.
    """
    return {name: Source(types, partial(_of_captures, name, captures, files, tell))
            for name, types in _capture_types().items()}


def _capture_types() -> dict[str, dict[str, str]]:
    tables = {name: {column: _type(fields[0]) for column, fields in table.items()}
              for name, table in FIELDS.items()}
    tables["dns"][LATENCY] = "BIGINT"
    made = {"flows": FLOW_TYPES, "streams": STREAM_TYPES, "expert": EXPERT, "systems": SYSTEMS}
    return {name: dict(types) for name, types in made.items()} | tables


def _type(field: str) -> str:
    return "VARCHAR" if dtype_of(field).kind == "O" or (decoder(field) and _is_address(
        field)) else "BIGINT"


def _is_address(field: str) -> bool:
    return field.endswith(_ADDRESSES)


def _chart_types(name: str) -> dict[str, str]:
    return {
        column.name: "VARCHAR" if column.sql.endswith("[]") else column.sql
        for column in TABLES[name]  # type: ignore[index]
        if not column.name.startswith("addr_") and column.name != "rest"}


def _of_charts(name: str, charts: Sequence[Chart], needed: Collection[str]) -> Columns:
    if not charts:
        raise UsageError("this table needs a chart", text=name, hint="name one, or last")
    parts = [columns(chart.findings, name) for chart in charts]  # type: ignore[arg-type]
    return {column: _plain(np.concatenate([part[column] for part in parts]))
            for column in needed}


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return lists as text, for SQL to search in."""
    return Words.plain(values) if values.dtype == object else values


def _of_captures(
    name: str, captures: Sequence[Capture], files: Sequence[str], tell: Callable[[str], None],
    needed: Collection[str],
) -> Columns:
    if not captures:
        raise UsageError("this table needs a capture", text=name, hint="name a file")
    kept = _kept(name, files, tell, needed)
    if kept is not None:
        return kept
    made = {"flows": flow_columns, "streams": stream_columns, "expert": expert_columns,
            "systems": system_columns}.get(name)
    found = made(captures, needed) if made else packet_columns(captures, name, needed)
    for capture in captures:
        if capture.damage:
            tell(capture.damage)
    return found


def _kept(
    name: str, files: Sequence[str], tell: Callable[[str], None], needed: Collection[str]
) -> Columns | None:
    """Return columns out of the files' indexes; None unless all have one."""
    if not files or (name == "flows" and len(files) > 1):
        return None  # flows of several captures are counted together
    parts, damage = [], []
    for file in files:
        index = Sidecar.open(file, INDEX_VERSION)
        part = None if index is None else index.columns(name, needed)
        if index is None or part is None:
            return None
        damage += [index.damage] if index.damage else []
        parts.append(part)
    for line in damage:
        tell(line)
    if len(parts) == 1:
        return parts[0]
    return {column: np.concatenate([part[column] for part in parts]) for column in needed}


def keep_index(names: Sequence[str]) -> None:
    """Write the indexes of captures that have none that is fresh, see `store.sidecar`.

    Raises `DiskError` where the folder cannot be written.
    """
    for name in names:
        if Path(name).is_file() and Sidecar.open(name, INDEX_VERSION) is None:
            capture = Capture(name)
            tables = {"flows": flow_columns([capture])} | {
                table: packet_columns([capture], table) for table in INDEXED}
            write_sidecar(name, tables, version=INDEX_VERSION, damage=capture.damage)


def flow_columns(
    captures: Sequence[Capture], needed: Collection[str] | None = None
) -> Columns:
    """Return columns of FLOW_TYPES, one row a flow, the captures counted together."""
    wanted = [name for name in FLOW_TYPES if needed is None or name in needed]
    table = FlowTable([make() for columns, make in _PARTS if not columns.isdisjoint(wanted)])
    for capture in captures:
        for frames in gathered(capture.frames()):
            table.add(frames)
    found: Columns = dict(table.columns())
    if {"src", "dst"} & set(wanted):
        found["src"], found["dst"] = map(Words.plain, table.addresses())
    found["protocol"] = Words.plain(map(str, table.protocols()))
    return {name: found[name] for name in wanted}


def stream_columns(
    captures: Sequence[Capture], needed: Collection[str] | None = None
) -> Columns:
    """Return columns of STREAM_TYPES, one row a TCP flow; what was said is held in memory."""
    wanted = [name for name in STREAM_TYPES if needed is None or name in needed]
    table = FlowTable([Contents()] if not set(wanted).isdisjoint(CONTENTS) else [])
    for capture in captures:
        for frames in gathered(capture.frames()):
            table.add(frames)
    found: Columns = dict(table.columns())
    found["src"], found["dst"] = map(Words.plain, table.addresses())
    tcp = np.flatnonzero(found["protocol"] == IpProtocol.TCP)
    return {name: found[name][tcp] for name in wanted}


def packet_columns(
    captures: Sequence[Capture], name: str, needed: Collection[str] | None = None
) -> Columns:
    """Return columns of a table of FIELDS, one row a packet; only those needed if they are told.

    Numbers that a packet has not are ABSENT, texts None.
    """
    table = FIELDS[name]
    if name == "dns" and (needed is None or LATENCY in needed):
        made = packet_columns(captures, name, {*(needed or table), *LATENCY_NEEDS} - {LATENCY})
        return made | {LATENCY: latencies(made)}
    wanted = [column for column in table if needed is None or column in needed]
    marks = [table[mark][0] for mark in _MARKS.get(name, ())]
    fields = [*dict.fromkeys([field for column in wanted for field in table[column]] + marks)]
    makers: dict[str, Numbers | Words] = {
        column: Words() if _type(table[column][0]) == "VARCHAR" else Numbers()
        for column in wanted}
    for batch in _batches(captures, _FIRST_OCTETS.get(name)):
        found = numbered(batch.frames, fields, batch.numbers)
        rows = _marked(found, marks)
        for column in wanted:
            values = {field: found[field] if rows is None else found[field][rows]
                      for field in table[column]}
            makers[column].add(values)
    return {column: maker.array() for column, maker in makers.items()}


def latencies(dns: Columns) -> NDArray[np.int64]:
    """Return how long after its question each answer came, ABSENT for all other messages.

    Of a question asked again the first one counts; its answers each have their time.
    """
    asked: dict[tuple[Any, ...], int] = {}
    found = np.full(len(dns["id"]), ABSENT, np.int64)
    rows = zip(*(dns[name].tolist() for name in LATENCY_NEEDS), strict=True)
    for row, (time_ns, src, dst, sport, dport, number, answer, name) in enumerate(rows):
        if not answer:
            asked.setdefault((src, dst, sport, dport, number, name), time_ns)
        elif (key := (dst, src, dport, sport, number, name)) in asked:
            found[row] = max(0, time_ns - asked[key])
    return found


def _likely(frames: Frames, first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rows worth a dissection: TCP's payloads say by their first octet what they are.

    Rows whose headers are strange, and all but TCP, stay.
    """
    at = locate(frames)
    likely = np.ones(len(frames), np.bool_)
    tcp = at.of(IpProtocol.TCP)
    there = at.payload_offset[tcp] < at.payload_end[tcp]
    likely[tcp[~there]] = False
    tcp = tcp[there]
    likely[tcp] = first[frames.buffer[at.payload_offset[tcp]]]
    return np.flatnonzero(likely)


class Numbers:
    """A column of numbers that grows batch by batch."""

    def __init__(self) -> None:
        self._parts = [np.empty(0, np.int64)]

    def add(self, fields: Mapping[str, Masked]) -> None:
        """Append a batch: of several fields the first that is there."""
        found: NDArray[np.int64] | None = None
        for values in fields.values():
            there = ~np.ma.getmaskarray(values)
            if found is None:
                found = np.where(there, values.data, np.array(ABSENT, np.int64)).astype(np.int64)
            else:
                np.copyto(found, values.data, where=there & (found == ABSENT), casting="unsafe")
        if found is not None:
            self._parts.append(found)

    def array(self) -> NDArray[np.int64]:
        """Return the column."""
        return np.concatenate(self._parts)


def _marked(found: Mapping[str, Masked], marks: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the rows that have one of the fields; None for all rows."""
    if not marks:
        return None
    return np.flatnonzero(np.logical_or.reduce(
        [~np.ma.getmaskarray(found[mark]) for mark in marks]))


def _batches(
    captures: Sequence[Capture], first: NDArray[np.bool_] | None
) -> Iterator[Batch]:
    for capture in captures:
        for batch in capture.batches():
            yield batch if first is None else batch.take(_likely(batch.frames, first))
