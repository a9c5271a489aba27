from __future__ import annotations

import socket

import pytest

from portulan.sockets import hops_tcp
from portulan.sockets.hops import Heard
from portulan.sockets.hops_tcp import TcpHops

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@pytest.fixture
def listener(request):
    family, addr = request.param
    with socket.create_server((addr, 0), family=family) as server:
        server.settimeout(2)
        yield server


def heard_by(sockets):
    try:
        return list(sockets.hear(2_000_000_000))
    finally:
        sockets.close()


@pytest.mark.parametrize("listener", FAMILIES, ids=["v4", "v6"], indirect=True)
def test_open_port_shows_that_its_host_is_reached_and_is_left_by_a_reset(listener):
    addr, port, *_ = listener.getsockname()
    sockets = TcpHops(port=port)
    sockets.open(7, addr)
    assert sockets.send(7, 64, 0x0102)
    assert heard_by(sockets) == [Heard(7, 0x0102, addr, "reached", "")]
    with pytest.raises(OSError):  # not even accepted, or reset when read
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2)
            connection.recv(1)
            pytest.fail("an end without a reset")


@pytest.mark.parametrize(("family", "addr"), FAMILIES)
def test_closed_port_shows_that_its_host_is_reached(family, addr):
    with socket.socket(family) as sock:
        sock.bind((addr, 0))
        port = sock.getsockname()[1]
        sockets = TcpHops(port=port)
        sockets.open(1, addr)
        assert sockets.send(1, 64, 3)
        assert heard_by(sockets) == [Heard(1, 3, addr, "reached", "")]


def test_oldest_attempt_gives_way_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(hops_tcp, "PROBES_MAX", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets = TcpHops(port=server.getsockname()[1])
        sockets.open(0, "127.0.0.1")
        for tag in range(3):
            assert sockets.send(0, 64, tag)
        assert sorted(heard.tag for heard in heard_by(sockets)) == [1, 2]


def test_shut_host_is_heard_of_no_more():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets = TcpHops(port=server.getsockname()[1])
        for host in (0, 1):
            sockets.open(host, "127.0.0.1")
            sockets.send(host, 64, host)
        sockets.shut(0)
        assert [heard.host for heard in heard_by(sockets)] == [1]
