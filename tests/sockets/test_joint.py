from __future__ import annotations

import asyncio
import socket

import pytest

from portulan.sockets.edges import Edges
from portulan.sockets.joint import LINGER_S, QUIET_S, Joint
from portulan.sockets.ledger import Line
from portulan.sockets.splice import NARROW, Plumbing


def scene(play):
    """Run `play(joint, client's far end, target's far end, clock, ends)`."""
    async def stage():
        loop = asyncio.get_running_loop()
        edges, plumbing = Edges(loop), Plumbing()
        far_client, client = socket.socketpair()
        target, far_target = socket.socketpair()
        for sock in (far_client, client, target, far_target):
            sock.setblocking(False)
        clock = [100.0]
        ends: list[tuple[str, str]] = []
        line = Line(client="c", local="l", protocol="tcp", started_ns=0, now_s=clock[0])
        joint = Joint(client, target, line, edges=edges, plumbing=plumbing, now=lambda: clock[0],
                      ended=lambda _, why, error: ends.append((why, error)))
        await play(joint, far_client, far_target, clock, ends)
        joint.close("stopped")
        assert len(ends) == 1
        edges.close()
        plumbing.close()
        far_client.close()
        far_target.close()
    asyncio.run(stage())


def test_joint_ends_once_both_directions_have():
    async def play(joint, client, target, clock, ends):
        client.send(b"question")
        client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.02)
        assert (target.recv(99), target.recv(99), ends) == (b"question", b"", [])
        target.send(b"answer")
        target.close()
        await asyncio.sleep(0.02)
        assert (client.recv(99), client.recv(99)) == (b"answer", b"")
        assert ends == [("end", "")]
        assert (joint.up.count, joint.down.count) == (8, 6)
    scene(play)


def test_silence_beyond_the_limit_is_idle_and_without_limit_is_none():
    async def play(joint, client, target, clock, ends):
        joint.tick(clock[0] + 1e9, 0)
        assert ends == []
        joint.tick(clock[0] + 5.1, 5.0)
        assert ends == [("idle", "")]
    scene(play)


def test_bytes_put_off_the_idle_limit():
    async def play(joint, client, target, clock, ends):
        clock[0] += 4
        client.send(b"x")
        await asyncio.sleep(0.02)
        joint.tick(clock[0] + 4, 5.0)
        assert ends == []
    scene(play)


def test_quiet_bulk_gives_its_pipe_back():
    async def play(joint, client, target, clock, ends):
        client.send(bytes(NARROW))
        await asyncio.sleep(0.02)
        assert joint.up._pipe is not None
        joint.tick(clock[0] + QUIET_S + 1, 0)
        assert joint.up._pipe is None
    scene(play)


@pytest.mark.parametrize("after_s", [0.5, LINGER_S + 0.1])
def test_client_that_goes_on_sending_to_a_lost_target_is_ended_after_lingering(after_s):
    async def play(joint, client, target, clock, ends):
        target.send(b"too large")
        target.close()
        client.send(b"x")
        await asyncio.sleep(0.02)
        assert client.recv(99) == b"too large"
        client.send(b"y")
        await asyncio.sleep(0.02)
        joint.tick(clock[0], 0)
        joint.tick(clock[0] + after_s, 0)
        assert ends == ([("target-reset", "")] if after_s > LINGER_S else [])
    scene(play)


def test_fault_inside_of_a_pump_ends_this_joint_with_an_error(monkeypatch):
    async def play(joint, client, target, clock, ends):
        def broken(_):
            raise RuntimeError("tap")
        joint.up.tap = broken
        client.send(b"x")
        await asyncio.sleep(0.02)
        assert ends == [("error", "RuntimeError: tap")]
    scene(play)
