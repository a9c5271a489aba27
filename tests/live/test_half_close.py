"""The half-close matrix through `portulan relay` itself: late answers arrive whole, each pair.

PORTULAN_SLOW=1 adds answers after 20 s, and 1 GiB both ways.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import sys

import pytest

from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.tls import client_context
from tests.sockets.talking import VERSIONS, served

SLOW = bool(os.environ.get("PORTULAN_SLOW"))
SIDES = ("tcp", "unix", "tls1.2", "tls1.3")
DELAYS_S = (0, 0.2, 2, 20) if SLOW else (0, 0.2, 2)
MIB = 1 << 20
GIB = 1 << 30
BLOCK = os.urandom(MIB)
PATIENCE_S = 110


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


async def digest_of(stream):
    """Return the SHA-256 and the size of what comes, to its end."""
    seen, size = hashlib.sha256(), 0
    while data := await stream.read():
        seen.update(data)
        size += len(data)
    assert not getattr(stream, "truncated", False)
    return seen.hexdigest(), size


async def send(stream, size):
    """Send `size` bytes, end our direction, return their SHA-256."""
    sent = hashlib.sha256()
    for at in range(0, size, MIB):
        part = BLOCK[: min(MIB, size - at)]
        sent.update(part)
        await stream.write(part)
    await stream.write_eof()
    return sent.hexdigest()


@contextlib.asynccontextmanager
async def relayed(front, back, folder, answer):
    """Yield a coroutine function that dials a relay process: `front` before it, `back` behind."""
    (folder / "back").mkdir()
    acceptor, target = await served(back, answer, folder / "back")
    pin = f"?pin={target.options.pin}" if back in VERSIONS else ""
    scheme = {"tcp": "tcp://", "unix": "unix:"}.get(back, "tls://")
    where = f"{scheme}{acceptor.addresses[0]}{pin}"
    door = {"tcp": "127.0.0.1:0", "unix": f"unix:{folder}/door"}.get(front, "tls://127.0.0.1:0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "portulan", "relay", door, where, "-q",
        stderr=asyncio.subprocess.PIPE)
    try:
        place = re.fullmatch(
            r"listening on (.*)\n", (await process.stderr.readline()).decode())[1]

        async def reach():
            if front == "unix":
                return await dial(door)
            if front == "tcp":
                return await dial(f"tcp://{place}")
            end = f"tls://{place}?verify=no"
            context = client_context(Endpoint.parse(end).options)
            context.minimum_version = context.maximum_version = VERSIONS[front]
            stream = await dial(end, context=context)
            assert stream.facts.tls == front.replace("tls", "TLSv")
            return stream

        async with acceptor:
            yield reach
    finally:
        process.terminate()
        await process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize("back", SIDES)
@pytest.mark.parametrize("front", SIDES)
def test_late_answers_arrive_whole_through_the_relay(front, back, tmp_path):
    """Each client's question says how late its answer shall be; all of a pair at once."""
    async def answer(stream):
        delay = DELAYS_S[(await stream.read(1))[0]]
        asked = await digest_of(stream)
        await asyncio.sleep(delay)
        await stream.write(asked[0].encode())
        await send(stream, MIB)

    async def ask(reach, index):
        stream = await reach()
        await stream.write(bytes([index]))
        sent = await send(stream, MIB)
        head = b""
        while len(head) < 64:
            head += await stream.read(64 - len(head))
        assert head.decode() == sent
        assert await digest_of(stream) == (hashlib.sha256(BLOCK).hexdigest(), MIB)
        await stream.close()

    async def scene():
        async with relayed(front, back, tmp_path, answer) as reach:
            await asyncio.gather(*(ask(reach, index) for index in range(len(DELAYS_S))))

    run(scene())


@pytest.mark.skipif(not SLOW, reason="PORTULAN_SLOW=1 sends 1 GiB both ways")
@pytest.mark.parametrize(("front", "back"), [("tcp", "tcp"), ("tls1.3", "unix")])
def test_1_gib_both_ways_arrives_unchanged(front, back, tmp_path):
    async def answer(stream):
        asked = await digest_of(stream)
        assert asked[1] == GIB
        await stream.write(asked[0].encode())
        await send(stream, GIB)

    async def scene():
        async with relayed(front, back, tmp_path, answer) as reach:
            stream = await reach()
            sent = await send(stream, GIB)
            head = b""
            while len(head) < 64:
                head += await stream.read(64 - len(head))
            assert head.decode() == sent
            assert await digest_of(stream) == (sent, GIB)
            await stream.close()

    run(scene())
