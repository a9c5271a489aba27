"""A conversation of a capture, followed in one reading of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from portulan.drive.capture import Batch, Capture
from portulan.errors import UsageError
from portulan.traffic.flows import FlowTable
from portulan.traffic.segments import Conversation, Endpoint
from portulan.traffic.streams import Chunk, Note, Stream
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol

GATHER_FRAMES: Final = 16_384
"""Frames from which on a batch costs no more a frame than a larger one."""
GATHER_OCTETS: Final = 8 << 20
"""Octets that are copied together at most, and what that may take of memory twice."""


class Follower:
    """Tells what both ends said; side 0 is the first endpoint, or who began the flow."""

    def __init__(self, which: Conversation | int) -> None:
        self._which = which
        self._table = FlowTable()
        self._stream = Stream()

    @classmethod
    def tcp(cls, pair: str) -> Follower:
        """Follow the TCP conversation `A:P-B:Q`; raises `UsageError`."""
        one, dash, two = pair.partition("-")
        if not dash:
            raise UsageError("no pair of endpoints", text=pair, hint="A:P-B:Q, IPv6 as [addr]:port")
        return cls(Conversation.tcp(Endpoint.parse(one), Endpoint.parse(two)))

    @classmethod
    def flow(cls, number: int) -> Follower:
        """Follow the flow of that number, counted from 1 in order of their first packets."""
        return cls(number)

    @property
    def notes(self) -> list[Note]:
        """What was strange, once the chunks were taken."""
        return self._stream.notes

    def chunks(self, capture: Capture) -> Iterator[Chunk]:
        """Yield what was said and what is missing; raises `UsageError` if there is no such flow."""
        met = False
        for batch in capture.batches():
            which, chosen = self._chosen(batch)
            if which is None:
                continue
            for segment in which.segments(chosen.frames, chosen.numbers):
                met = True
                if which.protocol == IpProtocol.TCP:
                    self._stream.add(segment)
                elif segment.octets:
                    yield Chunk(segment.side, segment.octets, 0, segment.frame)
            yield from self._stream.take()
        if not met:
            raise UsageError("no such conversation in the capture", hint="see: portulan flows")
        yield from self._stream.take(final=True)

    def _chosen(self, batch: Batch) -> tuple[Conversation | None, Batch]:
        """Return whom to follow, and what of a batch is theirs.

        A flow's number is known from the batch where it begins; its endpoints may have others.
        """
        if isinstance(self._which, Conversation):
            return self._which, batch
        row = self._which - 1
        rows = np.flatnonzero(self._table.add(batch.frames) == row)
        if not len(rows):
            return None, batch
        which = Conversation(*self._table.key(row))
        if which.protocol not in (IpProtocol.TCP, IpProtocol.UDP):
            raise UsageError("only TCP and UDP have something to follow",
                             text=f"IP protocol {which.protocol}", where="--flow")
        return which, batch.take(rows)


def gathered(batches: Iterable[Frames]) -> Iterator[Frames]:
    """Yield the same frames in batches of some thousand: a pipe gives only tens at a time."""
    held: list[Frames] = []
    count = octets = 0
    for frames in batches:
        if held and frames.link_type != held[0].link_type:
            yield Frames.concat(held)
            held, count, octets = [], 0, 0
        held.append(frames)
        count += len(frames)
        octets += len(frames.buffer)
        if count >= GATHER_FRAMES or octets >= GATHER_OCTETS:
            yield Frames.concat(held)
            held, count, octets = [], 0, 0
    if held:
        yield Frames.concat(held)
