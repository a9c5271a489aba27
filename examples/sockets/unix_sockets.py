"""Sockets of the file system: two programs of one machine, no network between them.

    python examples/sockets/unix_sockets.py

The path's permissions decide who may connect, the kernel tells who did, and descriptors can be
handed over: things that TCP cannot do.
"""

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path


def serve(listener: socket.socket) -> None:
    conn, _ = listener.accept()
    with conn:
        # SO_PEERCRED: process, user and group of the other end, vouched for by the kernel.
        raw = conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", raw)
        print("server: it is us:", (pid, uid) == (os.getpid(), os.getuid()))
        # A descriptor is more than bytes: the receiver gets the open file itself.
        message, fds, _, _ = socket.recv_fds(conn, 100, 1)
        with os.fdopen(fds[0]) as file:
            print(f"server: got {message.decode()}, it says {file.read()!r}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "door")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            path.chmod(0o600)  # nobody else
            listener.listen()
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            letter = Path(folder, "letter")
            letter.write_text("good wind")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(str(path))
                with letter.open() as file:
                    socket.send_fds(sock, [b"a file"], [file.fileno()])
                thread.join()
        path.unlink()  # the name outlives its socket, and would be in the next one's way

    # A name that begins with NUL is in no file system and goes away by itself (Linux).
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
        abstract.bind("")
        print("abstract name:", abstract.getsockname()[:1])

    # A pair of connected sockets, for a child process or a thread.
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"psst")
        print("pair:", other.recv(100).decode())


if __name__ == "__main__":
    main()
