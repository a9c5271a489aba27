import asyncio
import contextlib
import errno
import os
import socket
import ssl
from pathlib import Path

import pytest

from portulan.errors import PrivilegeError, UsageError
from portulan.sockets import acceptor as room
from portulan.sockets.acceptor import Closed, bind_datagrams, bind_error, listen
from portulan.sockets.access import AccessList
from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError
from portulan.sockets.services import echo
from tests.sockets.talking import reached, read_all, run, served


async def said(port, words=b"hello", host="127.0.0.1"):
    stream = await dial((host, port))
    try:
        await stream.write(words)
        await stream.write_eof()
        return await read_all(stream)
    finally:
        await stream.close()


def test_bare_port_is_on_the_loopback_and_zero_is_chosen():
    async def main():
        async with await listen("0", echo) as acceptor:
            assert acceptor.addresses == (f"127.0.0.1:{acceptor.port}",) and acceptor.port
            assert await said(acceptor.port) == b"hello"

    run(main())


def test_everywhere_serves_both_families_and_shows_plain_addresses():
    peers = []

    async def note_peer(stream):
        peers.append(stream.peer)
        await echo(stream)

    async def main():
        async with await listen("*:0", note_peer) as acceptor:
            assert await said(acceptor.port) == await said(acceptor.port, host="::1") == b"hello"

    run(main())
    assert peers[0].startswith("127.0.0.1:") and peers[1].startswith("[::1]:")


def test_localhost_binds_all_its_addresses_to_one_port():
    async def main():
        async with await listen("localhost:0", echo) as acceptor:
            ports = {address.rpartition(":")[2] for address in acceptor.addresses}
            assert len(ports) == 1
            for address in acceptor.addresses:
                stream = await dial(address)
                stream.abort()

    run(main())


def test_handler_that_raises_stops_nobody_else():
    notes = []

    async def handler(stream):
        if await stream.read() == b"bad":
            raise RuntimeError("boom\x1b[2J")
        await stream.write(b"good")

    async def main():
        async with await listen("0", handler, note=notes.append) as acceptor:
            with pytest.raises(ConnectionResetError):
                await said(acceptor.port, b"bad")
            assert await said(acceptor.port, b"x") == b"good"
            await acceptor.close(grace=1)

    run(main())
    assert [(note.kind, note.text) for note in notes] == [("error", "RuntimeError: boom\\x1b[2J")]


def test_handler_that_returns_early_its_answer_arrives_whole():
    async def handler(stream):
        await stream.write(b"a" * 300_000)

    async def main():
        async with await listen("0", handler) as acceptor:
            assert await said(acceptor.port, b"q" * 1_000_000) == b"a" * 300_000

    run(main())


def test_denied_address_is_reset_and_noted():
    notes = []

    async def main():
        access = AccessList.of(deny=["127.0.0.0/8"])
        async with await listen("*:0", echo, access=access, note=notes.append) as acceptor:
            with pytest.raises((OSError, DialError)):
                await said(acceptor.port)
            assert await said(acceptor.port, host="::1") == b"hello"
            assert (acceptor.refused, acceptor.accepted) == (1, 1)

    run(main())
    assert [note.kind for note in notes] == ["denied"]


def test_address_over_its_rate_is_reset_others_are_served():
    notes = []

    async def main():
        async with await listen("*:0", echo, rate=2, note=notes.append) as acceptor:
            assert [await said(acceptor.port) for _ in range(2)] == [b"hello"] * 2
            with pytest.raises((OSError, DialError)):
                await said(acceptor.port)
            assert await said(acceptor.port, host="::1") == b"hello"

    run(main())
    assert [note.kind for note in notes] == ["rate"]


def test_at_most_so_many_at_once_the_others_wait():
    async def main():
        async with await listen("0", echo, max_conns=2) as acceptor:
            first, second, third = [await dial(("127.0.0.1", acceptor.port)) for _ in range(3)]
            await third.write(b"waiting")
            reading = asyncio.create_task(third.read())
            await asyncio.sleep(0.1)
            assert acceptor.active == 2 and not reading.done()
            await first.close()
            assert await reading == b"waiting"
            for stream in (second, third):
                await stream.close()

    run(main())


