"""Small real servers on loopback for dialogues, each with a thread that ends with the block."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

from portulan.sockets.certificate import throw_away

SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n"
NGINX = (b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 2\r\n\r\nok")


@contextlib.contextmanager
def serving(handle, *, count=1, backlog=64):
    """Yield ports of servers that call `handle(connection, stop)` for each client."""
    stop, threads, socks = threading.Event(), [], []

    def one(conn):
        with conn, contextlib.suppress(OSError):
            handle(conn, stop)

    def loop(sock):
        while not stop.is_set():
            try:
                conn, _ = sock.accept()
            except OSError:
                return
            thread = threading.Thread(target=one, args=(conn,), daemon=True)
            thread.start()
            threads.append(thread)

    for _ in range(count):
        sock = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        socks.append(sock)
        thread = threading.Thread(target=loop, args=(sock,), daemon=True)
        thread.start()
        threads.append(thread)
    try:
        yield [sock.getsockname()[1] for sock in socks]
    finally:
        stop.set()
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in threads:
            thread.join(5)


def greet(text):
    def handle(conn, stop):
        conn.sendall(text)
        conn.settimeout(0.1)
        while not stop.is_set():
            try:
                if not conn.recv(4096):
                    return
            except TimeoutError:
                continue

    return handle


def answer_http(conn, stop):
    conn.settimeout(5)
    if b"\r\n\r\n" in conn.recv(65_536):
        conn.sendall(NGINX)


def inside_tls(handle):
    made = throw_away(("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with made.files() as (cert, key):
        context.load_cert_chain(cert, key)

    def secured(conn, stop):
        conn.settimeout(5)
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(conn, server_side=True) as tls:
            handle(tls, stop)

    return secured


def silent(conn, stop):
    stop.wait(30)


def drip(conn, stop):
    while not stop.wait(0.3):
        conn.sendall(b"x")


def endless_lines(conn, stop):
    while not stop.wait(0.5):
        conn.sendall(b"3fe1a9\r\n")


def flood(conn, stop):
    block = b"\xfe" * 65_536
    while not stop.is_set():
        conn.sendall(block)


def long_line(conn, stop):
    conn.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        conn.sendall(b"x" * (1 << 20))
    stop.wait(30)


def no_window(conn, stop):
    """Accept and never read: what we send is stuck sooner or later."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    stop.wait(30)


def pause(seconds):
    time.sleep(seconds)
