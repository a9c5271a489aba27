from __future__ import annotations

import asyncio
import os
import socket

import pytest

from portulan.errors import UsageError
from portulan.sockets.access import AccessList
from portulan.sockets.proxy import Proxy
from portulan.sockets.proxy_rules import Door, Rules
from tests.sockets.proxying import echoing, exactly, proxying

HELLO = b"\5\1\0"


def test_two_doors_listen_at_once() -> None:
    with proxying("socks5://:0", "http://:0") as proxy:
        assert len(proxy.ports) == 2
        assert all(name.startswith("127.0.0.1:") for name in proxy.proxy.addresses)
        with proxy.connect(1) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 400"


def test_client_list_decides_who_is_served() -> None:
    clients = AccessList.of(deny=["127.0.0.1"])
    with proxying("socks5://:0", clients=clients) as proxy, pytest.raises(ConnectionResetError):
        sock = proxy.connect()
        with sock:
            sock.sendall(HELLO)
            if not sock.recv(2):
                raise ConnectionResetError


def test_connections_beyond_the_limit_wait() -> None:
    with echoing() as port, proxying("socks5://:0", max_conns=1) as proxy:
        with proxy.connect() as first:
            first.sendall(HELLO)
            assert exactly(first, 2) == b"\5\0"
            waiting = proxy.connect()
            waiting.sendall(HELLO + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big"))
        with waiting:
            assert exactly(waiting, 12)[:4] == b"\5\0\5\0"


def test_many_connections_leave_no_descriptor() -> None:
    with echoing() as port, proxying("socks5://:0") as proxy:
        request = HELLO + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big")
        before = 0
        for number in range(300):
            with proxy.connect() as sock:
                sock.sendall(request + b"x")
                if number % 3:
                    exactly(sock, 13)
            if number == 20:
                while proxy.proxy.active:
                    pass
                before = len(os.listdir("/proc/self/fd"))
        while proxy.proxy.active:
            pass
        assert len(os.listdir("/proc/self/fd")) <= before + 6
        assert len(proxy.ended) == 300


def test_stop_ends_what_is_under_way() -> None:
    with echoing() as port:
        with proxying("socks5://:0") as proxy:
            sock = proxy.connect()
            sock.sendall(HELLO + b"\5\1\0\1\x7f\0\0\1" + port.to_bytes(2, "big"))
            exactly(sock, 12)
        with sock, pytest.raises(ConnectionResetError):
            if not sock.recv(1):
                raise ConnectionResetError
        assert [line.closed for line in proxy.ended] == ["stopped"]


def test_second_door_in_use_closes_the_first() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            doors = [Door.parse("socks5://:0"),
                     Door.parse(f"http://:{taken.getsockname()[1]}")]
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(UsageError, match="in use"):
                await Proxy(doors, Rules(), clock=lambda: 0).start()
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())
