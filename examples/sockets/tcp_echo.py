"""TCP, the blocking way: a server that sends back what it gets, and a client.

    python examples/sockets/tcp_echo.py [PORT]

Watch the three-way handshake and the two FINs in a second terminal (as root):

    portulan capture lo 'tcp port 7007'        # and give this script the port 7007
"""

import socket
import sys
import threading


def serve_one(listener: socket.socket) -> None:
    # accept() blocks until a client has finished the handshake; it gives a new socket for it.
    conn, address = listener.accept()
    with conn:
        print(f"server: {address[0]} came")
        # recv() blocks until there is at least a byte. b"" says: the client sends no more.
        while data := conn.recv(4096):
            conn.sendall(data)
    print("server: it has left")


def ask(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(message)
        # TCP is a stream of bytes, not of messages: what was sent with one call may arrive in
        # several pieces. So we read until we have as much as we sent.
        answer = b""
        while len(answer) < len(message):
            piece = sock.recv(4096)
            if not piece:
                raise ConnectionError("the server left in the middle of its answer")
            answer += piece
        return answer


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0  # 0: the kernel chooses a free one
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = threading.Thread(target=serve_one, args=(listener,))
        server.start()
        print("client: got", ask(listener.getsockname()[1], "hello, 港".encode()).decode())
        server.join()


if __name__ == "__main__":
    main()
