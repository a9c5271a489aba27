from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portulan.sockets import connects as room
from portulan.sockets.connects import Connects, Probe, descriptor_room, is_own_peer

NS = 1_000_000_000


def drain(pool, limit_s=10):
    """Collect until nothing is pending: {at: error}."""
    found, stop = {}, time.monotonic() + limit_s
    while pool.pending and time.monotonic() < stop:
        for outcome in pool.collect(NS // 10, time.monotonic_ns()):
            assert outcome.at not in found
            found[outcome.at] = outcome.error
    for outcome in pool.collect(0, time.monotonic_ns()):
        found[outcome.at] = outcome.error
    return found


def ask(addresses, limit=None, family=socket.AF_INET):
    """Ask all addresses with a pool, as the driver does."""
    found, waiting = {}, [Probe(at, 1, address, family) for at, address in enumerate(addresses)]
    with Connects(limit) as pool:
        while waiting or pool.pending:
            while waiting and pool.room and pool.start(waiting[-1], time.monotonic_ns()):
                waiting.pop()
            for outcome in pool.collect(NS // 100, time.monotonic_ns()):
                found[outcome.at] = outcome.error
        for outcome in pool.collect(0, time.monotonic_ns()):
            found[outcome.at] = outcome.error
    return [found[at] for at in range(len(addresses))]


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield listening


def free_port(family=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(family) as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


def test_open_and_closed_ports_are_told_apart(server):
    port, closed = server.getsockname()[1], free_port()
    assert ask([("127.0.0.1", port), ("127.0.0.1", closed)]) == [0, errno.ECONNREFUSED]


def test_ipv6_is_asked_too():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port, closed = server.getsockname()[1], free_port(socket.AF_INET6, "::1")
        assert ask([("::1", port, 0, 0), ("::1", closed, 0, 0)], family=socket.AF_INET6) == [
            0, errno.ECONNREFUSED]


def test_refused_socket_asks_many_ports_exactly(server):
    port = server.getsockname()[1]
    closed = free_port()
    addresses = [("127.0.0.1", port if at % 50 == 7 else closed) for at in range(2000)]
    wanted = [0 if at % 50 == 7 else errno.ECONNREFUSED for at in range(2000)]
    assert ask(addresses, limit=3) == wanted


def test_port_that_accepts_and_resets_is_not_refused():
    # The reset may come before or after the handshake is noticed: open either way.
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        pool = Connects(8)
        with pool:
            for at in range(8):
                assert pool.start(
                    Probe(at, 1, ("127.0.0.1", server.getsockname()[1])), time.monotonic_ns())
            for _ in range(8):
                taken, _ = server.accept()
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, room.RESET_ON_CLOSE)
                taken.close()
            found = drain(pool)
        assert len(found) == 8
        assert set(found.values()) <= {0, errno.ECONNRESET}


def test_connect_that_meets_itself_is_closed():
    """A free port of the ephemeral range, asked until the kernel picks it as source too."""
    closed = free_port()
    low, high = (int(word) for word in
                 Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert low <= closed <= high
    met = socket.socket()
    met.bind(("127.0.0.1", closed))
    met.connect(("127.0.0.1", closed))
    assert is_own_peer(met)
    met.close()
    assert set(ask([("127.0.0.1", closed)] * 30_000)) == {errno.ECONNREFUSED}


def test_own_peer_found_by_the_pool_is_refused(monkeypatch, server):
    monkeypatch.setattr(room, "is_own_peer", lambda sock: True)
    assert ask([("127.0.0.1", server.getsockname()[1])]) == [errno.ECONNREFUSED]


def test_is_own_peer_of_others_and_of_the_unconnected_is_false(server):
    with socket.create_connection(server.getsockname()) as sock:
        assert not is_own_peer(sock)
    with socket.socket() as alone:
        assert not is_own_peer(alone)


def test_silent_probe_expires_by_age_only():
    # TEST-NET addresses must not be asked: a full backlog is silent as well.
    with Connects(4) as pool, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        hold = [socket.socket() for _ in range(3)]
        for sock in hold:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        time.sleep(0.05)
        assert pool.start(Probe(0, 1, full.getsockname()), 100)
        assert pool.start(Probe(1, 1, full.getsockname()), 200)
        assert pool.collect(0, 300) == []
        assert pool.oldest() == 100
        assert pool.expire(100) == 0
        assert pool.expire(101) == 1
        assert (pool.oldest(), pool.pending, pool.room) == (200, 1, 3)
        assert pool.expire(10**18) == 1
        assert pool.oldest() is None
        for sock in hold:
            sock.close()


def test_no_source_port_is_busy_not_an_answer(monkeypatch):
    class NoPort(socket.socket):
        def connect_ex(self, address):
            return errno.EADDRNOTAVAIL

    monkeypatch.setattr(room.socket, "socket", NoPort)
    with Connects(4) as pool:
        assert not pool.start(Probe(0, 1, ("127.0.0.1", 9)), 1)
        assert (pool.busy, pool.pending) == (1, 0)
        assert pool.collect(0, 2) == []
        assert not pool.start(Probe(0, 1, ("127.0.0.1", 9)), 1)
        assert len(pool._sockets) == 1, "the socket is used again"


def test_no_descriptor_shrinks_the_pool_and_raises_nothing(monkeypatch, server):
    class NoMore(socket.socket):
        left = 2

        def __init__(self, *words):
            NoMore.left -= 1
            if NoMore.left < 0:
                raise OSError(errno.EMFILE, "too many")
            super().__init__(*words)

    monkeypatch.setattr(room.socket, "socket", NoMore)
    with Connects(100) as pool:
        started = [pool.start(Probe(at, 1, server.getsockname()), 1) for at in range(3)]
        assert started == [True, True, False]
        assert pool.room <= 0 or pool._limit < 100


TINY = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from portulan.cli import main
main(["scan", "127.0.0.1", "-p", "1-3000," + sys.argv[1], "-sT", "--json", "--no-keep"])
"""


def test_scan_with_64_descriptors_is_exact(server):
    port = server.getsockname()[1]
    done = subprocess.run([sys.executable, "-c", TINY, str(port)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f'"port":{port},"protocol":"tcp","state":"open"' in done.stdout
    assert "Too many open files" not in done.stderr


def test_room_of_descriptors_respects_the_limits(monkeypatch):
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = {"now": (0, 0)}
    monkeypatch.setattr(room.resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(room.resource, "setrlimit",
                        lambda _, pair: limits.update(now=pair))
    for soft, hard, wanted in (
        (64, 64, 32), (10, 10, 1), (1024, 1024, 992), (1024, 10**6, room.IN_FLIGHT_MAX),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, room.IN_FLIGHT_MAX),
        (100, resource.RLIM_INFINITY, room.IN_FLIGHT_MAX),
    ):
        limits["now"] = (soft, hard)
        assert descriptor_room() == wanted
        assert limits["now"][1] == hard
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == kept


def listening():
    """Return ports that anything on this machine listens on at 127.0.0.1 or everywhere."""
    ports = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


def test_all_65535_ports_are_exact():
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(20)]
    ours = {server.getsockname()[1] for server in servers}
    before = listening()
    found = ask([("127.0.0.1", port) for port in range(1, 65536)])
    after = listening()
    for server in servers:
        server.close()
    is_open = {port for port, error in enumerate(found, 1) if error == 0}
    assert ours <= is_open
    # Others on this machine come and go: what they had open at no time must not be found.
    assert is_open <= before | after
    others = {error for port, error in enumerate(found, 1) if port not in before | after}
    assert others == {errno.ECONNREFUSED}


def test_closing_lets_go_of_every_descriptor(server):
    count = len(os.listdir("/proc/self/fd"))
    pool = Connects(50)
    for at in range(50):
        pool.start(Probe(at, 1, server.getsockname()), 1)
    pool.close()
    pool.close()
    assert len(os.listdir("/proc/self/fd")) == count
