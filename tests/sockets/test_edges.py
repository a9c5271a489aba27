from __future__ import annotations

import asyncio
import socket

from portulan.sockets.edges import CLOSING, READ, WRITE, Edges


def test_watched_socket_is_woken_once_an_edge_and_forgotten_one_never():
    async def scene():
        edges = Edges(asyncio.get_running_loop())
        one, two = socket.socketpair()
        masks: list[int] = []
        edges.watch(one.fileno(), masks.append)
        await asyncio.sleep(0.02)
        assert masks == [WRITE]
        two.send(b"x")
        await asyncio.sleep(0.02)
        assert len(masks) == 2 and masks[1] & READ
        await asyncio.sleep(0.02)
        assert len(masks) == 2  # nothing new: no edge, although the byte is unread
        two.close()
        await asyncio.sleep(0.02)
        assert masks[2] & CLOSING
        edges.forget(one.fileno())
        one.close()
        edges.close()
        edges.close()
    asyncio.run(scene())


def test_new_owner_of_a_descriptor_is_woken_for_what_the_old_one_saw():
    async def scene():
        edges = Edges(asyncio.get_running_loop())
        one, two = socket.socketpair()
        old: list[int] = []
        new: list[int] = []
        edges.watch(one.fileno(), old.append)
        two.close()
        await asyncio.sleep(0.02)
        assert old
        edges.watch(one.fileno(), new.append)
        await asyncio.sleep(0.02)
        assert new[0] & READ and new[0] & WRITE and new[0] & CLOSING
        edges.close()
        one.close()
    asyncio.run(scene())


def test_again_wakes_in_the_next_turn_once():
    async def scene():
        edges = Edges(asyncio.get_running_loop())
        masks: list[int] = []
        wake = masks.append
        edges.again(wake)
        edges.again(wake)
        assert masks == []
        await asyncio.sleep(0.02)
        assert len(masks) == 1
        edges.close()
    asyncio.run(scene())
