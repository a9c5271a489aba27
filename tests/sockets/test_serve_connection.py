from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portulan.sockets import serve, serve_connection
from portulan.sockets.serve_files import Body, Uploads
from portulan.sockets.serve_http import HEAD_MAX_BYTES, Request, Response
from tests.sockets.serving import Running, ask, get, read_answer, serving

BIG = os.urandom(8 << 20)
GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"A" * 10)
    (tmp_path / "b").write_bytes(b"B" * 20)
    (tmp_path / "big").write_bytes(BIG)
    for name in ("a", "b"):
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[Running]:
    with serving(root, uploads=Uploads(allowed=True)) as running:
        yield running


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a fraction of a second."""
    monkeypatch.setattr(serve, "TICK_S", 0.05)
    for name in ("HEAD_S", "IDLE_S", "STALLED_S", "BODY_GRACE_S", "LINGER_S"):
        monkeypatch.setattr(serve_connection, name, 0.3)


def closed(sock: socket.socket) -> bool:
    """Tell whether the server ended, whatever it sent before."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connection_is_kept_for_many_requests(server: Running) -> None:
    with server.connect() as sock:
        for path, body in [("a", b"A" * 10), ("b", b"B" * 20), ("none", b"Not Found\n")] * 3:
            sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert read_answer(sock).body == body


def test_pipelined_requests_are_answered_in_their_order(server: Running) -> None:
    paths = ["a", "big", "none", "b", "", "a"] * 3
    with server.connect() as sock:
        sock.sendall(b"".join(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                              for path in paths))
        lengths = [len(read_answer(sock).body) for _ in paths]
    assert lengths[:4] == [10, len(BIG), 10, 20]
    assert lengths == lengths[:6] * 3


@pytest.mark.parametrize("step", [1, 7])
def test_requests_that_drip_are_answered(server: Running, step: int) -> None:
    wire = GET + b"\r\nPUT /new HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" \
        b"3\r\nabc\r\n0\r\n\r\n" + GET
    with server.connect() as sock:
        for at in range(0, len(wire), step):
            sock.send(wire[at : at + step])
        assert [read_answer(sock).status for _ in range(3)] == [200, 201, 200]


def test_kept_answer_is_renewed_with_its_file(server: Running, root: Path) -> None:
    for number in range(3):
        (root / "a").write_bytes(b"%d" % number * 10)
        os.utime(root / "a", (1, 1))
        for _ in range(3):
            assert ask(server, GET).body == b"%d" % number * 10


def test_whole_file_arrives_by_sendfile_and_by_ranges(server: Running) -> None:
    assert get(server, "/big").body == BIG
    assert get(server, "/big", "Range: bytes=1000000-").body == BIG[1_000_000:]


def test_http_1_0_ends_unless_asked_to_stay(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /a HTTP/1.0\r\n\r\n")
        assert read_answer(sock).headers["connection"] == "close"
        assert sock.recv(1) == b""
    with server.connect() as sock:
        for _ in range(2):
            sock.sendall(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert read_answer(sock).headers["connection"] == "keep-alive"


def test_client_that_ended_its_direction_still_gets_all_answers(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET)
        sock.shutdown(socket.SHUT_WR)
        assert len(read_answer(sock).body) == len(BIG)
        assert read_answer(sock).body == b"A" * 10
        assert sock.recv(1) == b""


@pytest.mark.parametrize("data, status", [
    (b"rubbish\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\x01", 400),
    (b"GET /a HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400),
    (b"GET /a HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * HEAD_MAX_BYTES, 431),
    (b"GET /" + b"a" * HEAD_MAX_BYTES, 414), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
])
def test_wrong_request_is_told_and_the_connection_ends(
    server: Running, data: bytes, status: int
) -> None:
    with server.connect() as sock:
        sock.sendall(data)
        answer = read_answer(sock)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert sock.recv(1) == b""


def test_client_that_asks_first_is_told_to_go_on_or_not(server: Running) -> None:
    ask_first = b"Host: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(b"PUT /new HTTP/1.1\r\n" + ask_first)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert read_answer(sock).status == 201
        sock.sendall(b"PUT /a HTTP/1.1\r\n" + ask_first)
        assert read_answer(sock).status == 409
        assert sock.recv(1) == b""


def test_refusal_reaches_a_client_that_is_still_sending(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(b"PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(20):
                sock.send(bytes(65536))
        assert read_answer(sock).status == 409


def test_file_that_shrinks_while_sent_ends_the_connection(root: Path) -> None:
    with serving(root) as server, server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.recv(100)
        os.truncate(root / "big", 1000)
        with pytest.raises(ConnectionResetError):
            while sock.recv(1 << 16):
                pass
            raise ConnectionResetError
        assert ask(server, GET).status == 200


class Broken:
    async def answer(self, request: Request, body: Body) -> Response:
        raise ZeroDivisionError("\x1b[2J")

    def close(self) -> None:
        pass


def test_fault_of_a_handler_costs_one_answer() -> None:
    with serving(Broken()) as server:
        for _ in range(2):
            assert ask(server, GET).status == 500
        assert r"ZeroDivisionError: \x1b[2J" in server.notes[0]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("data, status", [
    (b"", 0), (b"GET / HTTP/1.1\r\n", 408),
    (b"PUT /new HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab", 408),
])
def test_client_that_stays_silent_is_ended(root: Path, data: bytes, status: int) -> None:
    with serving(root, uploads=Uploads(allowed=True)) as server, server.connect() as sock:
        sock.sendall(data)
        if status:
            assert read_answer(sock).status == status
        assert sock.recv(1) == b""
    assert not list(root.glob(".portulan*"))


@pytest.mark.usefixtures("hurried")
def test_head_that_drips_on_and_on_is_ended(root: Path) -> None:
    with serving(root) as server, server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(100):
                sock.sendall(b"X: y\r\n")
                time.sleep(0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("path", ["/big", "/a"])
def test_client_that_never_reads_is_ended(root: Path, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with serving(root) as server, server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(5000):
                sock.send(request * 100)
        deadline = time.monotonic() + 20
        while server.server.active and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.server.active == 0


@pytest.mark.usefixtures("hurried")
def test_client_that_reads_slowly_gets_everything(root: Path) -> None:
    with serving(root) as server, server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        for _ in range(8):
            assert sock.recv(100_000)
            time.sleep(0.1)
        assert sum(len(data) for data in iter(lambda: sock.recv(1 << 20), b"")) > 7 << 20
