"""One thread, many clients: select, poll and epoll side by side.

    python examples/sockets/readiness.py

All three answer "which of these sockets can I read from or write to without waiting?".
select   takes at most 1,024 descriptors, and all of them with every call
poll     takes any number, and still all of them with every call
epoll    keeps the list in the kernel: a call costs as much as there is news (Linux)
The server is the same three times; only the waiting differs.
"""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

CLIENTS = 20


class Waiter(Protocol):
    def add(self, fd: int) -> None: ...

    def remove(self, fd: int) -> None: ...

    def readable(self) -> Iterator[int]: ...


class Select:
    def __init__(self) -> None:
        self.fds: set[int] = set()

    def add(self, fd: int) -> None:
        self.fds.add(fd)

    def remove(self, fd: int) -> None:
        self.fds.remove(fd)

    def readable(self) -> Iterator[int]:
        yield from select.select(list(self.fds), [], [])[0]


class Poll:
    def __init__(self) -> None:
        self.poll = select.poll()

    def add(self, fd: int) -> None:
        self.poll.register(fd, select.POLLIN)

    def remove(self, fd: int) -> None:
        self.poll.unregister(fd)

    def readable(self) -> Iterator[int]:
        yield from (fd for fd, _ in self.poll.poll())


class Epoll(Poll):
    def __init__(self) -> None:
        self.poll = select.epoll()  # level-triggered: it tells again until all is read


def serve(listener: socket.socket, waiter: Waiter) -> None:
    """Echo until every client has been there and left."""
    listener.setblocking(False)
    waiter.add(listener.fileno())
    clients: dict[int, socket.socket] = {}
    left = CLIENTS
    while left:
        for fd in waiter.readable():
            if fd == listener.fileno():
                conn, _ = listener.accept()
                conn.setblocking(False)
                clients[conn.fileno()] = conn
                waiter.add(conn.fileno())
            elif data := clients[fd].recv(4096):
                # A real server would queue what does not fit and wait until it is writable.
                clients[fd].sendall(data)
            else:
                waiter.remove(fd)
                clients.pop(fd).close()
                left -= 1


def try_out(make: Callable[[], Waiter]) -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, make()))
        address = listener.getsockname()
        thread.start()
        socks = [socket.create_connection(address, timeout=5) for _ in range(CLIENTS)]
        right = 0
        for number, sock in enumerate(socks):
            sock.sendall(b"%d" % number)
            right += sock.recv(100) == b"%d" % number
        for sock in socks:
            sock.close()
        thread.join()
        return right


def main() -> None:
    for make in (Select, Poll, Epoll):
        print(f"{make.__name__.lower()}: {try_out(make)} of {CLIENTS} clients served")


if __name__ == "__main__":
    main()
