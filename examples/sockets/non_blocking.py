"""Non-blocking sockets: every call returns at once, and says when it could not do its work.

    python examples/sockets/non_blocking.py

Here we ask again and again, which burns the processor. select, poll and epoll tell us instead when
it is worth asking: see readiness.py.
"""

import errno
import os
import socket


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        try:
            listener.accept()
        except BlockingIOError:
            print("accept: nobody there yet")

        # connect() cannot be done at once: EINPROGRESS says that the SYN is on its way.
        client.setblocking(False)
        code = client.connect_ex(listener.getsockname())
        print("connect:", errno.errorcode.get(code, "done"))

        tries = 0
        while True:
            tries += 1
            try:
                conn, _ = listener.accept()
                break
            except BlockingIOError:
                continue
        # How the connect went is asked of the socket, once it is writable.
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

        with conn:
            conn.setblocking(False)
            try:
                conn.recv(100)
            except BlockingIOError as error:
                print("recv:", os.strerror(error.errno or 0))

            # send() takes what fits into the kernel's buffer, and tells how much that was.
            sent = 0
            try:
                while True:
                    sent += client.send(bytes(65536))
            except BlockingIOError:
                print("send: the buffers are full; nothing is lost:", sent == received(conn, sent))


def received(conn: socket.socket, count: int) -> int:
    got = 0
    while got < count:
        try:
            got += len(conn.recv(1 << 20))
        except BlockingIOError:
            continue
    return got


if __name__ == "__main__":
    main()
