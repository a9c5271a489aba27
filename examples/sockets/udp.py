"""UDP: datagrams, each whole or not at all; no connection, no order, no promise.

    python examples/sockets/udp.py
"""

import socket


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        client.settimeout(5)
        address = server.getsockname()

        # There is no accept(): any number of clients send to the same socket, and recvfrom()
        # tells who it was.
        client.sendto(b"one", address)
        client.sendto(b"", address)  # an empty datagram is a datagram
        for _ in range(2):
            data, sender = server.recvfrom(2048)
            server.sendto(b"got %d bytes" % len(data), sender)
            print("client:", client.recv(2048).decode())

        # Borders are kept, and what does not fit into our buffer is cut off, for ever.
        client.sendto(b"a long message", address)
        print("server: only", server.recvfrom(6)[0].decode())

        # Nobody there? The first send cannot know. The kernel hears it from an ICMP message, and
        # tells a socket that was connected to that address: only then is it clear whose error.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = closed.getsockname()
        client.connect(nobody)
        client.send(b"anybody?")
        try:
            client.recv(2048)
        except ConnectionRefusedError:
            print("client: nobody listens there (ICMP port unreachable)")

        # Lost datagrams are nobody's error: whoever needs an answer sets a limit and asks again.
        client.connect(address)
        client.settimeout(0.05)
        for attempt in range(1, 4):
            client.send(b"please")
            if attempt == 3:
                server.sendto(b"at last", server.recvfrom(2048)[1])
            try:
                print(f"client: {client.recv(2048).decode()}, at try {attempt}")
            except TimeoutError:
                continue


if __name__ == "__main__":
    main()
