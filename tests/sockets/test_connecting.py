from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace

from portulan.sockets.connecting import Connecting, drop
from portulan.sockets.edges import Edges
from portulan.sockets.ledger import Line


def scene(play):
    async def stage():
        calls: list[tuple[object, ...]] = []
        relay = SimpleNamespace(
            edges=Edges(asyncio.get_running_loop()),
            target=SimpleNamespace(options=SimpleNamespace(timeout=3.0)),
            refuse=lambda client, line, code: calls.append(("refuse", code)),
            over=lambda line, why, error: calls.append(("over", why)),
            joined=lambda *_, to_target: calls.append(("joined", to_target)),
        )
        line = Line(client="c", local="l", protocol="tcp", started_ns=0, now_s=100.0)
        client, far = socket.socketpair()
        target = socket.socket()
        target.setblocking(False)
        way = Connecting(relay, client, target, line, first=b"first")
        relay.edges.watch(target.fileno(), way.wake)
        await play(way, target, calls)
        relay.edges.close()
        for sock in (client, far, target):
            sock.close()
    asyncio.run(stage())


def test_answer_of_the_target_hands_both_on_with_what_goes_first():
    async def play(way, target, calls):
        with socket.create_server(("127.0.0.1", 0)) as door:
            target.connect_ex(door.getsockname())
            await asyncio.sleep(0.05)
        assert calls[-1] == ("joined", b"first")
    scene(play)


def test_wake_without_an_answer_changes_nothing():
    async def play(way, target, calls):
        way.wake(0)
        assert calls == []
    scene(play)


def test_silence_of_the_target_is_a_timeout_and_said_once():
    async def play(way, target, calls):
        way.tick(102.0, 0)
        assert calls == []
        way.tick(103.5, 0)
        assert calls == [("refuse", errno.ETIMEDOUT)]
    scene(play)


def test_stopped_connecting_is_over_and_closed():
    async def play(way, target, calls):
        way.close("stopped")
        assert calls == [("over", "stopped")]
        assert target.fileno() == -1
    scene(play)


def test_dropped_socket_is_reset():
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        taken, _ = door.accept()
    drop(taken)
    try:
        client.recv(1)
        outcome = "end"
    except ConnectionResetError:
        outcome = "reset"
    client.close()
    assert outcome == "reset"
