from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from portulan.sockets import proxy_session
from portulan.sockets.access import AccessList
from tests.sockets.proxying import Running, echoing, everything, exactly, proxying
from tests.sockets.serving import serving

HELLO = b"\5\1\0"


def asked(port: int, host: bytes = b"\1\x7f\0\0\1", command: int = 1) -> bytes:
    return HELLO + bytes([5, command, 0]) + host + port.to_bytes(2, "big")


def test_socks_leads_there_and_keeps_half_close() -> None:
    with echoing() as port, proxying("socks5://:0") as proxy, proxy.connect() as sock:
        sock.sendall(asked(port) + b"early")
        assert exactly(sock, 6) == b"\5\0\5\0\0\1"
        exactly(sock, 6)
        sock.sendall(b" and late")
        sock.shutdown(socket.SHUT_WR)
        assert everything(sock) == b"early and late"
    (line,) = proxy.ended
    assert (line.closed, line.target, line.received, line.sent) == (
        "end", f"127.0.0.1:{port}", 14, 14)


def test_bulk_arrives_whole_both_ways() -> None:
    data = bytes(range(256)) * 40_000
    with echoing() as port, proxying("http://:0") as proxy, proxy.connect() as sock:
        sock.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
        assert exactly(sock, 39).startswith(b"HTTP/1.1 200 ")
        sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        assert everything(sock) == data
        sender.join()


@pytest.mark.parametrize("request_, code", [
    (asked(1), 5), (asked(80, b"\3\x0fno-such.invalid"), 4), (asked(0), 2),
    (asked(80, command=2), 7), (asked(80, b"\7"), 8), (asked(80, b"\1\x7f\0\0\2"), 2),
])
def test_socks_tells_why_not(request_: bytes, code: int) -> None:
    rules = {"targets": AccessList.of(["127.0.0.1", "0.0.0.0"])}
    with proxying("socks5://:0", **rules) as proxy, proxy.connect() as sock:
        sock.sendall(request_)
        assert exactly(sock, 4)[2:] == bytes([5, code])
        assert exactly(sock, 8)
        assert sock.recv(1) == b""
    assert proxy.ended[0].closed in {"refused", "unreachable", "denied", "header"}


