"""Bodies out of all HTTP conversations of a capture, in one reading of the file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portulan.drive.capture import Batch, Capture
from portulan.traffic.flows import FlowTable
from portulan.traffic.keys import keys
from portulan.traffic.objects import HttpObjects, Object
from portulan.traffic.segments import segments_of
from portulan.traffic.streams import Segment, Stream
from portulan.wire.ipv4 import IpProtocol
from portulan.wire.locate import locate


class Exporter:
    """Follows every TCP conversation of a capture, or one of them, and reads HTTP in it."""

    def __init__(self, capture: Capture, flow: int | None = None) -> None:
        self._capture, self._wanted = capture, None if flow is None else flow - 1
        self._table = FlowTable()
        self._talks: dict[int, tuple[Stream, HttpObjects]] = {}

    def objects(self) -> Iterator[tuple[int, Object]]:
        """Yield bodies with the number of their flow, each as soon as it is whole."""
        for batch in self._capture.batches():
            touched = {}
            for flow, segment in self._segments(batch):
                talk = self._talks.setdefault(flow, (Stream(), HttpObjects()))
                talk[0].add(segment)
                touched[flow] = talk
            for flow, (stream, reader) in touched.items():
                for chunk in stream.take():
                    for found in reader.take(chunk):
                        yield flow + 1, found
        for flow, (stream, reader) in self._talks.items():
            for chunk in stream.take(final=True):
                for found in reader.take(chunk):
                    yield flow + 1, found
            for found in reader.end():
                yield flow + 1, found

    def _segments(self, batch: Batch) -> Iterator[tuple[int, Segment]]:
        """Yield the TCP segments of a batch with their flows; side 0 is who began."""
        rows = self._table.add(batch.frames)
        found = keys(batch.frames)
        swapped = np.zeros(len(batch.frames), np.bool_)
        swapped[found.rows] = found.swapped
        at = locate(batch.frames)
        tcp = at.of(IpProtocol.TCP)
        tcp = tcp[rows[tcp] >= 0]
        if self._wanted is not None:
            tcp = tcp[rows[tcp] == self._wanted]
        if not len(tcp):
            return
        flows = rows[tcp]
        first = {row: self._table.key(row)[1] for row in np.unique(flows).tolist()}
        began = np.array([first[row] for row in flows.tolist()], np.bool_)
        side = (swapped[tcp] != began).astype(np.int64)
        some = batch.frames.take(tcp)
        yield from zip(
            flows.tolist(), segments_of(some, at.take(tcp), side, batch.numbers[tcp]), strict=True)
