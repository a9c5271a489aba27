"""Talk to endpoints from Python: dial, listen, relay; plain asyncio.

>>> import asyncio
>>> from portulan import dial, listen
>>> async def echo(stream):
...     while data := await stream.read(4096):
...         await stream.write(data)
>>> async def main():
...     async with await listen("tcp://127.0.0.1:0", echo) as door:
...         stream = await dial(f"tcp://{door.addresses[0]}")
...         await stream.write("안녕".encode())
...         await stream.write_eof()
...         answer = await stream.read(4096)
...         await stream.close()
...         return answer.decode()
>>> asyncio.run(main())
'안녕'
"""

from __future__ import annotations

from collections.abc import Callable

from portulan.drive.clock import Clock
from portulan.link.pipe import widen
from portulan.record import Connection
from portulan.sockets.acceptor import Acceptor, listen
from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.relay import Relay, make_relay
from portulan.sockets.relay_rules import Rules
from portulan.sockets.relay_udp import DatagramRelay
from portulan.sockets.stream import Stream

__all__ = ["Acceptor", "Endpoint", "Stream", "dial", "listen", "relay"]


def relay(
    listen: Endpoint | str, target: Endpoint | str, *, idle_s: float | None = None,
    max_conns: int = 0, record: Callable[[Connection], None] | None = None,
) -> Relay | DatagramRelay:
    """Return a relay between two endpoints, not yet started.

    Begin it with `async with relay(...) as door`; `door.addresses` tells where it listens. Call it
    in a running loop. `idle_s` ends a connection on which nothing passed for so long,
    `record` hears of each that ended. Raises `UsageError`, and `PrivilegeError` when it starts.
    """
    rules = Rules(idle_s=idle_s, max_conns=max_conns)
    return make_relay(listen, target, rules, clock=Clock.unix, record=record, widen=widen)
