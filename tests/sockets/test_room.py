import asyncio
import contextlib

import pytest

from portulan.sockets import room as place
from portulan.sockets.acceptor import listen
from portulan.sockets.dial import dial
from portulan.sockets.room import Broker, Chat, Room, clean_name
from tests.sockets.talking import read_all, run


@contextlib.asynccontextmanager
async def crowd(serve, count, notes=None):
    async with await listen("0", serve, note=(notes if notes is not None else []).append) as lobby:
        clients = [await dial(("127.0.0.1", lobby.port)) for _ in range(count)]
        while lobby.accepted < count:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        yield clients
        for client in clients:
            await client.close()


async def line(stream):
    data = b""
    while not data.endswith(b"\n"):
        part = await stream.read(1)
        assert part, data
        data += part
    return data.decode()


async def lines_until(stream, word):
    while word not in (text := await line(stream)):
        pass
    return text


def test_broker_passes_on_to_all_others():
    async def main():
        async with crowd(Broker().serve, 3) as (a, b, c):
            await a.write(b"\x00hello")
            assert await b.read() == await c.read() == b"\x00hello"
            await b.write(b"back")
            assert await a.read() == b"back"

    run(main())


def test_client_that_never_reads_is_dropped_and_others_are_served():
    notes = []

    async def main():
        async with crowd(Broker().serve, 3, notes) as (talker, reader, _silent):
            for _ in range(400):
                await talker.write(bytes(65536))
                left = 65536
                while left:
                    left -= len(await reader.read(left))
            assert [note.text for note in notes] == ["it reads too slowly"]

    run(main())


def test_chat_names_talk_and_leave():
    shown = []

    async def main():
        chat = Chat(shown.append)
        async with crowd(chat.serve, 2) as (a, b):
            assert await line(a) == "* you are guest1; /name NEW, /who, /quit\n"
            await lines_until(a, "guest2 is here")
            await a.write("/name 지수\n안녕, 日本".encode()[:-2])
            await a.write("本\n".encode()[1:])
            assert await lines_until(b, "now") == "* guest1 is now 지수\n"
            assert await line(b) == "<지수> 안녕, 日本\n"
            await b.write("/name 지수\n/who\n".encode())
            assert await lines_until(b, "taken")
            assert await line(b) == "* here are 지수 guest2\n"
            chat.speak(b"from the host\x1b[2J")
            assert await line(b) == "<host> from the host\\x1b[2J\n"
            await a.write(b"/quit\n")
            assert (await read_all(a)).decode().endswith("<host> from the host\\x1b[2J\n")
            await a.close()
            assert await lines_until(b, "left") == "* 지수 has left\n"

    run(main())
    assert "<지수> 안녕, 日本" in shown


def test_hostile_chat_line_reaches_nobody_raw():
    shown = []

    async def main():
        async with crowd(Chat(shown.append).serve, 2) as (a, b):
            await a.write(b"\x1b]0;owned\x07\xff\xe2\x80\xaetxt\r\n")
            text = await lines_until(b, "owned")
            assert text == "<guest1> \\x1b]0;owned\\x07\ufffd\\u202etxt\n"

    run(main())
    assert not any(letter < " " for letter in "".join(shown))


def test_endless_line_is_cut_and_memory_bounded():
    async def main():
        async with crowd(Chat(lambda text: None).serve, 2) as (a, b):
            await a.write(b"x" * 10_000)
            first = await lines_until(b, "xxx")
            assert len(first) <= place.LINE_MAX + 20

    run(main())


@pytest.mark.parametrize(("wish", "name"), [
    ("anna", "anna"), (" b_2-c ", "b_2-c"), ("", ""), ("a b", ""), ("x" * 25, ""), ("a\x1b", ""),
    ("\uff41\uff42", "ab"), ("민수", "민수"), ("a\u202eb", ""), ("<host>", ""),
])
def test_name_cleaned(wish, name):
    assert clean_name(wish) == name


def test_room_empty_again_waits_for_the_next():
    async def main():
        room = Room()

        async def nothing(member, data):
            pass

        async def serve(stream):
            await room.host(stream, nothing)

        async with crowd(serve, 1) as (a,):
            assert room.arrival.is_set()
            await room.drained()
            await a.write_eof()
            await read_all(a)
            await asyncio.sleep(0.02)
            assert not room.arrival.is_set() and not room.members

    run(main())
