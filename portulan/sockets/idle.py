"""A stream that gives up on silence: a link around a stream."""

from __future__ import annotations

import asyncio

from portulan.sockets.stream import READ_SIZE, Facts, Stream


class IdleStream:
    """Any stream; `read` raises `TimeoutError` once no byte has moved for `idle` seconds."""

    def __init__(self, inner: Stream, idle: float) -> None:
        self._inner, self._idle = inner, idle
        self.peer, self.local = inner.peer, inner.local
        self._clock = asyncio.get_running_loop().time
        self._moved = self._clock()

    @property
    def facts(self) -> Facts:
        """What was negotiated."""
        return self._inner.facts

    @property
    def received(self) -> int:
        """Bytes that `read` gave."""
        return self._inner.received

    @property
    def sent(self) -> int:
        """Bytes that `write` took."""
        return self._inner.sent

    async def read(self, max_bytes: int = READ_SIZE) -> bytes:
        """Return what is there, at least a byte; b"" once the peer has ended its direction."""
        while True:
            try:
                async with asyncio.timeout_at(self._moved + self._idle):
                    data = await self._inner.read(max_bytes)
            except TimeoutError as error:
                if error.errno or self._clock() >= self._moved + self._idle:
                    raise
            else:
                self._moved = self._clock()
                return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it; raises `TimeoutError` if it takes too long."""
        async with asyncio.timeout(self._idle):
            await self._inner.write(data)
        self._moved = self._clock()

    async def write_eof(self) -> None:
        """End our direction; harmless when done twice."""
        await self._inner.write_eof()

    async def close(self) -> None:
        """End both directions in order."""
        await self._inner.close()

    def abort(self) -> None:
        """Drop everything at once."""
        self._inner.abort()
