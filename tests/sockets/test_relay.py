"""A relay between real sockets on loopback: what must arrive, what must end, who is served."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from portulan.errors import UsageError
from portulan.record import Connection
from portulan.sockets.access import AccessList
from portulan.sockets.certificate import throw_away
from portulan.sockets.dial import dial
from portulan.sockets.faults import DialError
from portulan.sockets.relay import Relay, make_relay
from portulan.sockets.relay_rules import Rules
from portulan.sockets.stream import Stream
from portulan.sockets.tee import Tee
from portulan.wire.frames import Frames

WAIT_S = 20
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, WAIT_S))


@contextlib.asynccontextmanager
async def relayed(serve: Serve, *, listen="0", scheme="tcp", query="", rules=None, tee=None,
                  records=None) -> AsyncIterator[Relay]:
    """Yield a relay in front of a server; `scheme` and `query` say how the target is reached."""
    context = None
    if scheme == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made = throw_away()
        with made.files() as (cert, key):
            context.load_cert_chain(cert, key)
        query = f"?pin={made.fingerprint}"

    async def quiet(reader, writer):
        with contextlib.suppress(OSError, ssl.SSLError):
            await serve(reader, writer)
        with contextlib.suppress(OSError, ssl.SSLError):
            writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0, ssl=context, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    relay = make_relay(listen, f"{scheme}://127.0.0.1:{port}{query}", rules or Rules(),
                       clock=time.time_ns, tee=tee,
                       record=(records if records is not None else []).append)
    assert isinstance(relay, Relay)
    async with server, relay:
        yield relay


def port_of(relay: Relay) -> int:
    return int(relay.addresses[0].rpartition(":")[2])


async def ask(relay: Relay, *, tls_max=None) -> Stream:
    """Connect to a relay, with TLS if it listens so."""
    if relay.listen_context is None:
        return await dial(f"tcp://{relay.addresses[0]}")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls_max:
        context.maximum_version = tls_max
    return await dial(f"tls://{relay.addresses[0]}", context=context)


async def read_all(stream: Stream) -> bytes:
    return b"".join([data async for data in chunks(stream)])


async def chunks(stream: Stream):
    while data := await stream.read():
        yield data


def late(delay_s: float, size: int) -> Serve:
    """Serve: read to the end, wait, then answer with a digest and `size` bytes."""
    async def serve(reader, writer):
        digest = hashlib.sha256(await reader.read(-1)).digest()
        await asyncio.sleep(delay_s)
        writer.write(digest + random.Random(size).randbytes(size))
        await writer.drain()
    return serve


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def is_turned_away(relay: Relay, sent: bytes = b"") -> None:
    """Connect without TLS and get nothing: the reset may come as early as the connect."""
    with contextlib.suppress(OSError, DialError):
        stream = await dial(f"tcp://{relay.addresses[0]}")
        try:
            await stream.write(sent)
            assert await stream.read() == b""
        finally:
            stream.abort()


async def until(condition, wait_s=5.0) -> None:
    end = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.01)


# -- half close ------------------------------------------------------------------------------------

VERSIONS = [None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=["tcp", "tls1.2", "tls1.3"])
@pytest.mark.parametrize("delay_s", [0, 0.3])
@pytest.mark.parametrize("size", [0, 1 << 20])
def test_late_answer_after_the_clients_end_arrives_whole(version, delay_s, size):
    async def scene():
        records: list[Connection] = []
        listen = "tls://0" if version else "0"
        async with relayed(late(delay_s, size), listen=listen, records=records) as relay:
            stream = await ask(relay, tls_max=version)
            sent = random.Random(1).randbytes(300_000)
            await stream.write(sent)
            await stream.write_eof()
            answer = await read_all(stream)
            await stream.close()
            assert answer[:32] == hashlib.sha256(sent).digest()
            assert answer[32:] == random.Random(size).randbytes(size)
            await until(lambda: records)
            assert records[0].closed == "end"
            assert (records[0].received, records[0].sent) == (300_000, 32 + size)
            assert records[0].tls[:7] == (version.name.replace("_", ".") if version else "")
    run(scene())


@pytest.mark.parametrize("listen", ["tcp", "unix", "tls"])
@pytest.mark.parametrize("target", ["tcp", "unix", "tls"])
def test_servers_end_first_leaves_the_clients_direction_open(listen, target, tmp_path):
    async def scene():
        got = bytearray()
        door = {"tcp": "0", "unix": f"unix:{tmp_path}/in", "tls": "tls://0"}[listen]
        other = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix:{tmp_path}/out",
                 "tls": "tls://127.0.0.1:0"}[target]

        async def serve(stream):
            await stream.write(b"first")
            await stream.write_eof()
            async for data in chunks(stream):
                got.extend(data)

        from portulan.sockets.acceptor import listen as accept
        async with await accept(other, serve) as acceptor:
            pin = f"?pin={acceptor.fingerprint}" if target == "tls" else ""
            where = other if target == "unix" else f"{target}://{acceptor.addresses[0]}{pin}"
            relay = make_relay(door, where, Rules(), clock=time.time_ns)
            async with relay:
                if listen == "unix":
                    stream = await dial(door)
                else:
                    stream = await ask(relay)
                assert await read_all(stream) == b"first"
                await asyncio.sleep(0.1)
                await stream.write(b"still heard")
                await stream.write_eof()
                await until(lambda: bytes(got) == b"still heard")
                await stream.close()
    run(scene())


def test_a_target_over_tls_gets_the_clients_end_after_all_its_bytes():
    # asyncio's own TLS server answers nothing after an end: what it heard is what counts.
    async def scene():
        heard: list[bytes] = []

        async def serve(reader, writer):
            heard.append(hashlib.sha256(await reader.read(-1)).digest())

        async with relayed(serve, scheme="tls") as relay:
            stream = await ask(relay)
            sent = random.Random(2).randbytes(3 << 20)
            await stream.write(sent)
            await stream.write_eof()
            await until(lambda: heard)
            assert heard == [hashlib.sha256(sent).digest()]
            stream.abort()
    run(scene())


def test_64_mib_both_ways_at_once_arrive_unchanged():
    async def scene():
        async with relayed(echo) as relay:
            stream = await ask(relay)
            block = random.Random(3).randbytes(1 << 20)
            heard, told = hashlib.sha256(), hashlib.sha256()

            async def talk():
                for number in range(64):
                    data = block[number:] + block[:number]
                    told.update(data)
                    await stream.write(data)
                await stream.write_eof()

            talking = asyncio.create_task(talk())
            size = 0
            async for data in chunks(stream):
                heard.update(data)
                size += len(data)
            await talking
            await stream.close()
            assert size == 64 << 20
            assert heard.digest() == told.digest()
    run(scene())


# -- ends that are not in order --------------------------------------------------------------------

def test_reset_of_the_client_reaches_the_target():
    async def scene():
        records: list[Connection] = []
        seen: list[str] = []

        async def serve(reader, writer):
            try:
                await reader.read(-1)
                seen.append("end")
            except ConnectionResetError:
                seen.append("reset")

        async with relayed(serve, records=records) as relay:
            stream = await ask(relay)
            await stream.write(b"x")
            await until(lambda: relay.lines)
            await asyncio.sleep(0.1)
            stream.abort()
            await until(lambda: seen and records)
            assert (seen, records[0].closed) == (["reset"], "client-reset")
    run(scene())


def test_reset_of_the_target_reaches_the_client_after_what_it_said():
    async def scene():
        async def serve(reader, writer):
            writer.write(b"too large")
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        records: list[Connection] = []
        async with relayed(serve, records=records) as relay:
            stream = await ask(relay)
            assert await stream.read() == b"too large"
            with pytest.raises(ConnectionResetError):
                await stream.read()
            stream.abort()
            await until(lambda: records)
            assert records[0].closed == "target-reset"
    run(scene())


def test_answer_of_a_target_that_stops_reading_is_delivered():
    async def scene():
        async def serve(reader, writer):
            await reader.read(1)
            writer.write(b"413")
            await writer.drain()
            writer.close()  # unread bytes make this a reset

        async with relayed(serve) as relay:
            stream = await ask(relay)
            with contextlib.suppress(OSError):
                for _ in range(40):
                    await stream.write(bytes(65536))
                    await asyncio.sleep(0)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = await stream.read()
            assert answer == b"413"
            stream.abort()
    run(scene())


def test_closed_target_is_refused_with_a_reset_and_a_record():
    async def scene():
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        records: list[Connection] = []
        async with make_relay("0", f"127.0.0.1:{port}", Rules(), clock=time.time_ns,
                              record=records.append) as relay:
            await is_turned_away(relay)
            assert records[0].closed == "refused"
            assert "nothing listens" in records[0].error
    run(scene())


def test_absent_unix_target_is_unreachable(tmp_path):
    async def scene():
        records: list[Connection] = []
        async with make_relay("0", f"unix:{tmp_path}/none", Rules(), clock=time.time_ns,
                              record=records.append) as relay:
            await is_turned_away(relay)
            await until(lambda: records)
            assert records[0].closed == "unreachable"
    run(scene())


@pytest.mark.parametrize("listen", ["0", "tls://0"])
def test_silence_beyond_the_idle_limit_ends_with_idle(listen):
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, listen=listen, rules=Rules(idle_s=0.2), records=records) as relay:
            stream = await ask(relay)
            await stream.write(b"x")
            assert await stream.read() == b"x"
            with contextlib.suppress(OSError):
                await stream.read()
            stream.abort()
            await until(lambda: records)
            assert records[0].closed == "idle"
    run(scene())


def test_stop_ends_what_is_under_way_and_leaves_nothing():
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, records=records) as relay:
            streams = [await ask(relay) for _ in range(3)]
            await until(lambda: len(relay.lines) == 3)
            await relay.stop()
            assert [each.closed for each in records] == ["stopped"] * 3
            assert not relay.lines
            for stream in streams:
                stream.abort()
    run(scene())


# -- who is served ---------------------------------------------------------------------------------

def test_denied_address_is_turned_away_and_noted():
    async def scene():
        records: list[Connection] = []
        rules = Rules(access=AccessList.of(["10.0.0.0/8"]))
        async with relayed(echo, rules=rules, records=records) as relay:
            await is_turned_away(relay)
            assert records[0].closed == "denied"
    run(scene())


def test_tls_client_that_never_speaks_is_ended_while_others_are_served():
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, listen="tls://0", rules=Rules(handshake_s=0.3),
                           records=records) as relay:
            silent = await dial(f"tcp://{relay.addresses[0]}")
            stream = await ask(relay)
            await stream.write(b"served")
            assert await stream.read() == b"served"
            with contextlib.suppress(OSError):
                assert await silent.read() == b""
            assert [each.closed for each in records] == ["timeout"]
            await stream.close()
            silent.abort()
    run(scene())


def test_garbage_instead_of_tls_is_a_tls_end():
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, listen="tls://0", records=records) as relay:
            stream = await dial(f"tcp://{relay.addresses[0]}")
            await stream.write(b"GET / HTTP/1.0\r\n\r\n" * 9)
            with contextlib.suppress(OSError):
                await read_all(stream)
            stream.abort()
            await until(lambda: records)
            assert records[0].closed == "tls"
            assert "HTTP" in records[0].error
    run(scene())


def test_wrong_certificate_of_the_target_is_a_tls_end():
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, scheme="tls", records=records) as relay:
            relay.target = relay.target.using(pin="00" * 32)
            stream = await ask(relay)
            with contextlib.suppress(OSError):
                assert await stream.read() == b""
            stream.abort()
            await until(lambda: records)
            assert (records[0].closed, "fingerprint" in records[0].error) == ("tls", True)
    run(scene())


def test_limit_of_connections_makes_the_next_wait_until_one_ends():
    async def scene():
        async with relayed(echo, rules=Rules(max_conns=1)) as relay:
            first = await ask(relay)
            await first.write(b"1")
            assert await first.read() == b"1"
            second = await ask(relay)
            await second.write(b"2")
            await asyncio.sleep(0.1)
            assert relay.total == 1
            await first.close()
            assert await second.read() == b"2"
            await second.close()
    run(scene())


def test_2000_instant_resets_leave_the_relay_serving():
    async def scene():
        async with relayed(echo) as relay:
            port = port_of(relay)

            def storm():
                for _ in range(2000):
                    with socket.socket() as sock:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
                        sock.connect(("127.0.0.1", port))

            await asyncio.to_thread(storm)
            stream = await ask(relay)
            await stream.write(b"here")
            assert await stream.read() == b"here"
            await stream.close()
            await until(lambda: not relay.lines)
    run(scene())


def test_clients_that_never_read_are_bounded_and_others_served():
    async def scene():
        async def flood(reader, writer):
            if await reader.read(1) == b"f":
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
            writer.write(b"fine")

        async with relayed(flood) as relay:
            greedy = [await ask(relay) for _ in range(20)]
            for stream in greedy:
                await stream.write(b"f")
            await until(lambda: len(relay.lines) == 20)
            await asyncio.sleep(0.3)
            stream = await ask(relay)
            await stream.write(b"x")
            assert await stream.read() == b"fine"
            held = sum(len(running.down._rest) for running in relay.lines.values())
            assert held <= 20 * 32768
            for each in [*greedy, stream]:
                each.abort()
    run(scene())


def test_no_descriptors_left_makes_clients_wait_not_fail():
    async def scene():
        async with relayed(echo) as relay:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            opened = []
            try:
                stream = await ask(relay)
                await stream.write(b"1")
                assert await stream.read() == b"1"
                sock = socket.socket()
                sock.setblocking(False)
                resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, hard))
                with contextlib.suppress(OSError):
                    while True:
                        opened.append(socket.socket())
                sock.connect_ex(("127.0.0.1", port_of(relay)))
                await asyncio.sleep(0.3)
                await stream.write(b"2")
                assert await stream.read() == b"2"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for each in opened:
                    each.close()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, b"late")
            assert await loop.sock_recv(sock, 9) == b"late"
            sock.close()
            await stream.close()
    run(scene())


def test_failing_record_of_one_connection_stops_nobody():
    async def scene():
        heard: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context))

        class Broken(list):
            def append(self, item):
                raise RuntimeError("no")

        async with relayed(echo, records=Broken()) as relay:
            for _ in range(3):
                stream = await ask(relay)
                await stream.write(b"x")
                assert await stream.read() == b"x"
                await stream.close()
            await until(lambda: not relay.lines)
        assert heard
    run(scene())


# -- PROXY protocol --------------------------------------------------------------------------------

@pytest.mark.parametrize(("version", "start"), [(1, b"PROXY TCP4 127.0.0.1 127.0.0.1 "),
                                                (2, b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")])
@pytest.mark.parametrize("listen", ["0", "tls://0"])
def test_proxy_header_goes_out_before_the_clients_bytes(version, start, listen):
    async def scene():
        async with relayed(echo, listen=listen, rules=Rules(proxy_out=version)) as relay:
            stream = await ask(relay)
            await stream.write(b"hello")
            await stream.write_eof()
            heard = await read_all(stream)
            assert heard.startswith(start)
            assert heard.endswith(b"hello")
            await stream.close()
    run(scene())


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_proxy_header_of_a_trusted_source_names_the_client(cut):
    async def scene():
        records: list[Connection] = []
        rules = Rules(proxy_in=True, proxy_out=1)
        async with relayed(echo, rules=rules, records=records) as relay:
            stream = await ask(relay)
            header = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n"
            await stream.write(header[:cut] or header)
            await asyncio.sleep(0.05)
            await stream.write((header[cut:] if cut else b"") + b"body")
            await stream.write_eof()
            assert await read_all(stream) == header + b"body"
            await stream.close()
            await until(lambda: records)
            assert records[0].client == "192.0.2.7:51000"
            assert records[0].via.startswith("127.0.0.1:")
    run(scene())


@pytest.mark.parametrize(("rules", "sent", "closed"), [
    (Rules(proxy_in=True), b"GET / HTTP/1.0\r\n\r\n", "header"),
    (Rules(proxy_in=True, trusted=AccessList.of(["10.0.0.1"])), b"PROXY UNKNOWN\r\n", "denied"),
    (Rules(proxy_in=True, access=AccessList.of([], ["192.0.2.0/24"])),
     b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n", "denied"),
    (Rules(proxy_in=True, handshake_s=0.1), b"PROXY ", "timeout"),
])
def test_proxy_header_that_may_not_pass_ends_the_connection(rules, sent, closed):
    async def scene():
        records: list[Connection] = []
        async with relayed(echo, rules=rules, records=records) as relay:
            await is_turned_away(relay, sent)
            await until(lambda: records)
            assert records[0].closed == closed
    run(scene())


# -- what may not be meant, tee, peers -------------------------------------------------------------

@pytest.mark.parametrize(("listen", "target"), [
    ("0", "udp://127.0.0.1:9"), ("udp://0", "127.0.0.1:9"), ("stdio:", "127.0.0.1:9"),
    ("0", "file:/etc/hostname"), ("exec:cat", "127.0.0.1:9"), ("0", "nonsense://x"), ("", "x:1"),
])
def test_ends_that_cannot_be_joined_are_usage_errors(listen, target):
    async def scene():
        with pytest.raises(UsageError):
            make_relay(listen, target, Rules(), clock=time.time_ns)
    run(scene())


def test_relay_to_itself_is_refused():
    async def scene():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        relay = make_relay(f"127.0.0.1:{port}", f"127.0.0.1:{port}", Rules(), clock=time.time_ns)
        with pytest.raises(UsageError, match="itself"):
            await relay.start()
    run(scene())


def test_program_as_target_answers_and_ends():
    async def scene():
        async with make_relay("0", "exec:cat", Rules(), clock=time.time_ns) as relay:
            stream = await ask(relay)
            await stream.write(b"round")
            await stream.write_eof()
            assert await read_all(stream) == b"round"
            await stream.close()
    run(scene())


@pytest.mark.parametrize("listen", ["0", "tls://0"])
def test_tee_holds_what_passed_in_the_clear(listen):
    async def scene():
        frames: list[tuple[Frames, str]] = []
        tee = Tee(lambda batch, comment: frames.append((batch, comment)), time.time_ns)
        async with relayed(echo, listen=listen, tee=tee) as relay:
            stream = await ask(relay)
            await stream.write(b"a secret")
            await stream.write_eof()
            assert await read_all(stream) == b"a secret"
            await stream.close()
            await until(lambda: not relay.lines)
        octets = b"".join(frame for batch, _ in frames for frame in batch)
        assert octets.count(b"a secret") == 2
        assert frames[0][1].startswith("127.0.0.1:")
    run(scene())


@pytest.mark.peer
@pytest.mark.parametrize("words", [
    ["socat", "-t5", "-", "TCP:127.0.0.1:{port}"], ["ncat", "127.0.0.1", "{port}"],
    ["nc", "-N", "127.0.0.1", "{port}"],
])
def test_peers_get_a_late_answer_through_the_relay(words):
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed")

    async def scene():
        async with relayed(late(0.5, 100_000)) as relay:
            line = [word.format(port=port_of(relay)) for word in words]
            sent = "日本語 한국어\n".encode() * 5000
            done = await asyncio.to_thread(
                subprocess.run, line, input=sent, capture_output=True, timeout=15, check=True)
            assert done.stdout[:32] == hashlib.sha256(sent).digest()
            assert len(done.stdout) == 32 + 100_000
    run(scene())


@pytest.mark.peer
def test_curl_speaks_tls_to_a_plain_server_through_the_relay(tmp_path):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")

    async def scene():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        made = throw_away(("localhost", "127.0.0.1"))
        with made.files() as (cert, key):
            async with relayed(serve, listen=f"tls://0?cert={cert}&key={key}") as relay:
                line = ["curl", "-sS", "--noproxy", "*", "--cacert", cert,
                        f"https://127.0.0.1:{port_of(relay)}/"]
                done = await asyncio.to_thread(subprocess.run, line, capture_output=True, timeout=9)
                assert (done.stdout, done.stderr) == (b"hello", b"")
    run(scene())
