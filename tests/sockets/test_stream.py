import asyncio
import socket

import pytest

from portulan.sockets.stream import SocketStream, address_name, bare_host, finish, socket_name
from tests.sockets.talking import read_all, run


def pair():
    ours, theirs = socket.socketpair()
    return SocketStream(ours), SocketStream(theirs)


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        return SocketStream(ours), SocketStream(server.accept()[0])


def test_read_cancelled_loses_nothing():
    async def main():
        ours, theirs = pair()
        parts = b""
        for _ in range(20):
            reading = asyncio.create_task(ours.read())
            await asyncio.sleep(0)
            await theirs.write(b"x")
            reading.cancel()
            got = (await asyncio.gather(reading, return_exceptions=True))[0]
            parts += got if isinstance(got, bytes) else b""
        await theirs.close()
        assert parts + await read_all(ours) == b"x" * 20
        await ours.close()

    run(main())


def test_bytes_given_back_come_first_and_count_once():
    async def main():
        ours, theirs = pair()
        await theirs.write(b"world")
        data = await ours.read()
        ours.push(data[2:])
        ours.push(data[:2])
        assert ours.received == 0
        assert await ours.read(1) == b"w"
        assert ours.unread() == b"orld" and ours.unread() == b""
        assert ours.received == 5
        await ours.close()
        await theirs.close()

    run(main())


def test_peer_never_reading_holds_up_the_writer_not_the_memory():
    async def main():
        ours, theirs = pair()
        writing = asyncio.create_task(ours.write(bytes(1 << 24)))
        await asyncio.sleep(0.05)
        assert not writing.done() and 0 < ours.sent < 1 << 22
        ours.abort()
        with pytest.raises(OSError):
            await writing
        await theirs.close()

    run(main())


def test_abort_resets_tcp():
    async def main():
        ours, theirs = tcp_pair()
        ours.abort()
        ours.abort()
        with pytest.raises(ConnectionResetError):
            await theirs.read()
        theirs.abort()

    run(main())


def test_closed_stream_wakes_its_reader():
    async def main():
        ours, theirs = pair()
        reading = asyncio.create_task(ours.read())
        await asyncio.sleep(0)
        await ours.close()
        with pytest.raises(ConnectionAbortedError):
            await reading
        await ours.write_eof()
        await theirs.close()

    run(main())


def test_finish_with_unread_bytes_lets_the_answer_arrive():
    async def main():
        ours, theirs = tcp_pair()
        await ours.write(b"question that nobody reads")
        await theirs.write(b"answer")
        finishing = asyncio.create_task(finish(theirs))
        assert await read_all(ours) == b"answer"
        await ours.close()
        await finishing

    run(main())


@pytest.mark.parametrize(("name", "text"), [
    (("10.0.0.1", 80), "10.0.0.1:80"), (("::1", 80, 0, 0), "[::1]:80"), ("/run/x", "/run/x"),
    (("::ffff:10.0.0.1", 80, 0, 0), "10.0.0.1:80"), (b"\0abs", "@abs"), (b"", ""), ("", ""),
    (None, ""),
])
def test_socket_address_named(name, text):
    assert address_name(name) == text


def test_bare_host_keeps_real_v6():
    assert bare_host("::ffff:1:2") == "::ffff:1:2"


def test_name_of_a_closed_socket_is_empty():
    sock = socket.socket()
    sock.close()
    assert socket_name(sock) == ""
