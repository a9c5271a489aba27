"""Pictures of captures: a table's bars and lines, and how one connection's numbers grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.render.picture import Picture, Series
from portulan.traffic.flows import FlowTable
from portulan.wire.columns import numbered


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a table is drawn: what labels a bar or stands on the x axis, and what is its size."""

    title: str
    labels: tuple[str, ...]
    value: str
    line: bool = False


DRAWN: Final[Mapping[str, Drawn]] = {
    "io": Drawn("Bytes in each second", ("second",), "bytes", line=True),
    "talkers": Drawn("Who talks most", ("address",), "bytes"),
    "endpoints": Drawn("Endpoints", ("address",), "bytes"),
    "conversations": Drawn("Conversations", ("a", "b"), "bytes"),
    "hierarchy": Drawn("Protocols", ("protocols",), "bytes"),
    "ports": Drawn("Ports that were asked", ("protocol", "port", "application"), "bytes"),
    "lengths": Drawn("Lengths of packets", ("from_bytes", "to_bytes"), "packets"),
    "rtt": Drawn("Round trips of handshakes, ms", ("from_ms", "to_ms"), "flows"),
    "expert": Drawn("What an expert would point at", ("kind",), "times"),
    "dns": Drawn("Names that were asked for", ("name", "type"), "queries"),
    "http": Drawn("What was asked of web servers", ("method", "host", "target"), "times"),
    "tls": Drawn("Names in TLS hellos", ("sni",), "hellos"),
    "icmp": Drawn("ICMP messages", ("protocol", "meaning"), "packets"),
}


def table_picture(what: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Picture:
    """Return the picture of a table's rows; raises `UsageError` for a table that has none."""
    drawn = DRAWN.get(what)
    if drawn is None:
        raise UsageError("no picture of this table", text=what,
                         hint=f"there are pictures of {', '.join(DRAWN)}")
    place = {name: at for at, name in enumerate(columns)}
    value, labels = place[drawn.value], [place[name] for name in drawn.labels]
    if drawn.line:
        return Picture(drawn.title, x=drawn.labels[0], y=drawn.value, series=[Series(
            drawn.value, _filled([(row[labels[0]], float(row[value])) for row in rows]))])
    bars = [(" ".join(str(row[at]) for at in labels if row[at] is not None), float(row[value]))
            for row in rows]
    return Picture(drawn.title, x=drawn.value, bars=bars)


def _filled(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the points with zeros before and behind each gap, where nothing was seen."""
    found: list[tuple[float, float]] = []
    for x, y in points:
        if found and x - found[-1][0] > 1:
            found += [(found[-1][0] + 1, 0.0), (x - 1, 0.0)]
        found.append((float(x), y))
    return found


def sequence_picture(capture: Capture, number: int) -> Picture:
    """Return how the sequence numbers of flow `number` grew with time, a colour a direction.

    A step up is new data, points on the same height are sent again. Raises `UsageError` if there
    is no such flow, or if it is not TCP.
    """
    table, found = FlowTable(), _Points()
    for batch in capture.batches():
        rows = np.flatnonzero(table.add(batch.frames) == number - 1)
        if len(rows):
            some = batch.take(rows)
            found.add(numbered(some.frames, ["tcp.seq", "tcp.sport", "tcp.payload_length"],
                               some.numbers), some.frames.time_ns)
    if not 1 <= number <= len(table):
        raise UsageError("no such flow in the capture", text=str(number), where="--flow",
                         hint="see: portulan flows")
    flow = next(table.flows([number - 1]))
    if flow.protocol != "tcp":
        raise UsageError("only TCP has sequence numbers", text=str(number), where="--flow")
    ends = (f"{flow.src}:{flow.sport}", f"{flow.dst}:{flow.dport}")
    series = [Series(f"from {name}", found.of(port), "dots")
              for name, port in zip(ends, (flow.sport, flow.dport), strict=True)]
    return Picture(f"{ends[0]} and {ends[1]}: octets sent", x="seconds", y="sequence number",
                   series=[each for each in series if each.points])


class _Points:
    """Time and end of each segment, by the port it came from."""

    def __init__(self) -> None:
        self._by_port: dict[int, list[tuple[int, int]]] = {}

    def add(self, fields: Mapping[str, Any], time_ns: Any) -> None:  # noqa: ANN401 - columns
        rows = zip(time_ns.tolist(), *(
            fields[name].tolist() for name in ("tcp.sport", "tcp.seq", "tcp.payload_length")),
            strict=True)
        for when, port, seq, size in rows:
            if port is not None and seq is not None:
                self._by_port.setdefault(port, []).append((when, seq + (size or 0)))

    def of(self, port: int) -> list[tuple[float, float]]:
        """Return one side's points, time and number from where it began."""
        points = self._by_port.get(port, [])
        began = min((when for each in self._by_port.values() for when, _ in each), default=0)
        base = points[0][1] if points else 0
        # The short way around: numbers wrap at 2**32 (RFC 9293 section 3.4).
        return [((when - began) / 1e9, float((seq - base + (1 << 31)) % (1 << 32) - (1 << 31)))
                for when, seq in points]


