"""The half-close matrix: an answer that comes after the end of the question is never lost."""

import asyncio
import hashlib
import os

import pytest

from portulan.sockets.converse import copy
from portulan.sockets.dial import dial
from tests.sockets.talking import LINKS, VERSIONS, reached, read_all, run, served

MIB = 1 << 20
DELAYS = [0, 0.2, 2] + ([20] if os.environ.get("PORTULAN_SLOW") else [])


@pytest.mark.parametrize("delay", DELAYS)
def test_client_ended_late_answer_arrives(delay, tmp_path):
    async def answer(stream):
        digest = hashlib.sha256(await read_all(stream)).digest()
        await asyncio.sleep(delay)
        await stream.write(digest + b"a" * MIB)

    async def ask(link):
        question = os.urandom(MIB)
        acceptor, end = await served(link, answer, tmp_path)
        async with acceptor:
            stream = await reached(link, end)
            await stream.write(question)
            await stream.write_eof()
            got = await read_all(stream)
            assert got == hashlib.sha256(question).digest() + b"a" * MIB
            assert (stream.sent, stream.received) == (MIB, MIB + 32)
            assert not getattr(stream, "truncated", False)
            await stream.close()

    async def main():
        await asyncio.gather(*map(ask, LINKS))

    run(main())


@pytest.mark.parametrize("link", LINKS)
def test_server_ended_first_client_still_delivers(link, tmp_path):
    async def main():
        got = asyncio.get_running_loop().create_future()

        async def greet(stream):
            await stream.write(b"go on")
            await stream.write_eof()
            got.set_result(await read_all(stream))

        acceptor, end = await served(link, greet, tmp_path)
        async with acceptor:
            stream = await reached(link, end)
            assert await read_all(stream) == b"go on"
            await asyncio.sleep(0.2)
            await stream.write(b"b" * MIB)
            await stream.write_eof()
            assert await got == b"b" * MIB
            await stream.close()

    run(main())


@pytest.mark.parametrize("link", LINKS)
def test_both_writing_at_once_neither_waits_for_the_other(link, tmp_path):
    async def both(stream):
        _, got = await asyncio.gather(send(stream, b"s"), read_all(stream))
        assert got == b"c" * (4 * MIB)

    async def send(stream, letter):
        await stream.write(letter * (4 * MIB))
        await stream.write_eof()

    async def main():
        notes = []
        acceptor, end = await served(link, both, tmp_path, note=notes.append)
        async with acceptor:
            stream = await reached(link, end)
            _, got = await asyncio.gather(send(stream, b"c"), read_all(stream))
            assert got == b"s" * (4 * MIB)
            await stream.close()
            await acceptor.close(grace=5)
        assert notes == []

    run(main())


@pytest.mark.parametrize("front", ["tcp", "unix", "tls1.2", "tls1.3"])
@pytest.mark.parametrize("back", ["tcp", "unix", "tls1.2", "tls1.3"])
def test_two_streams_joined_keep_the_half_close(front, back, tmp_path):
    """Each pair: what a relay does with plain reads and writes."""
    async def answer(stream):
        data = await read_all(stream)
        await asyncio.sleep(0.2)
        await stream.write(data[::-1])

    async def main():
        (tmp_path / "back").mkdir()
        behind, target = await served(back, answer, tmp_path / "back")

        async def join(stream):
            other = await reached(back, target)
            await asyncio.gather(copy(stream, other), copy(other, stream))
            await other.close()

        before, end = await served(front, join, tmp_path)
        async with behind, before:
            stream = await reached(front, end)
            await stream.write(bytes(range(256)) * 4096)
            await stream.write_eof()
            assert await read_all(stream) == (bytes(range(256)) * 4096)[::-1]
            await stream.close()

    run(main())


def test_program_ended_input_late_answer_arrives():
    async def whole():
        stream = await dial("exec:sh -c 'cat; sleep 0.2; echo late'")
        writing = asyncio.create_task(stream.write(b"x" * MIB))
        got = b""
        while len(got) < MIB:
            got += await stream.read()
        await writing
        await stream.write_eof()
        assert got + await read_all(stream) == b"x" * MIB + b"late\n"
        await stream.close()
        assert stream.process.returncode == 0

    run(whole())


@pytest.mark.parametrize("link", sorted(VERSIONS))
def test_tls_cut_without_close_notify_is_noticed(link, tmp_path):
    async def cut(stream):
        await stream.write(b"half an ans")
        await stream.inner.write_eof()
        await stream.inner.read()

    async def main():
        acceptor, end = await served(link, cut, tmp_path)
        async with acceptor:
            stream = await reached(link, end)
            assert await read_all(stream) == b"half an ans"
            assert stream.truncated
            await stream.close()

    run(main())
