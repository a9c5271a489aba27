"""Socket options: what can be asked of the kernel, and what it tells.

    python examples/sockets/options.py
"""

import contextlib
import socket
import struct

RESET = struct.pack("ii", 1, 0)


def reuse() -> None:
    # After a connection has ended, its port is held for a minute (TIME_WAIT), for late segments.
    # SO_REUSEADDR lets a new server have it all the same: without it a restart fails.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        print("SO_REUSEADDR", listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))


def shape(sock: socket.socket) -> None:
    # Nagle's algorithm gathers small writes until the last one was acknowledged: good for bulk,
    # bad for keystrokes and for requests that wait for an answer.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("TCP_NODELAY", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    # Is a silent peer still there? The kernel asks after 60 s, then every 10 s, 6 times.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        print(name, sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))
    # Data that is not acknowledged for so long ends the connection [ms].
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    # Linux doubles what is asked, for its own book-keeping. Mostly it knows better: leave it.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    print("SO_SNDBUF", sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))


def look(sock: socket.socket) -> None:
    # What the kernel has measured of this very connection (linux/tcp.h, struct tcp_info).
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    state = info[0]
    rtt_us = struct.unpack_from("=I", info, 68)[0]
    print("TCP_INFO: state", state, "(1 is ESTABLISHED), round trip measured:", rtt_us > 0)


def end(sock: socket.socket, peer: socket.socket) -> None:
    # SO_LINGER with 0 seconds: close() sends RST instead of FIN, and what was unsent is dropped.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
    with contextlib.suppress(BlockingIOError):
        try:
            peer.recv(100)
        except ConnectionResetError:
            print("SO_LINGER 0: the peer sees a reset")


def main() -> None:
    reuse()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname(), timeout=5)
        peer, _ = listener.accept()
        with sock, peer:
            shape(sock)
            sock.sendall(b"x")
            peer.recv(1)
            look(sock)
            end(sock, peer)


if __name__ == "__main__":
    main()
