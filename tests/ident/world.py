"""A world of virtual time for dialogues: a server is a few answers, a network some delays."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from portulan.ident.dialogue import MS, Close, Dialogue, Open, Secure, Send
from portulan.ident.dialogue_known import Secured

HANG_UP = None
"""An answer that is the end of the connection."""


@dataclass
class Server:
    """Says `greeting` after so long, answers what `answer` returns: bytes, b"" or HANG_UP."""

    answer: Callable[[bytes], bytes | None] = lambda _: b""
    greeting: bytes = b""
    greets_after_ms: int = 1
    tls: bool = False
    starttls: bytes = b""
    """After this question TLS may begin; `tls` is then what it is inside of."""
    refused: bool = False
    hangs_up: bool = False
    """Whether connections end before a word."""
    mute: bool = False
    """Whether connections never come about."""
    one_at_a_time: bool = False
    pieces: int = 1 << 20
    """Bytes that arrive at once."""
    between_ms: int = 1
    answers_after_ms: int = 1
    seen: list[bytes] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)


class World:
    """Plays a dialogue against a server until it is done."""

    def __init__(self, server: Server, port: int, transport: str = "tcp", *, rtt_ms: int = 1,
                 **words: object) -> None:
        self.server, self.rtt_ns = server, rtt_ms * MS
        self.now = 10 * MS
        self._order, self._todo = count(), []
        self.open: set[int] = set()
        self.at_most = 0
        self._served: list[int] = []
        self._waiting: dict[int, list[bytes]] = {}
        self.secured: set[int] = set()
        self.transport = transport
        self.dialogue = Dialogue(port, transport, now=self.now, **words)
        self.began = self.now

    def run(self, limit_ms: int = 60_000):
        """Return the outcome; fail where the dialogue does not end."""
        for _ in range(200_000):
            self._do(self.dialogue.emit(self.now))
            if self.dialogue.done:
                return self.dialogue.outcome()
            due = self.dialogue.deadline()
            if self._todo and self._todo[0][0] <= due:
                at, _, event = heapq.heappop(self._todo)
                self.now = max(self.now, at)
                event()
            else:
                self.now = max(self.now, due)
            assert self.now - self.began <= limit_ms * MS, "does not end in time"
        raise AssertionError("does not come to an end")

    @property
    def took_ms(self) -> int:
        return (self.now - self.began) // MS

    def later(self, ms: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (self.now + int(ms * MS), next(self._order), event))

    def _do(self, actions) -> None:
        for action in actions:
            match action:
                case Open(lane):
                    self._connect(lane)
                case Send(lane, data):
                    self._sent(lane, data)
                case Secure(lane):
                    self._secure(lane)
                case Close(lane):
                    self._closed(lane)

    def _connect(self, lane: int) -> None:
        self.open.add(lane)
        self.at_most = max(self.at_most, len(self.open))
        rtt = self.rtt_ns / MS
        if self.server.mute:
            return
        if self.server.refused:
            self.later(rtt, lambda: self._end(lane, "refused"))
            return
        self.later(rtt, lambda: self.dialogue.opened(lane, self.now))
        if self.server.hangs_up:
            self.later(rtt + 1, lambda: self._end(lane, "eof"))
            return
        self._served.append(lane)
        if self.server.greeting and not self.server.tls and self._serves(lane):
            self._say(lane, self.server.greeting, rtt + self.server.greets_after_ms)

    def _serves(self, lane: int) -> bool:
        return not self.server.one_at_a_time or self._served[:1] == [lane]

    def _secure(self, lane: int) -> None:
        if self.server.tls or (self.server.starttls and self.server.starttls in b"".join(
                self.server.seen)):
            self.secured.add(lane)
            self.later(2, lambda: lane in self.open and self.dialogue.secured(
                lane, Secured("TLSv1.3", "X", "", (b"der",)), self.now))
            if self.server.greeting:
                self._say(lane, self.server.greeting, 3 + self.server.greets_after_ms)
        else:
            self.later(2, lambda: self._end(lane, "not-tls"))

    def _sent(self, lane: int, data: bytes) -> None:
        self.server.times_ms.append(self.took_ms)
        if not self._serves(lane):
            self._waiting.setdefault(lane, []).append(data)
            return
        self._answer(lane, data)

    def _answer(self, lane: int, data: bytes) -> None:
        if self.server.tls and lane not in self.secured:
            self.later(1, lambda: self._end(lane, "reset"))
            return
        self.server.seen.append(data)
        said = self.server.answer(data)
        if said is HANG_UP:
            self.later(1, lambda: self._end(lane, "eof"))
        elif said:
            self._say(lane, said, self.rtt_ns / MS + self.server.answers_after_ms)

    def _say(self, lane: int, data: bytes, after_ms: float) -> None:
        size = self.server.pieces
        for at, start in enumerate(range(0, len(data), size)):
            piece = data[start : start + size]
            self.later(after_ms + at * self.server.between_ms, lambda piece=piece: (
                lane in self.open and self.dialogue.heard(lane, piece, self.now)))

    def _end(self, lane: int, why: str) -> None:
        if lane in self.open:
            self._closed(lane)
            self.dialogue.ended(lane, why, self.now)

    def _closed(self, lane: int) -> None:
        self.open.discard(lane)
        if lane in self._served:
            first = self._served[0] == lane
            self._served.remove(lane)
            if first and self.server.one_at_a_time and self._served:
                for data in self._waiting.pop(self._served[0], []):
                    self._answer(self._served[0], data)
