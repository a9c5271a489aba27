"""Streams: what both ends of a TCP connection said, out of segments in any order.

Segments are kept until asked for, so loss, repetition, overlap and reordering cost nothing but
memory: of two copies of a byte the first wins, what no segment holds is a gap of known size
(RFC 9293 section 3.4). Who has no SYN starts at the lowest byte seen.

>>> stream = Stream()
>>> stream.add(Segment(side=0, seq=0xFFFFFFFE, octets=b"abcd", size=4, flags=16))
>>> stream.add(Segment(side=0, seq=6, octets=b"z", size=1, flags=16))
>>> [(chunk.octets, chunk.missing) for chunk in stream.take(final=True)]
[(b'abcd', 0), (b'', 4), (b'z', 0)]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

HELD_MAX_OCTETS: Final = 64 << 20
"""What waits for its place before a hole is taken as lost; a window is at most 1 GiB, but no
capture of one connection in order needs more than a few round trips of a fast line."""
SEGMENT_COST_OCTETS: Final = 250
"""What one kept segment costs beside its bytes: a flood of tiny ones must count, too."""
WINDOW_MAX_OCTETS: Final = 1 << 30
"""RFC 7323 section 2.3: a segment farther away belongs to no window of this connection."""
NOTES_MAX: Final = 1_000
"""Notes kept of one stream; who sends more conflicts has made the point."""

FIN, SYN, RST, ACK = 1, 2, 4, 16
_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment of one side (0 or 1), `size` as its headers say, `octets` as captured."""

    side: int
    seq: int
    octets: bytes
    size: int
    flags: int
    ack: int = 0
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one side, or a hole of `missing` bytes; `frame` brought them."""

    side: int
    octets: bytes
    missing: int = 0
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence about a frame."""

    frame: int
    text: str


@dataclass(slots=True)
class _Side:
    """One direction; sequence numbers are unwrapped: they grow beyond 32 bits."""

    base: int | None = None
    """The first byte that is still to be told; None until a SYN, or the first time asked."""
    isn: int | None = None
    highest: int | None = None
    """Behind the last byte that was sent as far as is known, a FIN not counted."""
    final: int | None = None
    """Where a FIN stood."""
    acked: int | None = None
    """What the other side has confirmed."""
    starts: list[int] = field(default_factory=list)
    parts: list[tuple[bytes, int]] = field(default_factory=list)
    weak: set[int] = field(default_factory=set)
    """Starts of bytes that look like keep-alives: they do not begin a stream."""
    order: int = 0
    """The latest frame told, so that chunks stay in order."""

    def unwrap(self, seq: int) -> int | None:
        """Return the full number nearest to what was seen; None outside any window."""
        near = self.base if self.highest is None else self.highest
        if near is None:
            return seq + _WRAP  # room to go back below the first
        distance = (seq - near + (1 << 31)) % _WRAP - (1 << 31)
        return near + distance if abs(distance) <= WINDOW_MAX_OCTETS else None

    def begin(self, isn: int) -> None:
        start = self.unwrap((isn + 1) % _WRAP)
        if start is None:
            return
        self.isn, self.base = isn, start
        self.highest = max(start, self.highest or start)

    def insert(self, start: int, octets: bytes, frame: int) -> bool:
        """Keep what is new of a segment; return whether a copy differs from the first."""
        end, differs = start + len(octets), False
        at = max(start, start if self.base is None else self.base)
        place = max(0, bisect_right(self.starts, start) - 1)
        while at < end:
            while place < len(self.starts) and self._end(place) <= at:
                place += 1
            held = self.starts[place] if place < len(self.starts) else end
            if held > at:  # a hole, up to what is held or our end
                stop = min(held, end)
                self.starts.insert(place, at)
                self.parts.insert(place, (octets[at - start : stop - start], frame))
            else:
                stop = min(self._end(place), end)
                old = self.parts[place][0][at - held : stop - held]
                differs |= old != octets[at - start : stop - start]
            at = stop
        return differs

    def _end(self, place: int) -> int:
        return self.starts[place] + len(self.parts[place][0])

    def take(self, side: int, *, final: bool, holes: bool) -> Iterator[Chunk]:
        """Yield what is in order, over holes if asked; at the end also the hole before it."""
        if self.base is None:
            if not holes:
                return
            strong = [start for start in self.starts if start not in self.weak]
            self.base = min(strong, default=self._known_end())
        done = 0
        for start, (octets, frame) in zip(self.starts, self.parts, strict=True):
            if start > self.base and not holes:
                break
            done += 1
            new = octets[max(0, self.base - start) :]
            if not new:
                continue
            self.order = max(self.order, frame)
            if start > self.base:
                yield Chunk(side, b"", start - self.base, self.order)
            self.base = max(self.base, start) + len(new)
            yield Chunk(side, new, 0, self.order)
        del self.starts[:done], self.parts[:done]
        if final and (end := self._known_end()) > self.base:
            yield Chunk(side, b"", end - self.base, self.order)
            self.base = end

    def _known_end(self) -> int:
        if self.final is not None:
            return self.final
        seen = self.highest or 0
        # One more than was seen may be the place of a FIN that the capture has not.
        return self.acked if self.acked is not None and self.acked > seen + 1 else seen


