from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.sockets import serve as room
from portulan.sockets.access import AccessList
from portulan.sockets.serve import known_host
from tests.sockets.serving import Running, ask, read_answer, serving

GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"A" * 10)
    (tmp_path / "big").write_bytes(bytes(8 << 20))
    return tmp_path


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@contextlib.contextmanager
def crowd(
    server: Running, count: int, data: bytes, *, endless: bool = False
) -> Iterator[list[socket.socket]]:
    """So many clients that send this and then neither read nor speak."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(server.connect())
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.send(data) if data else None
                while endless:
                    sock.send(data)
            socks.append(sock)
        yield socks


@pytest.mark.parametrize("host, known", [
    ("localhost", True), ("LOCALHOST:80", True), ("a.localhost", True), ("127.0.0.1:8000", True),
    ("[::1]:8000", True), ("[::1]", True), ("10.1.2.3", True), ("box", True), ("box.:80", True),
    ("evil.example", False), ("127.0.0.1.evil.example", False), ("", False), ("xlocalhost", False),
])
def test_host_is_known_or_not(host: str, known: bool) -> None:
    assert known_host(host, {"box"}) is known


def test_page_of_another_name_gets_nothing_on_the_loopback(root: Path) -> None:
    with serving(root, names=["my.test"]) as server:
        hosts = {"evil.example": 421, "my.test": 200, f"[::1]:{server.port}": 200}
        for host, status in hosts.items():
            request = f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            assert ask(server, request).status == status


def test_access_list_decides_who_connects(root: Path) -> None:
    nobody = AccessList.of(deny=["127.0.0.0/8"])
    with serving(root, access=nobody) as server, pytest.raises(OSError):
        ask(server, GET)
    with serving(root, access=AccessList.of(allow=["127.0.0.1"])) as server:
        assert ask(server, GET).status == 200


def test_rate_bounds_new_connections(root: Path) -> None:
    with serving(root, rate=1.0) as server:
        assert ask(server, GET).status == 200
        with pytest.raises(OSError):
            for _ in range(3):
                ask(server, GET)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nX: ", GET])
def test_idle_and_slow_clients_give_way_at_the_limit(root: Path, data: bytes) -> None:
    with serving(root, max_conns=20) as server, crowd(server, 60, data):
        for _ in range(5):
            assert ask(server, GET).status == 200
        assert server.server.active <= 20


def test_clients_that_read_nothing_give_way_at_the_limit(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portulan.sockets import serve_connection

    monkeypatch.setattr(serve_connection, "STALLED_AT_LIMIT_S", 0.0)
    request = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(root, max_conns=5) as server, crowd(server, 5, request) as socks:
        for sock in socks:
            sock.setblocking(True)
            sock.recv(100)
        for _ in range(200):
            with contextlib.suppress(OSError):
                assert ask(server, GET).status == 200
                break
        else:
            pytest.fail("nobody gave way")


class NoMoreFiles:
    """A listener whose process has no descriptor left."""

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "x")


def test_lack_of_descriptors_makes_idle_clients_give_way(root: Path) -> None:
    with serving(root) as server, crowd(server, 30, b""):
        while server.server.active < 30:
            time.sleep(0.01)
        server.loop.call_soon_threadsafe(server.server._accept, NoMoreFiles())
        while server.server.active > 22:
            time.sleep(0.01)
        for _ in range(3):
            assert ask(server, GET).status == 200
        assert server.server.active <= 22


def test_full_server_keeps_its_clients_while_nobody_waits(root: Path) -> None:
    with serving(root, max_conns=3) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(3)]
        for _ in range(3):
            for sock in socks:
                sock.sendall(GET)
                assert read_answer(sock).status == 200


def test_instant_resets_leave_nothing(root: Path) -> None:
    with serving(root) as server:
        ask(server, GET)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(2000):
            with server.connect() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if number % 2:
                    sock.send(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(3):
            assert ask(server, GET).status == 200
        while server.server.active:
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) <= before
        assert server.notes == []


def test_memory_stays_bounded_when_nobody_reads(root: Path) -> None:
    with serving(root) as server:
        ask(server, GET)
        before = resident_kb()
        with crowd(server, 200, GET * 1000, endless=True):
            assert ask(server, GET).status == 200
            assert resident_kb() - before < 200 * 200


def test_https_is_served_with_a_throw_away_certificate(root: Path) -> None:
    with serving(root, "tls://127.0.0.1:0") as server:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
        for path, size in (("/a", 10), ("/big", 8 << 20), ("/a", 10)):
            client.request("GET", path)
            answer = client.getresponse()
            assert (answer.status, len(answer.read())) == (200, size)
        client.close()
        assert len(server.server.fingerprint) == 64
        with server.connect() as sock:  # plain HTTP on it disturbs nobody
            sock.sendall(GET)
            with contextlib.suppress(ConnectionResetError):
                assert not sock.recv(1).startswith(b"H")
        client.request("HEAD", "/a")
        assert client.getresponse().status == 200
        client.close()


def test_silent_tls_client_keeps_nobody_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "HANDSHAKE_AT_LIMIT_S", 0.1)
    with serving(root, "tls://127.0.0.1:0", max_conns=3) as server, crowd(server, 3, b"\x16"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with server.connect() as raw, context.wrap_socket(raw) as sock:
            sock.sendall(GET)
            assert read_answer(sock).status == 200


@pytest.mark.parametrize("endpoint", ["udp://127.0.0.1:0", "unix:/nowhere/x", "exec:cat"])
def test_endpoint_that_is_no_tcp_is_refused(root: Path, endpoint: str) -> None:
    import asyncio

    from portulan.sockets.serve_files import Files
    from portulan.sockets.serve_tree import Tree

    with pytest.raises(UsageError):
        asyncio.run(room.serve(Files(Tree(root)), endpoint))


def test_close_ends_what_is_under_way(root: Path) -> None:
    request = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(root) as server:
        sock = server.connect()
        sock.sendall(request)
        sock.recv(10)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 20):
            pass
    sock.close()


@pytest.mark.peer
def test_curl_gets_ranges_names_and_errors(root: Path) -> None:
    (root / "日本.txt").write_text("テキスト")

    def curl(*args: str) -> str:
        done = subprocess.run(["curl", "-s", *args], capture_output=True, timeout=20, check=False)
        return done.stdout.decode()

    with serving(root) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert curl(f"{url}/日本.txt") == "テキスト"
        assert curl("-r", "0-3", f"{url}/a") == "AAAA"
        assert curl("-I", f"{url}/a").startswith("HTTP/1.1 200 OK\r\n")
        assert curl("-o", "/dev/null", "-w", "%{http_code} %{size_download}", f"{url}/big") == (
            f"200 {8 << 20}")
        assert curl("-w", "%{http_code}", "-o", "/dev/null", "--path-as-is", f"{url}/../x") == "404"
        assert curl("-o", "/dev/null", "-w", "%{http_code} ", f"{url}/a") == "200 "
