"""HTTP by hand: a request and an answer are lines of text, an empty line, and a body.

    python examples/sockets/http_by_hand.py

For real files use `portulan serve`: this server knows one page and trusts its client.
"""

import socket
import threading


def serve(listener: socket.socket) -> None:
    conn, _ = listener.accept()
    # makefile() gives a buffered file: readline() cares for lines that come in pieces.
    with conn, conn.makefile("rb") as lines:
        while request := lines.readline(8192):
            method, path, _ = request.decode("latin-1").split()
            headers = {}
            while (line := lines.readline(8192)) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            print(f"server: {method} {path} for {headers['host']}")
            body = b"<h1>hello</h1>\n" if path == "/" else b"no such page\n"
            status = "200 OK" if path == "/" else "404 Not Found"
            # Content-Length tells where the body ends: the connection stays open for the next
            # request. (HTTP/1.0 closed it instead, a handshake for every picture.)
            conn.sendall(f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n".encode())
            if method != "HEAD":
                conn.sendall(body)


def ask(sock: socket.socket, path: str) -> tuple[int, bytes]:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += sock.recv(4096)
    return int(first.split()[1]), body


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        with socket.create_connection(listener.getsockname(), timeout=5) as sock:
            for path in ("/", "/other"):
                status, body = ask(sock, path)
                print(f"client: {status} {body.decode().strip()}")
        server.join()


if __name__ == "__main__":
    main()
