"""The tables that SQL can ask, made of captures and charts when a query names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.drive.capture import Batch, Capture
from portulan.errors import UsageError
from portulan.store.chart import Chart
from portulan.store.sql import ABSENT, Source
from portulan.store.tables import columns
from portulan.traffic.flows import FlowTable
from portulan.wire.columns import dtype_of, numbered, text

Columns = dict[str, NDArray[Any]]

_PACKET: Final = {
    "number": "frame.number", "time_ns": "frame.time_ns", "length": "frame.length",
    "src": "ip.src", "dst": "ip.dst", "src6": "ip6.src", "dst6": "ip6.dst"}
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "packets": {
        **_PACKET, "ttl": "ip.ttl", "tcp_sport": "tcp.sport", "tcp_dport": "tcp.dport",
        "tcp_flags": "tcp.flags", "udp_sport": "udp.sport", "udp_dport": "udp.dport"},
    "layers": {**_PACKET, "protocols": "frame.protocols"},
    "dns": {
        **_PACKET, "id": "dns.id", "answer": "dns.qr", "rcode": "dns.rcode", "name": "dns.qname",
        "type": "dns.qtype", "answers": "dns.answers"},
    "http": {
        **_PACKET, "method": "http.method", "target": "http.target", "host": "http.host",
        "status": "http.status", "user_agent": "http.user_agent", "server": "http.server",
        "content_type": "http.content_type"},
    "tls": {
        **_PACKET, "handshake": "tls.handshake", "sni": "tls.sni", "alpn": "tls.alpn",
        "cipher": "tls.cipher", "ja3": "tls.ja3_hash", "ja4": "tls.ja4"},
}
"""Column -> field, one row a packet; IPv6 addresses go to `src` and `dst`, too."""
_MARKS: Final = {"dns": ("id",), "http": ("method", "status"), "tls": ("handshake",)}
"""Which columns say that a packet has a row at all."""
CHART_TABLES: Final = ("hosts", "ports", "services")


def sources(
    names: Sequence[str], *, tell: Callable[[str], None] = lambda damage: None
) -> dict[str, Source]:
    """Return what makes each table, of captures by their path and charts by id or folder.

    Without a name the newest chart is meant. Where a capture is damaged `tell` gets a line, each
    time it was read. Raises `UsageError` for what is neither capture nor chart.
    """
    captures = [Capture(name) for name in names if Path(name).is_file()]
    which = [name for name in names if not Path(name).is_file()]
    charts = [Chart.open(name) for name in which or ([] if names else ["last"])]
    made: dict[str, Source] = {
        name: partial(_of_captures, name, captures, tell) for name in ("flows", *FIELDS)}
    return made | {name: partial(_of_charts, name, charts) for name in CHART_TABLES}


def _of_charts(name: str, charts: Sequence[Chart]) -> Columns:
    if not charts:
        raise UsageError("this table needs a chart", text=name, hint="name one, or last")
    parts = [columns(chart.findings, name) for chart in charts]  # type: ignore[arg-type]
    return {column: _plain(np.concatenate([part[column] for part in parts]))
            for column in parts[0] if not column.startswith("addr_") and column != "rest"}


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return lists as text, for SQL to search in."""
    if values.dtype != object:
        return values
    return _texts([_joined(value) for value in values.tolist()])


def _joined(value: Any) -> Any:  # noqa: ANN401
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _of_captures(
    name: str, captures: Sequence[Capture], tell: Callable[[str], None]
) -> Columns:
    if not captures:
        raise UsageError("this table needs a capture", text=name, hint="name a file")
    found = flow_columns(captures) if name == "flows" else packet_columns(captures, name)
    for capture in captures:
        if capture.damage:
            tell(capture.damage)
    return found


def flow_columns(captures: Sequence[Capture]) -> Columns:
    """Return the flows of captures, counted together, as columns; `number` is from 1."""
    table = FlowTable()
    for capture in captures:
        for frames in capture.frames():
            table.add(frames)
    found: Columns = dict(table.columns())
    flows = [asdict(flow) for flow in table.flows()]
    for name in ("src", "dst"):
        found[name] = _texts([flow[name] for flow in flows])
    found["protocol"] = _texts([str(flow["protocol"]) for flow in flows])
    return {"number": np.arange(1, len(flows) + 1), **found}


def packet_columns(captures: Sequence[Capture], name: str) -> Columns:
    """Return a table of FIELDS: columns of one row a packet, None where it has no such field."""
    fields = FIELDS[name]
    parts = [_rows(batch, fields, _MARKS.get(name, ())) for batch in _batches(captures)]
    found = {
        column: [value for part in parts for value in part[column]] for column in fields}
    for end in ("src", "dst"):
        found[end] = [old or new for old, new in
                      zip(found[end], found.pop(f"{end}6"), strict=True)]
    if name == "packets":
        for end in ("sport", "dport"):
            pairs = zip(found.pop(f"tcp_{end}"), found.pop(f"udp_{end}"), strict=True)
            found[end] = [udp if tcp is None else tcp for tcp, udp in pairs]
    texts = {column for column, field in fields.items() if _is_text(field)}
    return {
        column: _texts(values) if column in texts else _numbers(values)
        for column, values in found.items()}


def _is_text(field: str) -> bool:
    return dtype_of(field).kind == "O" or field.endswith((".src", ".dst"))


def _batches(captures: Sequence[Capture]) -> Iterator[Batch]:
    for capture in captures:
        yield from capture.batches()


def _rows(batch: Batch, fields: Mapping[str, str], marks: Sequence[str]) -> dict[str, list[Any]]:
    found = numbered(batch.frames, list(fields.values()), batch.numbers)
    rows: NDArray[Any] = np.arange(len(batch.frames))
    if marks:
        there = [~np.ma.getmaskarray(found[fields[mark]]) for mark in marks]
        rows = np.flatnonzero(np.logical_or.reduce(there))
    return {
        column: _values(found[field][rows].tolist(), field) for column, field in fields.items()}


def _values(values: list[Any], field: str) -> list[Any]:
    show: Callable[[Any], Any] = partial(text, field) if field.startswith("ip") and field.endswith(
        (".src", ".dst")) else lambda value: value
    shown: dict[Any, Any] = {}
    values = [_joined(value) for value in values]
    for value in values:
        if value is not None and value not in shown:
            shown[value] = show(value)
    return [None if value is None else shown[value] for value in values]


def _texts(values: list[Any]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _numbers(values: list[Any]) -> NDArray[np.int64]:
    return np.array([ABSENT if value is None else value for value in values], np.int64)
