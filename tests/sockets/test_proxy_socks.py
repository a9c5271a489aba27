from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.proxy_rules import Door
from portulan.sockets.proxy_socks import (
    Asked,
    Command,
    Reply,
    SocksError,
    negotiate,
    pack_datagram,
    read_request,
    reply,
    unpack_datagram,
)

OPEN, LOCKED = Door.parse("socks5://:1"), Door.parse("socks5://me:pw@:1")


class Wire:
    """A stream whose client has said everything already."""

    def __init__(self, data: bytes) -> None:
        self.left, self.said = data, b""

    async def read(self, max_bytes: int = 1 << 20) -> bytes:
        data, self.left = self.left[:max_bytes], self.left[max_bytes:]
        return data

    async def write(self, data: bytes) -> None:
        self.said += data


def talk(data: bytes, door: Door = OPEN) -> tuple[Asked, Wire]:
    wire = Wire(data)

    async def main() -> Asked:
        await negotiate(wire, door)  # type: ignore[arg-type]
        return await read_request(wire)  # type: ignore[arg-type]

    return asyncio.run(main()), wire


HELLO = b"\5\1\0"


@pytest.mark.parametrize("request_, asked", [
    (b"\5\1\0\1\x7f\0\0\1\0\x50", Asked(Command.CONNECT, "127.0.0.1", 80)),
    (b"\5\1\0\3\x09localhost\1\xbb", Asked(Command.CONNECT, "localhost", 443)),
    (b"\5\3\0\4" + bytes(15) + b"\1\0\0", Asked(Command.UDP_ASSOCIATE, "::1", 0)),
])
def test_request_is_read_and_nothing_beyond(request_: bytes, asked: Asked) -> None:
    got, wire = talk(HELLO + request_ + b"more")
    assert got == asked
    assert (wire.said, wire.left) == (b"\5\0", b"more")


def test_login_is_asked_for_and_checked() -> None:
    _, wire = talk(b"\5\2\0\2\1\2me\2pw\5\1\0\1\x7f\0\0\1\0\x50", LOCKED)
    assert wire.said == b"\5\2\1\0"


@pytest.mark.parametrize("door, data, said", [
    (LOCKED, b"\5\1\0", b"\5\xff"), (OPEN, b"\5\1\2", b"\5\xff"), (OPEN, b"\5\0", b"\5\xff"),
    (LOCKED, b"\5\1\2\1\2me\2no", b"\5\2\1\1"), (LOCKED, b"\5\1\2\1\0\0", b"\5\2\1\1"),
    (OPEN, b"\4\1", b""), (OPEN, b"GET / HTTP", b""),
])
def test_client_that_may_not_is_told_so(door: Door, data: bytes, said: bytes) -> None:
    wire = Wire(data)
    with pytest.raises(SocksError):
        asyncio.run(negotiate(wire, door))  # type: ignore[arg-type]
    assert wire.said == said


@pytest.mark.parametrize("data, code", [
    (b"\5\2\0\1\x7f\0\0\1\0\x50", Reply.NO_COMMAND), (b"\5\1\0\2", Reply.NO_ADDRESS_TYPE),
    (b"\5\1\0\3\0\0\x50", Reply.HOST_UNREACHABLE), (b"\5\1\0\3\3a b\0\x50", Reply.HOST_UNREACHABLE),
    (b"\4\1\0\1", None),
])
def test_request_that_is_not_served_gets_its_code(data: bytes, code: Reply | None) -> None:
    with pytest.raises(SocksError) as caught:
        talk(HELLO + data)
    assert caught.value.reply == code


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    for whole in (data, HELLO + data, HELLO + b"\5\1\0" + data):
        with contextlib.suppress(SocksError, ConnectionResetError):
            talk(whole)


def test_reply_names_an_address_of_either_family() -> None:
    assert reply(Reply.SUCCEEDED, ("127.0.0.1", 80)) == b"\5\0\0\1\x7f\0\0\1\0\x50"
    assert reply(Reply.REFUSED) == b"\5\5\0\1\0\0\0\0\0\0"
    assert len(reply(Reply.SUCCEEDED, ("fe80::1%lo", 80))) == 22


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=50))
def test_datagram_survives_the_way_there_and_back(host: object, port: int, data: bytes) -> None:
    if getattr(host, "scope_id", None):
        return
    assert unpack_datagram(pack_datagram(str(host), port, data)) == (str(host), port, data)


@pytest.mark.parametrize("data", [
    b"", b"\0\0\0", b"\0\0\0\1\x7f\0\0\1\0", b"\0\0\1\1\x7f\0\0\1\0\x50x", b"\0\0\0\3",
    b"\0\0\0\3\0",
    b"\0\0\0\3\x05ab", b"\0\0\0\5aaaaaaaa", b"\1\0\0\1\x7f\0\0\1\0\x50", b"\0\0\0\3\3a b\0\x50",
])
def test_datagram_that_is_none_is_dropped(data: bytes) -> None:
    assert unpack_datagram(data) is None


@given(st.binary(max_size=60))
def test_any_datagram_is_read_or_dropped(data: bytes) -> None:
    found = unpack_datagram(b"\0\0\0" + data)
    assert found is None or data.endswith(found[2])
