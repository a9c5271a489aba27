"""A chat: what one says, all others hear. The first server where clients meet each other.

    python examples/sockets/chat.py                       shows three clients talking
    python examples/sockets/chat.py serve 7007            a real one; talk with:
    portulan connect 127.0.0.1 7007                       (in as many terminals as you like)
"""

import selectors
import socket
import sys
import threading

WAITING_MAX = 64 * 1024  # bytes: who does not read for so long has to leave


class Client:
    def __init__(self, conn: socket.socket, name: str) -> None:
        self.conn, self.name = conn, name
        self.incoming = b""  # the beginning of a line whose end has not come yet
        self.outgoing = b""  # what the kernel did not take yet


class Chat:
    def __init__(self, listener: socket.socket) -> None:
        self.listener, self.count = listener, 0
        self.selector = selectors.DefaultSelector()  # epoll where there is one
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ)
        self.clients: list[Client] = []
        self.running = True

    def run(self) -> None:
        while self.running:
            for key, mask in self.selector.select(timeout=0.1):
                if key.fileobj is self.listener:
                    self.welcome()
                elif key.data in self.clients and mask & selectors.EVENT_READ:
                    self.hear(key.data)
                if key.data in self.clients and mask & selectors.EVENT_WRITE:
                    self.send(key.data, b"")
        for client in self.clients:
            client.conn.close()
        self.selector.close()

    def welcome(self) -> None:
        conn, _ = self.listener.accept()
        conn.setblocking(False)
        self.count += 1
        client = Client(conn, f"guest{self.count}")
        self.clients.append(client)
        self.selector.register(conn, selectors.EVENT_READ, client)
        self.tell(f"* {client.name} is here")

    def hear(self, client: Client) -> None:
        try:
            data = client.conn.recv(4096)
        except ConnectionError:
            data = b""
        if not data:
            self.leave(client)
            return
        # A line may come in pieces, also in the middle of a letter: decode whole lines only.
        *lines, client.incoming = (client.incoming + data).split(b"\n")
        client.incoming = client.incoming[:4096]
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            # Control characters could rewrite the others' screens: only what prints goes on.
            self.tell(f"<{client.name}> {''.join(filter(str.isprintable, text))}", client)

    def leave(self, client: Client) -> None:
        self.clients.remove(client)
        self.selector.unregister(client.conn)
        client.conn.close()
        self.tell(f"* {client.name} has left")

    def tell(self, text: str, besides: Client | None = None) -> None:
        for client in list(self.clients):
            if client is not besides and client in self.clients:
                self.send(client, text.encode() + b"\n")

    def send(self, client: Client, data: bytes) -> None:
        """Send what the kernel takes; ask to be told when it takes more."""
        client.outgoing += data
        try:
            client.outgoing = client.outgoing[client.conn.send(client.outgoing):]
        except BlockingIOError:
            pass
        except OSError:
            client.outgoing = b""
        if len(client.outgoing) > WAITING_MAX:
            self.leave(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.outgoing else 0)
        self.selector.modify(client.conn, wanted, client)


def demo(address: tuple[str, int]) -> None:
    people = []
    for _ in range(3):
        sock = socket.create_connection(address, timeout=5)
        lines = sock.makefile("r", encoding="utf-8")
        people.append((sock, lines))
        for _, others in people:
            others.readline()  # "* guestN is here", which all have heard now
    people[0][0].sendall("good morning, おはよう, 좋은 아침\n".encode())
    for _, lines in people[1:]:
        print(lines.readline().strip())
    people[2][1].close()
    people[2][0].close()
    print(people[0][1].readline().strip())
    for sock, lines in people[:2]:
        lines.close()
        sock.close()


def main() -> None:
    port = int(sys.argv[2]) if sys.argv[1:2] == ["serve"] else 0
    with socket.create_server(("127.0.0.1", port)) as listener:
        chat = Chat(listener)
        if port:
            chat.run()
        thread = threading.Thread(target=chat.run)
        thread.start()
        demo(listener.getsockname())
        chat.running = False
        thread.join()


if __name__ == "__main__":
    main()