def test_out_of_descriptors_it_waits_then_serves(monkeypatch):
    notes, calls = [], []

    class Starved(socket.socket):
        def accept(self):
            calls.append(1)
            if len(calls) <= 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr(room.socket, "socket", Starved)

    async def main():
        async with await listen("0", echo, note=notes.append) as acceptor:
            assert await said(acceptor.port) == b"hello"

    run(main())
    assert [note.kind for note in notes] == ["files"] * 3
    assert len(calls) < 10


def test_client_silent_in_the_handshake_is_dropped_in_time():
    notes = []

    async def main():
        async with await listen("tls://127.0.0.1:0", echo, handshake_timeout=0.1,
                                note=notes.append) as acceptor:
            stream = await dial(("127.0.0.1", acceptor.port))
            with pytest.raises(ConnectionResetError):
                await stream.read()
            await stream.close()

    run(main())
    assert notes[0].text == "no answer in time"


def test_client_of_plain_http_at_tls_is_told_apart():
    notes = []

    async def main():
        async with await listen("tls://127.0.0.1:0", echo, note=notes.append) as acceptor:
            stream = await dial(("127.0.0.1", acceptor.port))
            await stream.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(OSError):
                while await stream.read():
                    pass
                raise OSError
            await stream.close()

    run(main())
    assert (notes[0].kind, notes[0].text) == ("tls", "the peer speaks plain HTTP")


def test_what_precedes_tls_is_read_before_it():
    seen = []

    async def before(stream):
        seen.append(await stream.read(7))

    async def main():
        async with await listen("tls://127.0.0.1:0", echo, before_tls=before) as acceptor:
            from portulan.sockets.tls import client_context, start_client

            inner = await dial(("127.0.0.1", acceptor.port))
            await inner.write(b"PROXY\r\n")
            context = client_context(Endpoint.parse("tls://h:1?verify=no").options)
            stream = await start_client(inner, context, name="h")
            await stream.write(b"x")
            assert await stream.read() == b"x"
            await stream.close()

    run(main())
    assert seen == [b"PROXY\r\n"]


def test_unix_socket_file_goes_with_its_listener_and_stale_ones_are_replaced(tmp_path):
    path = tmp_path / "s"

    async def main():
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with await listen(f"unix:{path}", echo):
            with pytest.raises(UsageError, match="in use"):
                await listen(f"unix:{path}", echo)
            stream = await dial(f"unix:{path}")
            await stream.close()
        assert not path.exists()
        path.write_text("a file of the user's")
        with pytest.raises(UsageError, match="in use"):
            await listen(f"unix:{path}", echo)
        assert path.read_text()

    run(main())


def test_unix_socket_of_another_is_left(tmp_path):
    path = tmp_path / "s"

    async def main():
        async with await listen(f"unix:{path}", echo):
            path.unlink()
            path.write_text("theirs")
        assert path.exists()

    run(main())


def test_abstract_socket_serves():
    async def main():
        name = f"@portulan-test-{os.getpid()}"
        async with await listen(f"unix:{name}", echo) as acceptor:
            assert acceptor.addresses == (name,) and acceptor.port == 0
            stream = await dial(f"unix:{name}")
            await stream.write(b"x")
            assert await stream.read() == b"x"
            await stream.close()
        assert not Path(name).exists()

    run(main())


def test_closed_listener_refuses_while_those_here_stay():
    async def main():
        acceptor = await listen("0", echo)
        port = acceptor.port
        stream = await dial(("127.0.0.1", port))
        await stream.write(b"a")
        assert await stream.read() == b"a"
        acceptor.stop_listening()
        with pytest.raises(Exception, match="refused"):
            await dial(("127.0.0.1", port))
        await stream.write(b"b")
        assert await stream.read() == b"b"
        waiting = asyncio.create_task(acceptor.wait_closed())
        await acceptor.close()
        await waiting
        stream.abort()

    run(main())


@pytest.mark.parametrize(("endpoint", "words"), [
    ("192.0.2.1:0", "not an address of this machine"), ("exec:cat", "cannot listen"),
    ("udp://127.0.0.1:0", "cannot listen"), ("127.0.0.1:0?interface=nosuch0", "no such interface"),
])
def test_where_none_can_listen_is_a_usage_error(endpoint, words):
    with pytest.raises(UsageError, match=words):
        run(listen(endpoint, echo))


def test_port_in_use_is_a_usage_error_with_a_way_out():
    async def main():
        async with await listen("0", echo) as acceptor:
            await listen(str(acceptor.port), echo)

    with pytest.raises(UsageError, match="port 0 takes a free one"):
        run(main())


