"""What the tests of streams share: a loop with an end, peers, certificates."""

import asyncio
import ssl
from pathlib import Path

from portulan.sockets.acceptor import listen
from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.tls import client_context, server_context

PATIENCE_S = 40
#: How streams are reached in the tests.
LINKS = ("tcp", "tcp6", "unix", "tls1.2", "tls1.3")
VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}


def run(coroutine):
    """Run to the end, which must come."""
    async def bounded():
        async with asyncio.timeout(PATIENCE_S):
            return await coroutine

    return asyncio.run(bounded())


async def read_all(stream, size=65536):
    parts = []
    while data := await stream.read(size):
        parts.append(data)
    return b"".join(parts)


def listening_at(link: str, folder: Path) -> str:
    return {"tcp": "tcp://127.0.0.1:0", "tcp6": "tcp://[::1]:0", "unix": f"unix:{folder}/sock",
            }.get(link, "tls://127.0.0.1:0")


async def served(link, handler, folder, **more):
    """Return an acceptor and how to dial it."""
    context = None
    if link in VERSIONS:
        end = Endpoint.parse("tls://127.0.0.1:0", listening=True)
        context, pin = server_context(end.options)
        context.minimum_version = context.maximum_version = VERSIONS[link]
    acceptor = await listen(listening_at(link, folder), handler, context=context, **more)
    place = acceptor.addresses[0]
    if link == "unix":
        return acceptor, Endpoint.parse(f"unix:{place}")
    if link not in VERSIONS:
        return acceptor, Endpoint.parse(place)
    return acceptor, Endpoint.parse(f"tls://{place}").using(pin=pin)


async def reached(link, end):
    stream = await dial(end, context=client_context(end.options) if link in VERSIONS else None)
    if link in VERSIONS:
        assert stream.facts.tls == link.replace("tls", "TLSv")
    return stream
