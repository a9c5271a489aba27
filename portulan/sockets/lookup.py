"""Names to socket addresses, without ever holding up the end of the program."""

from __future__ import annotations

import asyncio
import socket
import threading
from itertools import chain, zip_longest
from typing import TypeAlias, cast

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Found: TypeAlias = tuple[int, SocketAddress]
"""(family, socket address)."""


async def lookup(host: str, port: int, *, kind: int = socket.SOCK_STREAM, passive: bool = False
                 ) -> list[Found]:
    """Return the addresses of a host, in the resolver's order; raises `socket.gaierror`.

    A thread of its own, and a daemon: asyncio's pool would make the program wait, at its end, for
    a name server that never answers.
    """
    flags = socket.AI_PASSIVE if passive else 0
    try:
        return _ask(host, port, kind, flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[list[Found]] = loop.create_future()

    def tell(found: list[Found] | None, error: Exception | None) -> None:
        if waiter.done():
            return
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(found or [])

    def work() -> None:
        found, fault = None, None
        try:
            found = _ask(host, port, kind, flags)
        except OSError as error:
            fault = error
        try:
            loop.call_soon_threadsafe(tell, found, fault)
        except RuntimeError:
            return  # the loop has ended: no one waits

    threading.Thread(target=work, name=f"lookup {host}", daemon=True).start()
    return await waiter


def _ask(host: str, port: int, kind: int, flags: int) -> list[Found]:
    try:
        answers = socket.getaddrinfo(host, port, type=kind, flags=flags)
    except UnicodeError:  # IDNA: an empty label, one too long, or letters that no name has
        raise socket.gaierror(socket.EAI_NONAME, "not a name") from None
    found: list[Found] = [(int(family), cast("SocketAddress", address))
                          for family, _, _, _, address in answers]
    return list(dict.fromkeys(found))


def interleave(found: list[Found]) -> list[Found]:
    """Return the addresses with the families taking turns, the first one's first (RFC 8305, 4)."""
    first = [item for item in found if item[0] == found[0][0]]
    second = [item for item in found if item[0] != found[0][0]]
    return [item for item in chain(*zip_longest(first, second)) if item]
