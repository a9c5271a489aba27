import asyncio

import pytest

from portulan.errors import PeerError
from portulan.sockets import converse as room
from portulan.sockets.acceptor import bind_datagrams, listen
from portulan.sockets.coding import encoder
from portulan.sockets.converse import Conversation, SinkGone, Text, copy
from portulan.sockets.dial import dial, dial_datagrams
from portulan.sockets.services import echo
from tests.sockets.talking import read_all, run


class Kept:
    def __init__(self):
        self.data = b""

    async def write(self, data):
        self.data += data


class Never:
    async def read(self, max_bytes):
        await asyncio.sleep(60)


async def held(handler, source, **more):
    sink, notes = Kept(), []
    async with await listen("0", handler, note=notes.append) as acceptor:
        stream = await dial(("127.0.0.1", acceptor.port))
        try:
            how = Conversation(source, sink, **more)
            return await how.hold(stream), sink.data
        finally:
            await stream.close()


def test_input_sent_and_answer_received_whole():
    data = bytes(range(256)) * 8192
    assert run(held(echo, Text(data))) == (True, data)


def test_peer_ended_first_the_rest_of_the_input_is_sent():
    got = []

    async def early(stream):
        await stream.write_eof()
        got.append(await read_all(stream))

    class Slow:
        def __init__(self):
            self.left = 5

        async def read(self, max_bytes):
            await asyncio.sleep(0.05)
            self.left -= 1
            return b"x" * 100_000 if self.left >= 0 else b""

    run(held(early, Slow()))
    assert got == [b"x" * 500_000]


def test_peer_ended_silent_input_ends_soon(monkeypatch):
    monkeypatch.setattr(room, "INPUT_GRACE_S", 0.1)

    async def early(stream):
        await stream.write(b"bye")

    assert run(held(early, Never())) == (True, b"bye")


def test_peer_ended_person_is_not_waited_for():
    async def early(stream):
        await stream.write(b"bye")

    assert run(held(early, Never(), interactive=True)) == (True, b"bye")


def test_silence_ends_it_when_asked():
    async def silent(stream):
        await stream.write(b"a")
        await stream.read()

    assert run(held(silent, Never(), idle=0.1)) == (False, b"a")


def test_without_half_close_the_peer_does_not_see_our_end():
    async def main(half_close):
        ended = []

        async def see(stream):
            await stream.read()
            try:
                async with asyncio.timeout(0.1):
                    ended.append(await stream.read())
            except TimeoutError:
                ended.append(None)

        await held(see, Text(b"x"), half_close=half_close)
        return ended

    assert run(main(True)) == [b""]
    assert run(main(False)) == [None]


def test_reset_in_the_middle_is_raised():
    async def reset(stream):
        await stream.read()
        stream.abort()

    with pytest.raises(ConnectionResetError):
        run(held(reset, Text(b"x"), half_close=False))


def test_reader_of_our_output_gone_is_told_apart():
    class Gone:
        async def write(self, data):
            raise BrokenPipeError

    async def main():
        async with await listen("0", echo) as acceptor:
            stream = await dial(("127.0.0.1", acceptor.port))
            with pytest.raises(SinkGone):
                await Conversation(Text(b"x"), Gone()).hold(stream)
            stream.abort()

    run(main())


def test_input_that_cannot_be_encoded_ends_it_in_words():
    with pytest.raises(PeerError, match=r"euc_kr has no"):
        run(held(echo, Text("가é".encode()), outgoing=encoder("euc-kr")))


def test_datagrams_exchanged_until_silence():
    async def main():
        sink, seen = Kept(), []
        server = await bind_datagrams("0")
        peer = await dial_datagrams(f"udp://{server.local}")

        async def answer():
            data, sender = await server.receive()
            await server.send(data, sender)
            await server.send(b"", sender)
            await server.send(b" again", sender)

        answering = asyncio.create_task(answer())
        how = Conversation(Text(b"hello"), sink, idle=0.1,
                           watch=lambda data, *, sent: seen.append((sent, data)))
        await how.exchange(peer)
        await answering
        assert sink.data == b"hello again"
        assert seen == [(True, b"hello"), (False, b"hello"), (False, b""), (False, b" again")]
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await Conversation(Text(b"x"), sink, idle=0.5).exchange(peer)
        peer.close()

    run(main())


def test_copy_of_a_broken_source_still_ends_the_sink():
    ended = []

    class Broken:
        async def read(self):
            raise ConnectionResetError

        async def write_eof(self):
            ended.append(1)

    run(copy(Broken(), Broken()))
    assert ended == [1]
