"""Many clients who hear each other: a room, the broker and the chat in it.

Each client has a queue of its own: one that never reads is dropped, and holds up no one.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import unicodedata
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from portulan.sockets.coding import neutral
from portulan.sockets.stream import Stream

QUEUE_SIZE: Final = 1_048_576
"""Bytes waiting for one client: more than a slow link needs, little times many clients."""
LINE_MAX: Final = 4_096
"""Characters of a chat line; longer ones are cut into several."""
NAME_MAX: Final = 24
READ_SIZE: Final = 16_384
PACE_S: Final = 0.01
"""Between looks at whether there is room again for what we say."""


class Member:
    """A client in the room."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.name = stream, ""
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._ended = False
        self.too_slow = False

    @property
    def waiting(self) -> int:
        """Bytes that it has not taken yet."""
        return self._size

    def hear(self, data: bytes) -> None:
        """Queue bytes for this client, or drop it if it has not read those before."""
        if self._size + len(data) > QUEUE_SIZE:
            self.too_slow = True
            self.stream.abort()
        elif not self._ended:
            self._queue.append(data)
            self._size += len(data)
            self._filled.set()

    def end(self) -> None:
        """Let what is queued be written, then half-close."""
        self._ended = True
        self._filled.set()

    async def deliver(self) -> None:
        """Write what is queued, until the end; raises the stream's `OSError`."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                data = self._queue.popleft()
                await self.stream.write(data)
                self._size -= len(data)
            if self._ended:
                await self.stream.write_eof()
                return


class Room:
    """Clients together: what one says, `hears` decides who gets it."""

    def __init__(self) -> None:
        self.members: dict[Member, None] = {}
        self.arrival = asyncio.Event()
        """Set while someone is there."""

    def say(self, data: bytes, *, besides: Member | None = None) -> None:
        """Send to all, or all but one."""
        for member in list(self.members):
            if member is not besides:
                member.hear(data)

    async def drained(self) -> None:
        """Wait until the fastest client has taken what was said: nobody is faster than our pace.

        The slowest is not waited for; its queue has a bound.
        """
        while self.members and min(each.waiting for each in self.members) > QUEUE_SIZE // 4:
            await asyncio.sleep(PACE_S)

    async def host(self, stream: Stream, says: Callable[[Member, bytes], Awaitable[None]]) -> None:
        """Keep a client in the room until it ends; `says` gets its bytes, b"" at its arrival.

        Raises its `OSError`.
        """
        member = Member(stream)
        self.members[member] = None
        self.arrival.set()
        delivering = asyncio.create_task(member.deliver())
        try:
            await says(member, b"")
            while data := await stream.read(READ_SIZE):
                await says(member, data)
            # What others say meanwhile is still of interest to a client that has half-closed,
            # but an end is all that tells us that it left: it gets what is queued.
            member.end()
            await delivering
        except OSError as error:
            if member.too_slow:
                raise ConnectionAbortedError("it reads too slowly") from error
            raise
        finally:
            del self.members[member]
            if not self.members:
                self.arrival.clear()
            delivering.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await delivering


class Broker(Room):
    """Everything a client says goes to all others."""

    async def serve(self, stream: Stream) -> None:
        """Serve a client."""
        await self.host(stream, self._pass_on)

    async def _pass_on(self, member: Member, data: bytes) -> None:
        if data:
            self.say(data, besides=member)


class Chat(Room):
    """Lines with names: /name NEW, /who, /quit. Only safe text comes out of it."""

    def __init__(self, shown: Callable[[str], None]) -> None:
        super().__init__()
        self._shown = shown
        self._count = 0
        self._lines: dict[Member, _Lines] = {}

    async def serve(self, stream: Stream) -> None:
        """Serve a client."""
        try:
            await self.host(stream, self._says)
        finally:
            for member in [member for member in self._lines if member.stream is stream]:
                del self._lines[member]
                self.tell(f"* {member.name} has left")

    def tell(self, text: str, *, besides: Member | None = None) -> None:
        """Say a line to all, and show it here."""
        self.say(f"{text}\n".encode(), besides=besides)
        self._shown(text)

    def speak(self, data: bytes) -> None:
        """Say lines of our own."""
        for line in data.decode("utf-8", "replace").splitlines():
            self.say(f"<host> {neutral(line)}\n".encode())

    async def _says(self, member: Member, data: bytes) -> None:
        if not member.name:
            self._welcome(member)
            return
        for line in self._lines[member](data):
            self._line(member, line)

    def _welcome(self, member: Member) -> None:
        self._count += 1
        member.name = f"guest{self._count}"
        self._lines[member] = _Lines()
        member.hear(f"* you are {member.name}; /name NEW, /who, /quit\n".encode())
        self.tell(f"* {member.name} is here", besides=member)

    def _line(self, member: Member, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "/name":
            self._rename(member, rest)
        elif word == "/who":
            names = " ".join(each.name for each in self.members)
            member.hear(f"* here are {names}\n".encode())
        elif word == "/quit":
            member.end()
        elif line.strip():
            self.tell(f"<{member.name}> {line}", besides=member)

    def _rename(self, member: Member, wish: str) -> None:
        name = clean_name(wish)
        taken = {each.name.casefold() for each in self.members if each is not member} | {"host"}
        if not name or name.casefold() in taken:
            why = "is taken" if name else f"needs 1 to {NAME_MAX} letters, digits, - or _"
            member.hear(f"* that name {why}\n".encode())
            return
        before, member.name = member.name, name
        self.tell(f"* {before} is now {name}")


def clean_name(wish: str) -> str:
    """Return a name as it may be shown; empty if it cannot be.

    Compatibility forms are folded, so that no name looks like another's in other letters' width.
    """
    name = unicodedata.normalize("NFKC", wish).strip()
    good = all(letter.isalnum() or letter in "-_" for letter in name)
    return name if good and 0 < len(name) <= NAME_MAX else ""


class _Lines:
    """Cuts a client's bytes into safe lines; a character may be split over reads."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def __call__(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        if len(self._rest) > LINE_MAX:
            lines.append(self._rest)
            self._rest = ""
        return [neutral(line[at : at + LINE_MAX].removesuffix("\r"))
                for line in lines for at in range(0, max(len(line), 1), LINE_MAX)]
