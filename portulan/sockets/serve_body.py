"""A request's body, as a handler asks for it: by length or in chunks, announced or not."""

from __future__ import annotations

from typing import Final, Protocol

from portulan.sockets.serve_http import Chunks, RefusedError, Request

SKIP_MAX_BYTES: Final = 64 * 1024
"""Of a body that nobody wanted: so much is read to keep the connection, more ends it."""


class Incoming(Protocol):
    """What a body needs of its connection."""

    peer: str

    @property
    def buffer(self) -> bytearray:
        """What came in and was not looked at yet."""

    async def more(self) -> bool:
        """Wait for further bytes in the buffer; False if the client has ended."""

    def begin_body(self) -> None:
        """Start the clock of a body."""

    def taken(self, count: int) -> None:
        """Count bytes of a body."""

    def say_continue(self) -> None:
        """Let a client that asked first send its body."""


class Body:
    """A request's body, read as the handler asks for it."""

    def __init__(self, connection: Incoming, request: Request) -> None:
        self._connection = connection
        self._left = request.length
        self._chunks = Chunks() if request.length is None else None
        self._ask_first = _expects(request) and request.length != 0
        connection.begin_body()

    @property
    def peer(self) -> str:
        """The client, as `ADDR:PORT`."""
        return self._connection.peer

    async def read(self) -> bytes:
        """Return the next bytes, empty at the end; raises if the client breaks off."""
        while True:
            data = self._take()
            if data or self._done:
                self._connection.taken(len(data))
                return data
            if self._ask_first:
                self._ask_first = False
                if not self._connection.buffer:
                    self._connection.say_continue()
            if not await self._connection.more():
                raise ConnectionAbortedError

    async def skip(self) -> bool:
        """Drop what is left if that is quickly done; return whether the next request follows."""
        if self._ask_first and not self._done:
            return False
        try:
            dropped = 0
            while not self._done and dropped < SKIP_MAX_BYTES and self._connection.buffer:
                dropped += len(self._take()) or SKIP_MAX_BYTES
        except RefusedError:
            return False
        return self._done

    @property
    def _done(self) -> bool:
        return self._chunks.done if self._chunks else not self._left

    def _take(self) -> bytes:
        buffer = self._connection.buffer
        if self._chunks:
            return self._chunks.take(buffer)
        data = bytes(buffer[: self._left])
        del buffer[: len(data)]
        self._left = (self._left or 0) - len(data)
        return data


def _expects(request: Request) -> bool:
    """Tell whether the client waits to be told to go on; other expectations are refused."""
    value = request.header("expect")
    if value is not None and value.lower() != "100-continue":
        raise RefusedError(417)
    return value is not None and request.version >= (1, 1)
