"""Half close: "I have sent everything" is not "I have heard everything".

    python examples/sockets/half_close.py

A TCP connection is two streams, and each ends by itself: shutdown(SHUT_WR) sends our FIN, the
other direction stays open. That is how a client can send data of unknown length and still get an
answer. close() ends both: an answer that comes later meets an RST.
"""

import socket
import threading
import time


def count_bytes(listener: socket.socket) -> None:
    conn, _ = listener.accept()
    with conn:
        count = 0
        while data := conn.recv(4096):
            count += len(data)
        # recv() gave b"": the client's FIN. Our direction is still open, even much later.
        time.sleep(0.2)
        conn.sendall(f"you sent {count} bytes".encode())


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=count_bytes, args=(listener,))
        server.start()
        with socket.create_connection(listener.getsockname(), timeout=5) as sock:
            sock.sendall(bytes(100_000))
            sock.shutdown(socket.SHUT_WR)
            print("client: sent all of it, FIN included")
            try:
                sock.send(b"more")
            except BrokenPipeError:
                print("client: after that nothing can be sent")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
            print("client: the late answer is", answer.decode())
        server.join()


if __name__ == "__main__":
    main()
