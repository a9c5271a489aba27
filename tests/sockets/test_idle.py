import asyncio

import pytest

from portulan.sockets.acceptor import listen
from portulan.sockets.dial import dial
from portulan.sockets.idle import IdleStream
from portulan.sockets.services import echo
from tests.sockets.talking import run


def test_silent_stream_times_out_a_talking_one_does_not():
    async def main():
        async with await listen("0", echo) as acceptor:
            stream = IdleStream(await dial(("127.0.0.1", acceptor.port)), 0.2)
            for _ in range(4):
                await asyncio.sleep(0.1)
                await stream.write(b"x")
                assert await stream.read() == b"x"
            assert (stream.sent, stream.received, stream.facts.tls) == (4, 4, "")
            with pytest.raises(TimeoutError):
                await stream.read()
            stream.abort()

    run(main())


def test_writing_counts_as_life_for_the_reader():
    async def main():
        async def deaf(stream):
            while await stream.read():
                pass
            await stream.write(b"done")

        async with await listen("0", deaf) as acceptor:
            stream = IdleStream(await dial(("127.0.0.1", acceptor.port)), 0.2)
            reading = asyncio.create_task(stream.read())
            for _ in range(5):
                await asyncio.sleep(0.1)
                await stream.write(b"x")
            await stream.write_eof()
            assert await reading == b"done"
            await stream.close()

    run(main())


def test_writer_to_one_that_never_reads_times_out():
    async def main():
        async def deaf(stream):
            await asyncio.sleep(5)

        async with await listen("0", deaf) as acceptor:
            stream = IdleStream(await dial(("127.0.0.1", acceptor.port)), 0.1)
            with pytest.raises(TimeoutError):
                await stream.write(bytes(1 << 25))
            stream.abort()

    run(main())
