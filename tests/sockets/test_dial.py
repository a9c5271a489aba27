import asyncio
import errno
import socket

import pytest

from portulan.errors import UsageError
from portulan.sockets import dial as room
from portulan.sockets.acceptor import bind_datagrams, listen
from portulan.sockets.dial import dial, dial_datagrams
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError
from portulan.sockets.services import echo
from tests.sockets.talking import read_all, run


def fault(endpoint):
    with pytest.raises(DialError) as error:
        run(dial(endpoint))
    assert "\n" not in str(error.value)
    return error.value


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def said(stream, words=b"hello"):
    await stream.write(words)
    await stream.write_eof()
    got = await read_all(stream)
    await stream.close()
    return got


def test_closed_port_dialed_is_refused():
    port = closed_port()
    error = fault(f"127.0.0.1:{port}")
    assert error.kind == "refused" and str(error).startswith(f"127.0.0.1:{port}: refused")


def test_unix_path_without_socket_is_one_line(tmp_path):
    assert "no such" in str(fault(f"unix:{tmp_path}/none"))
    (tmp_path / "file").touch()
    assert fault(f"unix:{tmp_path}/file").kind == "refused"


def test_unknown_name_is_a_name_fault(monkeypatch):
    async def lookup(host, port, **more):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(room, "lookup", lookup)
    error = fault("nosuch.example:80")
    assert (error.kind, error.hint) == ("name", "check its spelling")


def test_dead_name_server_times_out(monkeypatch):
    async def lookup(host, port, **more):
        await asyncio.sleep(30)

    monkeypatch.setattr(room, "lookup", lookup)
    assert fault("slow.example:80?timeout=0.1").kind == "timeout"


def test_first_family_refusing_the_other_answers(monkeypatch):
    async def main():
        async with await listen("127.0.0.1:0", echo) as acceptor:
            port = acceptor.port

            async def lookup(host, _, **more):
                return [(socket.AF_INET6, ("::1", port, 0, 0)),
                        (socket.AF_INET, ("127.0.0.1", port))]

            monkeypatch.setattr(room, "lookup", lookup)
            assert await said(await dial(f"dual.example:{port}")) == b"hello"
            with pytest.raises(DialError, match="refused"):
                await dial(f"dual.example:{port}?family=6")

    run(main())


def test_first_address_silent_the_second_wins_after_a_quarter_second(monkeypatch):
    tried = []

    async def attempt(end, found):
        tried.append((found[1][0], asyncio.get_running_loop().time()))
        if found[1][0] == "::1":
            await asyncio.sleep(30)
        return "stream"

    async def lookup(host, port, **more):
        return [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(room, "_attempt", attempt)
    monkeypatch.setattr(room, "lookup", lookup)
    assert run(room.connect_tcp(Endpoint.parse("h:1"))) == "stream"
    assert [host for host, _ in tried] == ["::1", "127.0.0.1"]
    assert tried[1][1] - tried[0][1] >= room.ATTEMPT_DELAY_S - 0.01


def test_faults_of_all_addresses_the_telling_one_is_told(monkeypatch):
    async def attempt(end, found):
        code = errno.ECONNREFUSED if found[0] == socket.AF_INET else errno.ENETUNREACH
        raise OSError(code, "")

    async def lookup(host, port, **more):
        return [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(room, "_attempt", attempt)
    monkeypatch.setattr(room, "lookup", lookup)
    assert fault("h:1").kind == "refused"


def test_name_with_many_addresses_a_bounded_number_is_tried(monkeypatch):
    tried = []

    async def attempt(end, found):
        tried.append(found)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "")

    async def lookup(host, port, **more):
        return [(socket.AF_INET, (f"127.0.0.{number}", port)) for number in range(200)]

    monkeypatch.setattr(room, "_attempt", attempt)
    monkeypatch.setattr(room, "lookup", lookup)
    fault("h:1")
    assert len(tried) == room.ADDRESSES_MAX


def test_source_address_and_port_are_used():
    async def main():
        async with await listen("127.0.0.1:0", echo) as acceptor:
            port = closed_port()
            stream = await dial(f"127.0.0.1:{acceptor.port}?source=127.0.0.3:{port}")
            assert stream.local == f"127.0.0.3:{port}"
            assert await said(stream) == b"hello"
            with pytest.raises(DialError, match="not an address of this machine"):
                await dial(f"127.0.0.1:{acceptor.port}?source=192.0.2.1")
            with pytest.raises(DialError, match="IPv6"):
                await dial(f"127.0.0.1:{acceptor.port}?source=::1")
            with pytest.raises(DialError, match="no such interface"):
                await dial(f"127.0.0.1:{acceptor.port}?interface=nosuch0")

    run(main())


def test_port_that_would_meet_itself_is_refused():
    async def main():
        port = closed_port()
        with pytest.raises(DialError, match="refused"):
            await dial(f"127.0.0.1:{port}?source=127.0.0.1:{port}")

    run(main())


def test_full_unix_queue_is_waited_for(tmp_path):
    async def main():
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{tmp_path}/s")
            server.listen(0)
            first = await dial(f"unix:{tmp_path}/s")
            second = asyncio.create_task(dial(f"unix:{tmp_path}/s"))
            await asyncio.sleep(0.05)
            assert not second.done()
            server.accept()[0].close()
            (await second).abort()
            first.abort()
            server.accept()[0].close()

    run(main())


@pytest.mark.parametrize("endpoint", ["udp://127.0.0.1:1", "unixgram:/x"])
def test_datagrams_dialed_as_stream_is_a_usage_error(endpoint):
    with pytest.raises(UsageError, match="dial_datagrams"):
        run(dial(endpoint))


def test_stream_dialed_as_datagrams_is_a_usage_error():
    with pytest.raises(UsageError, match="use dial"):
        run(dial_datagrams("tcp://127.0.0.1:1"))


def test_file_and_missing_program(tmp_path):
    path = tmp_path / "data"

    async def main():
        for mode, text in (("w", b"one"), ("a", b" two")):
            stream = await dial(f"file:{path}?mode={mode}")
            assert await stream.read() == b""
            await stream.write(text)
            await stream.close()
        stream = await dial(f"file:{path}")
        assert await read_all(stream) == b"one two"
        with pytest.raises(BrokenPipeError):
            await stream.write(b"x")
        await stream.close()

    run(main())
    assert "is a directory" in str(fault(f"file:{tmp_path}"))
    assert "no such" in str(fault("exec:/nonexistent/program"))


def test_datagrams_to_one_peer_come_back():
    async def main():
        ours = await bind_datagrams("127.0.0.1:0")
        peer = await dial_datagrams(f"udp://{ours.local}")
        await peer.send(b"")
        data, sender = await ours.receive()
        assert data == b""
        await ours.send(b"back", sender)
        assert (await peer.receive())[0] == b"back"
        ours.close()
        with pytest.raises(ConnectionRefusedError):
            await peer.send(b"x")
            await peer.receive()
        peer.close()

    run(main())
