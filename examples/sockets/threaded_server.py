"""Many clients at once, with a thread for each.

    python examples/sockets/threaded_server.py

The code of one client stays as simple as in tcp_echo.py, for blocking blocks only its own thread.
The price: a stack for each client, and care wherever threads share something, as the counter here.
"""

import socket
import threading

CLIENTS = 5


class Server:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.lock = threading.Lock()
        self.served = 0
        self.left = threading.Semaphore(0)

    def run(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return  # the listener was shut down: no more clients
            # daemon: a client that never leaves does not keep the program from ending.
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        with conn:
            conn.settimeout(10)  # nobody may occupy a thread for ever
            while data := conn.recv(4096):
                conn.sendall(data.upper())
        with self.lock:
            self.served += 1
        self.left.release()

    def stop(self) -> None:
        # shutdown() wakes accept(); close() alone would leave it waiting.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def main() -> None:
    server = Server()
    thread = threading.Thread(target=server.run)
    thread.start()
    # All are connected at the same time: a server without threads would answer the first only.
    socks = [socket.create_connection(server.listener.getsockname(), timeout=5)
             for _ in range(CLIENTS)]
    for number, sock in reversed(list(enumerate(socks))):
        sock.sendall(f"client {number}".encode())
        print(sock.recv(4096).decode())
        sock.close()
    for _ in range(CLIENTS):
        server.left.acquire()  # waits until one more has left
    server.stop()
    thread.join()
    print("served", server.served)


if __name__ == "__main__":
    main()
