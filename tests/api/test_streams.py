"""Endpoints for Python users, over loopback."""

import asyncio

import pytest

import portulan
from portulan.errors import PortulanError
from portulan.record import Connection


async def echo(stream):
    while data := await stream.read(4096):
        await stream.write(data)
    await stream.write_eof()


async def say(address, text):
    stream = await portulan.dial(f"tcp://{address}")
    await stream.write(text.encode())
    await stream.write_eof()
    heard = b""
    while data := await stream.read(4096):
        heard += data
    await stream.close()
    return heard.decode()


def test_dial_and_listen_speak_any_alphabet():
    async def run():
        async with await portulan.listen("tcp://127.0.0.1:0", echo) as door:
            return await say(door.addresses[0], "안녕하세요, こんにちは")

    assert asyncio.run(run()) == "안녕하세요, こんにちは"


def test_relay_passes_on_and_records_the_connection():
    records = []

    async def run():
        async with await portulan.listen("tcp://127.0.0.1:0", echo) as target:
            relay = portulan.relay(
                "tcp://127.0.0.1:0", f"tcp://{target.addresses[0]}", record=records.append)
            async with relay as door:
                heard = await say(door.addresses[0], "x" * 100_000)
                for _ in range(100):
                    if records:
                        break
                    await asyncio.sleep(0.01)
        return heard

    assert asyncio.run(run()) == "x" * 100_000
    assert isinstance(records[0], Connection)


def test_dial_where_nobody_listens_is_one_line():
    with pytest.raises(PortulanError, match="refused") as caught:
        asyncio.run(portulan.dial("tcp://127.0.0.1:1"))
    assert "\n" not in str(caught.value)


def test_relay_with_nonsense_limits_is_refused():
    async def run():
        portulan.relay("tcp://127.0.0.1:0", "tcp://127.0.0.1:1", idle_s=-1)

    with pytest.raises(PortulanError, match="seconds"):
        asyncio.run(run())
