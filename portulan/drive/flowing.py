"""A conversation of a capture, followed in one reading of the file."""

from __future__ import annotations

from collections.abc import Iterator

from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.traffic.flows import FlowTable
from portulan.traffic.segments import Conversation, Endpoint
from portulan.traffic.streams import Chunk, Note, Stream
from portulan.wire.frames import Frames
from portulan.wire.ipv4 import IpProtocol


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
            which = self._conversation(batch.frames)
            if which is None:
                continue
            for segment in which.segments(batch.frames, batch.numbers):
                met = True
                if which.protocol == IpProtocol.TCP:
                    self._stream.add(segment)
                elif segment.octets:
                    yield Chunk(segment.side, segment.octets, 0, segment.frame)
            yield from self._stream.take()
        if not met:
            raise UsageError("no such conversation in the capture", hint="see: portulan flows")
        yield from self._stream.take(final=True)

    def _conversation(self, frames: Frames) -> Conversation | None:
        """Return whom to follow; a flow's number is known from the batch where it begins."""
        if isinstance(self._which, Conversation):
            return self._which
        self._table.add(frames)
        if len(self._table) < self._which:
            return None
        words, swapped = self._table.key(self._which - 1)
        self._which = Conversation(words, swapped)
        if self._which.protocol not in (IpProtocol.TCP, IpProtocol.UDP):
            raise UsageError("only TCP and UDP have something to follow",
                             text=f"IP protocol {self._which.protocol}", where="--flow")
        return self._which
