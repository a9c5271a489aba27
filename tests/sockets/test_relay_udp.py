from __future__ import annotations

import asyncio
import contextlib
import doctest
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.record import Connection
from portulan.sockets import relay_udp
from portulan.sockets.access import AccessList
from portulan.sockets.relay import make_relay
from portulan.sockets.relay_rules import Rules
from portulan.sockets.relay_udp import DatagramRelay, FlowTable
from portulan.sockets.tee import Tee


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


@contextlib.asynccontextmanager
async def echoing(**options):
    """Yield a relay to an echo server, the list of its records, and the server's clients."""
    clients: list[object] = []

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            clients.append(address)
            self.transport.sendto(data, address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    records: list[Connection] = []
    tee = options.pop("tee", None)
    relay = make_relay("udp://0", f"udp://127.0.0.1:{port}", Rules(**options), clock=time.time_ns,
                       record=records.append, tee=tee)
    assert isinstance(relay, DatagramRelay)
    try:
        async with relay:
            yield relay, records, clients
    finally:
        transport.close()


@contextlib.contextmanager
def client_of(relay):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        host, _, port = relay.addresses[0].rpartition(":")
        sock.connect((host, int(port)))
        yield sock


async def heard(sock, wait_s=5.0):
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), wait_s)


async def until(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.01)


def test_docs_example_holds():
    assert doctest.testmod(relay_udp).failed == 0


@given(st.lists(st.tuples(st.sampled_from("gaex"), st.integers(0, 5)), max_size=60))
def test_table_never_exceeds_its_limit_and_loses_no_flow_silently(steps):
    table: FlowTable[int] = FlowTable(limit=3)
    alive: set[int] = set()
    keys: dict[int, int] = {}
    for now, (step, key) in enumerate(steps):
        if step == "g":
            flow = table.get(key, now=now)
            assert (flow in alive) if flow is not None else keys.get(key) not in alive
        elif step == "a" and table.get(key, now=now) is None:
            alive -= set(table.add(key, now, now=now))
            alive.add(now)
            keys[key] = now
        elif step == "e":
            table.answered(key, now=now)
        elif step == "x":
            alive -= set(table.expired(now=now, idle_s=4))
        assert len(table) == len(alive) <= 3
    assert set(table.clear()) == alive


def test_datagrams_keep_their_borders_both_ways_empty_and_large_ones_too():
    # The server is a bare socket: asyncio's transports send no empty datagrams.
    async def scene():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.setblocking(False)
            target = f"udp://127.0.0.1:{server.getsockname()[1]}"
            loop = asyncio.get_running_loop()
            async with make_relay("udp://0", target, Rules(), clock=time.time_ns) as relay:
                with client_of(relay) as sock:
                    for data in (b"a", b"", b"b" * 60_000, "日本語".encode()):
                        sock.send(data)
                        asked, sender = await loop.sock_recvfrom(server, 65535)
                        server.sendto(asked, sender)
                        assert await heard(sock) == data
    run(scene())


def test_each_client_has_its_own_way_and_its_own_answers():
    async def scene():
        async with echoing() as (relay, _, clients):
            with client_of(relay) as one, client_of(relay) as two:
                one.send(b"1")
                two.send(b"2")
                assert (await heard(one), await heard(two)) == (b"1", b"2")
            assert len(set(clients)) == 2
    run(scene())


def test_silent_flow_expires_and_a_new_one_begins():
    async def scene():
        async with echoing(idle_s=0.2) as (relay, records, clients):
            with client_of(relay) as sock:
                sock.send(b"one")
                await heard(sock)
                await until(lambda: records)
                assert (records[0].closed, records[0].received, records[0].sent) == ("idle", 3, 3)
                assert records[0].protocol == "udp"
                sock.send(b"two")
                assert await heard(sock) == b"two"
            assert len(set(clients)) == 2
            assert relay.total == 2
    run(scene())


def test_full_table_gives_up_the_unanswered_not_the_answered():
    async def scene():
        async with echoing(max_conns=2) as (relay, records, _):
            with client_of(relay) as good:
                good.send(b"x")
                await heard(good)
                for _ in range(20):
                    with client_of(relay) as stranger:
                        stranger.send(b"s")
                await until(lambda: relay.total == 21)
                assert len(relay.lines) <= 2
                good.send(b"still here")
                assert await heard(good) == b"still here"
            assert {each.closed for each in records} == {"crowded"}
    run(scene())


def test_denied_client_gets_nothing_and_costs_no_flow():
    async def scene():
        async with echoing(access=AccessList.of([], ["127.0.0.1"])) as (relay, _, clients):
            with client_of(relay) as sock:
                sock.send(b"x")
                await until(lambda: relay.refused)
            assert not relay.lines
            assert not clients
    run(scene())


def test_target_that_refuses_leaves_the_flow_and_its_error():
    async def scene():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        records: list[Connection] = []
        relay = make_relay("udp://0", f"udp://127.0.0.1:{port}", Rules(), clock=time.time_ns,
                           record=records.append)
        async with relay:
            with client_of(relay) as sock:
                for _ in range(3):
                    sock.send(b"x")
                    await asyncio.sleep(0.02)
            await until(lambda: relay.lines)
        assert records[0].closed == "stopped"
        assert "nothing listens" in records[0].error
    run(scene())


def test_unix_datagrams_go_there_and_back(tmp_path):
    async def scene():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(f"{tmp_path}/server")
            server.setblocking(False)
            relay = make_relay(f"unixgram:{tmp_path}/door", f"unixgram:{tmp_path}/server", Rules(),
                               clock=time.time_ns)
            async with relay:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                    client.bind(f"{tmp_path}/client")
                    client.setblocking(False)
                    client.sendto(b"ask", f"{tmp_path}/door")
                    loop = asyncio.get_running_loop()
                    data, sender = await loop.sock_recvfrom(server, 99)
                    assert data == b"ask"
                    server.sendto(b"answer", sender)
                    assert await heard(client) == b"answer"
        assert not (tmp_path / "door").exists()
    run(scene())


def test_tee_holds_the_datagrams():
    async def scene():
        frames = []
        tee = Tee(lambda batch, _: frames.extend(batch), time.time_ns)
        async with echoing(tee=tee) as (relay, _, _):
            with client_of(relay) as sock:
                sock.send(b"ping")
                await heard(sock)
        assert [frame[28:] for frame in frames] == [b"ping", b"ping"]
        assert frames[0][12:16] == socket.inet_aton("127.0.0.1")
    run(scene())


@pytest.mark.parametrize(("target", "rules"), [
    ("tcp://127.0.0.1:9", Rules()), ("udp://127.0.0.1:9", Rules(proxy_out=1)),
])
def test_streams_and_headers_are_not_for_datagrams(target, rules):
    async def scene():
        with pytest.raises(UsageError):
            make_relay("udp://0", target, rules, clock=time.time_ns)
    run(scene())