@pytest.mark.parametrize("first, status", [
    ("CONNECT 127.0.0.1:1 HTTP/1.1", 502), ("CONNECT 127.0.0.2:80 HTTP/1.1", 403),
    ("GET http://127.0.0.1:1/ HTTP/1.1", 502), ("GET / HTTP/1.1", 400),
    ("CONNECT no-such.invalid:80 HTTP/1.1", 502), ("\x16\x03\x01", 400),
])
def test_http_tells_why_not(first: str, status: int) -> None:
    rules = {"targets": AccessList.of(deny=["127.0.0.2"])}
    with proxying("http://:0", **rules) as proxy, proxy.connect() as sock:
        sock.sendall(f"{first}\r\n\r\n".encode())
        assert everything(sock).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("body, lines", [
    (b"", ""), (b"0123456789" * 5000, "Content-Length: 50000\r\n"),
    (b"5;x=y\r\n01234\r\n5\r\n56789\r\n0\r\nTrailer: x\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
])
def test_plain_request_is_passed_on_alone(body: bytes, lines: str) -> None:
    got: list[bytes] = []

    def target(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(20)
            while not got or not (got[-1].endswith(b"\r\n0\r\n\r\n") if "chunked" in lines else
                                  len(got[-1].partition(b"\r\n\r\n")[2]) >= len(body)):
                got.append((got[-1] if got else b"") + sock.recv(65536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nanswer")
            # Nothing of the second request may come.
            sock.shutdown(socket.SHUT_WR)
            got.append(sock.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener, proxying("http://:0") as proxy:
        thread = threading.Thread(target=target, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        with proxy.connect() as sock:
            second = b"GET http://127.0.0.2:1/secret HTTP/1.1\r\nHost: x\r\n\r\n"
            sock.sendall(f"POST http://127.0.0.1:{port}/x HTTP/1.1\r\n{lines}\r\n".encode() + body
                         + second)
            assert everything(sock).endswith(b"\r\n\r\nanswer")
        thread.join()
    whole = got[-2]
    assert whole.startswith(b"POST /x HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"secret" not in whole + got[-1]
    if "chunked" in lines:
        assert whole.endswith(b"\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")
    else:
        assert whole.partition(b"\r\n\r\n")[2] == body


def test_udp_association_lives_as_long_as_its_connection() -> None:
    with proxying("socks5://:0") as proxy, socket.socket(type=socket.SOCK_DGRAM) as target, \
            socket.socket(type=socket.SOCK_DGRAM) as client:
        target.bind(("127.0.0.1", 0))
        for each in (target, client):
            each.settimeout(20)
        with proxy.connect() as sock:
            sock.sendall(asked(0, b"\1\0\0\0\0", command=3))
            assert exactly(sock, 6) == b"\5\0\5\0\0\1"
            packed = exactly(sock, 6)
            way = socket.inet_ntoa(packed[:4]), int.from_bytes(packed[4:], "big")
            assert way[0] == "127.0.0.1"
            port = target.getsockname()[1].to_bytes(2, "big")
            client.sendto(b"\0\0\0\1\x7f\0\0\1" + port + b"ping", way)
            data, outside = target.recvfrom(100)
            target.sendto(data + b"pong", outside)
            assert client.recv(100) == b"\0\0\0\1\x7f\0\0\1" + port + b"pingpong"
        while proxy.proxy.active:
            pass
        line = proxy.ended[0]
        assert (line.protocol, line.received, line.sent, line.closed) == ("udp", 4, 8, "end")


@pytest.mark.parametrize("door, data", [
    ("socks5://:0", b""), ("socks5://:0", b"\5"), ("http://:0", b""), ("http://:0", b"GET http:"),
])
def test_client_that_does_not_ask_is_ended(door: str, data: bytes) -> None:
    with proxying(door, handshake_s=0.2) as proxy, proxy.connect() as sock:
        sock.sendall(data)
        assert everything(sock) == b""
    assert proxy.ended[0].closed == "timeout"


@pytest.mark.parametrize("command", [1, 3])
def test_silent_connection_ends_by_idle(command: int) -> None:
    with echoing() as port, proxying("socks5://:0", idle_s=0.2) as proxy, proxy.connect() as sock:
        sock.sendall(asked(port, command=command))
        exactly(sock, 12)
        with contextlib.suppress(ConnectionResetError):
            assert everything(sock) == b""
    assert proxy.ended[0].closed == "idle"


def test_target_that_resets_is_told_by_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, proxying("socks5://:0") as proxy, \
            proxy.connect() as sock:
        sock.sendall(asked(listener.getsockname()[1]))
        exactly(sock, 12)
        target, _ = listener.accept()
        target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        target.close()
        with pytest.raises(ConnectionResetError):
            everything(sock)
    assert proxy.ended[0].closed == "target-reset"


def test_address_that_is_silent_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = proxy_session.connect_tcp

    async def connect(end: object) -> object:
        if end.host == "127.0.0.9":  # type: ignore[attr-defined]
            raise TimeoutError
        return await real(end)  # type: ignore[misc]

    async def lookup(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        return [(2, ("127.0.0.9", port)), (2, ("127.0.0.1", port))]

    monkeypatch.setattr(proxy_session, "connect_tcp", connect)
    monkeypatch.setattr(proxy_session, "lookup", lookup)
    with echoing() as port, proxying("socks5://:0") as proxy, proxy.connect() as sock:
        sock.sendall(asked(port, b"\3\4many"))
        assert exactly(sock, 12)[1] == 0


@pytest.mark.peer
def test_curl_fetches_through_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)

    def curl(*words: str) -> str:
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", *words],
            capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    def ways(proxy: Running) -> list[list[str]]:
        socks, http = (f"127.0.0.1:{port}" for port in proxy.ports)
        login = ["--proxy-user", "me:p w"]
        return [["--socks5-hostname", socks, *login], ["--socks5", socks, *login],
                ["-x", f"http://{http}", *login], ["-p", "-x", f"http://{http}", *login]]

    with serving(tmp_path) as server, proxying(
            "socks5://me:p%20w@:0", "http://me:p%20w@:0") as proxy:
        for way in ways(proxy):
            assert curl(*way, f"http://127.0.0.1:{server.port}/a") == "200 1000000"
        assert curl("-x", f"http://127.0.0.1:{proxy.ports[1]}", "http://127.0.0.1:1/") == "407 24" \
            or proxy.ended[-1].closed == "denied"
