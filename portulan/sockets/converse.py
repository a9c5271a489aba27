"""A person or program at our pipes, a peer at the other end: each direction until it ends."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final, Protocol

from portulan.sockets.coding import Coder, chain
from portulan.sockets.datagram import Datagrams
from portulan.sockets.stream import READ_SIZE, Stream

INPUT_GRACE_S: Final = 0.5
"""After the peer's end, input that stays silent for so long has nothing more to be sent."""
DATAGRAM_SIZE: Final = 16_384
"""Bytes of input in one datagram, at most."""


class Source(Protocol):
    """What we send comes from here."""

    async def read(self, max_bytes: int) -> bytes:
        """Return what is there; b"" at the end."""


class Sink(Protocol):
    """What the peer sends goes here."""

    async def write(self, data: bytes) -> None:
        """Take all of it; raises `OSError`."""


class Watch(Protocol):
    """Sees the bytes on the wire."""

    def __call__(self, data: bytes, *, sent: bool) -> None:
        """See a piece that was sent or received."""


def _blind(data: bytes, *, sent: bool) -> None:
    pass


class Text:
    """A source of one text."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, max_bytes: int) -> bytes:
        """Return the next piece of it."""
        data, self._data = self._data[:max_bytes], self._data[max_bytes:]
        return data


class SinkGone(Exception):  # noqa: N818 - the reader of our output has enough: no fault
    """Nobody reads our output any more."""


@dataclass
class Conversation:
    """How input and output are tied to a peer."""

    source: Source
    sink: Sink
    outgoing: Coder = field(default_factory=lambda: chain([]))
    incoming: Coder = field(default_factory=lambda: chain([]))
    idle: float = 0.0
    """Seconds without a byte in either direction that end it; 0: never."""
    half_close: bool = True
    """Tell the peer when our input has ended."""
    interactive: bool = False
    """The input is a person: the peer's end ends it at once."""
    watch: Watch = _blind

    async def hold(self, stream: Stream) -> bool:
        """Talk until the peer ends; return False if silence ended it.

        Raises the stream's `OSError`, `SinkGone`, and `PeerError` of coders.
        """
        talk = _Talk(self, stream)
        return await talk.run()

    async def exchange(self, peer: Datagrams) -> None:
        """Send each read as a datagram, take those that come; silence after the input ends it."""
        await _Exchange(self, peer).run()

    async def put(self, data: bytes, *, final: bool = False) -> None:
        """Bring the peer's bytes to the sink."""
        out = self.incoming(data, final=final)
        if out:
            try:
                await self.sink.write(out)
            except OSError as error:
                raise SinkGone from error


class _Talk:
    def __init__(self, how: Conversation, stream: Stream) -> None:
        self._how, self._stream = how, stream
        self._clock = asyncio.get_running_loop().time
        self._moved = self._clock()
        self._asking_since = 0.0

    async def run(self) -> bool:
        sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive())
        try:
            if not await self._heard(sending, receiving):
                return False
            await self._rest(sending)
            if sending.done() and (fault := sending.exception()):
                raise fault
            return True
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)

    async def _heard(self, sending: asyncio.Task[None], receiving: asyncio.Task[None]) -> bool:
        """Wait for the peer's end; return False if silence came first."""
        waiting: set[asyncio.Task[None]] = {sending, receiving}
        while not receiving.done():
            done, _ = await asyncio.wait(waiting, timeout=self._patience(),
                                         return_when=asyncio.FIRST_COMPLETED)
            if sending in done:
                waiting.discard(sending)
                if fault := sending.exception():
                    raise fault
            if not done and self._patience() == 0:
                return False
        receiving.result()
        return True

    def _patience(self) -> float | None:
        if not self._how.idle:
            return None
        return max(0.0, self._moved + self._how.idle - self._clock())

    async def _rest(self, sending: asyncio.Task[None]) -> None:
        """Let what the input still has be sent."""
        while not sending.done() and not self._how.interactive:
            await asyncio.wait({sending}, timeout=INPUT_GRACE_S / 4)
            asking = self._asking_since
            if asking and self._clock() - asking >= INPUT_GRACE_S:
                return

    async def _send(self) -> None:
        how = self._how
        while True:
            self._asking_since = self._clock()
            data = await how.source.read(READ_SIZE)
            self._asking_since = 0.0
            out = how.outgoing(data, final=not data)
            try:
                if out:
                    await self._stream.write(out)
                    self._moved = self._clock()
                    how.watch(out, sent=True)
                if not data:
                    if how.half_close:
                        await self._stream.write_eof()
                    return
            except OSError:
                return  # it reads no more; what it still says, or its reset, shows in `_receive`

    async def _receive(self) -> None:
        how = self._how
        while data := await self._stream.read():
            self._moved = self._clock()
            how.watch(data, sent=False)
            await how.put(data)
            self._moved = self._clock()
        await how.put(b"", final=True)


class _Exchange:
    def __init__(self, how: Conversation, peer: Datagrams) -> None:
        self._how, self._peer = how, peer
        self._clock = asyncio.get_running_loop().time
        self._moved = self._clock()

    async def run(self) -> None:
        receiving = asyncio.create_task(self._receive())
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            while not receiving.done():
                left = self._moved + self._how.idle - self._clock()
                if left <= 0:
                    break
                await asyncio.wait({receiving}, timeout=left)
            for task in (receiving, sending):
                if task.done():
                    task.result()
        finally:
            for task in (receiving, sending):
                task.cancel()
            await asyncio.gather(receiving, sending, return_exceptions=True)

    async def _send(self) -> None:
        how = self._how
        while data := await how.source.read(DATAGRAM_SIZE):
            if out := how.outgoing(data):
                await self._peer.send(out)
                self._moved = self._clock()
                how.watch(out, sent=True)
        if out := how.outgoing(b"", final=True):
            await self._peer.send(out)
        self._moved = self._clock()

    async def _receive(self) -> None:
        while True:
            data, _ = await self._peer.receive()
            self._moved = self._clock()
            self._how.watch(data, sent=False)
            await self._how.put(data)


async def copy(source: Stream, sink: Stream) -> None:
    """Carry one direction to its end, and the end too; raises neither side's faults."""
    with contextlib.suppress(OSError):
        while data := await source.read():
            await sink.write(data)
    with contextlib.suppress(OSError):
        await sink.write_eof()