def test_privileged_port_names_the_right_and_the_command():
    error = bind_error(Endpoint.parse("80", listening=True), PermissionError(errno.EACCES, ""))
    assert isinstance(error, PrivilegeError) and error.right == "CAP_NET_BIND_SERVICE"
    assert "ip_unprivileged_port_start=80" in error.grant and "setcap" in error.grant


def test_stream_bound_as_datagrams_is_a_usage_error():
    with pytest.raises(UsageError, match="use listen"):
        run(bind_datagrams("tcp://127.0.0.1:0"))


def test_context_of_the_callers_is_used():
    async def main():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        async with await listen("tls://127.0.0.1:0", echo, context=context) as acceptor:
            assert acceptor.fingerprint == ""

    run(main())


def kept(link, deed, tmp_path, handler=None, **more):
    """Return the records of one client that does `deed`."""
    async def echoed(stream):
        while data := await stream.read():
            await stream.write(data)

    async def main():
        records, notes = [], []
        acceptor, end = await served(link, handler or echoed, tmp_path, record=records.append,
                                     clock=lambda: 10**18, note=notes.append, **more)
        async with acceptor:
            with contextlib.suppress(OSError, DialError):
                await deed(acceptor, end)
            for _ in range(500):
                if records:
                    break
                await asyncio.sleep(0.01)
        return records

    return run(main())


@pytest.mark.parametrize("link", ["tcp", "unix", "tls1.3"])
def test_record_of_an_orderly_client_counts_its_content(link, tmp_path):
    async def talk(_, end):
        stream = await reached(link, end)
        await stream.write(b"hello")
        await stream.write_eof()
        assert await stream.read() == b"hello"
        await stream.close()

    (record,) = kept(link, talk, tmp_path)
    assert (record.closed, record.received, record.sent, record.error) == ("end", 5, 5, "")
    assert record.protocol == ("unix" if link == "unix" else "tcp")
    assert record.started == "2001-09-09T01:46:40.000000Z"
    assert (record.rtt_us > 0) == (link != "unix")
    assert record.tls[:7] == ("TLSv1.3" if link == "tls1.3" else "")


def test_record_of_a_client_that_speaks_no_tls_says_so(tmp_path):
    async def junk(acceptor, _):
        stream = await dial(f"tcp://{acceptor.addresses[0]}")
        try:
            await stream.write(b"no hello at all\r\n\r\n")
            await stream.read()
        finally:
            stream.abort()

    (record,) = kept("tls1.3", junk, tmp_path)
    assert record.closed == "tls"
    assert "does not speak TLS" in record.error


def test_record_of_a_client_that_resets_says_so(tmp_path):
    async def leave(_, end):
        stream = await reached("tcp", end)
        await stream.write(b"x")
        await stream.read()
        stream.abort()

    (record,) = kept("tcp", leave, tmp_path)
    assert (record.closed, record.received) == ("client-reset", 1)


def test_record_of_a_denied_client_has_no_bytes(tmp_path):
    async def knock(_, end):
        (await reached("tcp", end)).abort()

    (record,) = kept("tcp", knock, tmp_path, access=AccessList.of([], ["127.0.0.0/8"]))
    assert (record.closed, record.received) == ("denied", 0)


@pytest.mark.parametrize(("fault", "closed"), [
    (Closed("idle"), "idle"), (TimeoutError(), "idle"), (ValueError("bad"), "error")])
def test_record_says_what_the_handler_says(fault, closed, tmp_path):
    async def fail(_):
        raise fault

    async def come(_, end):
        stream = await reached("tcp", end)
        try:
            await stream.read()
        finally:
            stream.abort()

    (record,) = kept("tcp", come, tmp_path, handler=fail)
    assert record.closed == closed


def test_record_that_fails_stops_nobody(tmp_path):
    def full(_):
        raise OSError(28, "No space left on device")

    async def echo(stream):
        await stream.write(await stream.read())

    async def main():
        notes = []
        acceptor, end = await served("tcp", echo, tmp_path, record=full, note=notes.append)
        async with acceptor:
            for _ in range(2):
                stream = await reached("tcp", end)
                await stream.write(b"x")
                await stream.write_eof()
                assert await stream.read() == b"x"
                await stream.close()
            await asyncio.sleep(0.05)
        assert "not recorded" in notes[0].text

    run(main())