class Stream:
    """Both sides of one pair of endpoints; a port used again begins anew."""

    def __init__(self) -> None:
        self._sides = (_Side(), _Side())
        self._ready: list[Chunk] = []
        self._held = 0
        self._closed = False
        self._reborn: tuple[int, int] | None = None
        self.notes: list[Note] = []

    def add(self, segment: Segment) -> None:
        """Take a segment in."""
        if segment.flags & RST:  # its bytes, if any, are words about the reset, not data
            self._closed = True
            return
        if segment.flags & SYN and not self._syn(segment):
            return
        side = self._sides[segment.side]
        # The SYN has a number of its own, before the data that it may carry (RFC 7413).
        start = side.unwrap((segment.seq + bool(segment.flags & SYN)) % _WRAP)
        if start is None:
            self._note(segment, "segment outside any window, not in the stream")
            return
        end = start + segment.size
        if segment.octets:
            self._data(side, segment, start)
        if segment.size or side.highest is not None or segment.flags & (SYN | FIN):
            side.highest = max(end, side.highest or end)
        if segment.flags & FIN and side.final is None:
            side.final = end
        if segment.flags & ACK:
            self._acknowledge(self._sides[1 - segment.side], segment.ack)
        self._closed |= bool(segment.flags & FIN)

    def _syn(self, segment: Segment) -> bool:
        """Begin a side or a new connection; return whether the SYN belongs to what goes on."""
        side, other = self._sides[segment.side], self._sides[1 - segment.side]
        answers = bool(segment.flags & ACK)
        if self._is_new(side, segment.seq):
            wanted = self._reborn == (1 - segment.side, (segment.ack - 1) % _WRAP)
            if not (self._closed or (answers and wanted)):
                self._reborn = None if answers else (segment.side, segment.seq)
                return False
            self._again()
            side, other = self._sides[segment.side], self._sides[1 - segment.side]
        if side.isn is None:
            side.begin(segment.seq)
        if answers and other.isn is None:
            other.begin((segment.ack - 1) % _WRAP)
        return True

    def _is_new(self, side: _Side, isn: int) -> bool:
        """Say whether a SYN belongs to another connection than what was seen."""
        if side.isn is not None:
            return side.isn != isn
        start = side.unwrap((isn + 1) % _WRAP)
        lowest = min(side.starts, default=side.highest)
        return lowest is not None and (start is None or start > lowest)

    def _again(self) -> None:
        self._ready += self._merged(final=True, holes=True)
        self._sides, self._closed, self._reborn = (_Side(), _Side()), False, None

    def _data(self, side: _Side, segment: Segment, start: int) -> None:
        alive = len(segment.octets) == 1 and side.acked == start + 1
        if alive and side.base is None:
            side.weak.add(start)
        elif not alive:
            side.weak.discard(start)
        differs = side.insert(start, segment.octets, segment.frame)
        # A keep-alive carries one byte of any value, again (RFC 9293 section 3.8.4).
        if differs and not (len(segment.octets) == 1 and side.highest == start + 1):
            self._note(segment, "a copy of bytes seen before differs; the first copy is kept")
        self._held += len(segment.octets) + SEGMENT_COST_OCTETS
        if self._held > HELD_MAX_OCTETS:
            self._ready += self._merged(final=False, holes=False)
            if self._held > HELD_MAX_OCTETS // 2:
                self._ready += self._merged(final=False, holes=True)

    def _acknowledge(self, side: _Side, ack: int) -> None:
        if side.highest is None and side.base is None:
            side.highest = ack + _WRAP
        number = side.unwrap(ack)
        if number is not None:
            side.acked = max(number, side.acked or number)

    def _merged(self, *, final: bool, holes: bool) -> list[Chunk]:
        """Return what both sides tell in the order it came."""
        chunks = [
            chunk for number, side in enumerate(self._sides)
            for chunk in side.take(number, final=final, holes=holes)]
        kept = [octets for side in self._sides for octets, _ in side.parts]
        self._held = sum(map(len, kept)) + len(kept) * SEGMENT_COST_OCTETS
        return sorted(chunks, key=lambda chunk: chunk.frame)

    def take(self, *, final: bool = False) -> Iterator[Chunk]:
        """Yield what is ready; with `final` all there is, and the holes."""
        if final:
            self._ready += self._merged(final=True, holes=True)
        ready, self._ready = self._ready, []
        yield from ready

    def _note(self, segment: Segment, text: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(Note(segment.frame, text))
