from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import numpy as np
import pytest

import portulan.wire as wire
from portulan.drive.datagrams import DatagramSweep, datagram_kind
from portulan.scan.sweep import Sweep
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire.frames import Frames, LinkType


@contextmanager
def answering(host, reply):
    """A server that answers its first datagrams with what `reply` makes of them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))

        def serve():
            while True:
                data, peer = sock.recvfrom(2000)
                if data == b"stop":
                    return
                sock.sendto(reply(data), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()[1]
        with socket.socket(family, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"stop", (host, sock.getsockname()[1]))
        thread.join()


def closed_ports(count):
    socks = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(count)]
    for sock in socks:
        sock.bind(("::", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def run(space):
    told = []
    sweep = Sweep(space.size, seed=3, retries=2, hosts=space.host_count, host_of=space.host_of)
    kind = datagram_kind(space, key=(1, 2), sport=61_000)
    driver = DatagramSweep(
        sweep, kind, report=told.append, stop=threading.Event(), zones={})
    try:
        driver.run()
    finally:
        driver.close()
    rows = {}
    for found in told:
        probes = space.probes(found.answers.index)
        for family, port, state, reason in zip(
                probes.family.tolist(), probes.port.tolist(), found.answers.state.tolist(),
                found.answers.reason.tolist(), strict=True):
            assert (family, port) not in rows
            rows[family, port] = state, reason
    return rows


def test_both_families_tell_open_from_closed_from_silent_without_any_right():
    with (answering("127.0.0.1", bytes.upper) as port4, answering("::1", bytes.upper) as port6,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute):
        mute.bind(("127.0.0.1", 0))
        silent, closed = mute.getsockname()[1], closed_ports(2)
        space = Space([
            *Space.hosts([Range(4, 0x7F000001)], [(17, p) for p in (port4, silent, *closed)]
                         ).segments,
            *Space.hosts([Range(6, 1)], [(17, p) for p in (port6, *closed)]).segments,
        ])
        rows = run(space)
    opened, refused = (State.OPEN, Reason.UDP_RESPONSE), (State.CLOSED, Reason.PORT_UNREACH)
    wanted = {(family, port): refused for family in (4, 6) for port in closed}
    wanted |= {(4, port4): opened, (6, port6): opened}
    assert {key: rows.get(key) for key in wanted} == wanted
    assert (4, silent) not in rows


@pytest.mark.parametrize("forged", [True, False])
def test_reply_without_the_id_of_our_question_is_not_believed(forged):
    kind = datagram_kind(
        Space.hosts([Range(4, 0x7F000001)], [(17, 53)]), key=(1, 2), sport=61_000)
    [out] = kind.build(np.arange(1), 1)
    question = out.rows[0].tobytes()[28:]
    answer = bytes([question[0] ^ forged]) + question[1:2] + b"\x81\x80" + question[4:]
    reply = (wire.IPv4(src=0x7F000001) / wire.UDP(sport=53, dport=61_000) / answer).pack()
    assert len(kind.read(Frames.of([reply], link_type=LinkType.RAW))) == (not forged)
