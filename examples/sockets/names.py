"""Names to addresses: getaddrinfo, the one call that knows IPv4, IPv6 and service names.

    python examples/sockets/names.py [HOST] [PORT]
"""

import socket
import sys


def show(host: str | None, port: str, **hints: int) -> None:
    try:
        answers = socket.getaddrinfo(host, port, **hints)
    except socket.gaierror as error:
        print(f"{host} {port}: {error.args[1]}")
        return
    # Each answer is all that socket() and connect() need. The order is the order to try them in.
    for family, kind, _, _, address in answers:
        print(f"{host} {port}: {family.name} {kind.name} {address[0]} port {address[1]}")


def connect(host: str, port: int) -> socket.socket:
    """What socket.create_connection does: try each address until one takes us."""
    fault: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            fault = error
    raise fault


def main() -> None:
    host = sys.argv[1] if len(sys.argv) > 1 else "localhost"
    show(host, sys.argv[2] if len(sys.argv) > 2 else "80", type=socket.SOCK_STREAM)
    show("127.0.0.1", "443", type=socket.SOCK_STREAM)
    show("::1", "443", type=socket.SOCK_STREAM)
    # No host and AI_PASSIVE: the addresses to bind a server to. No name server is asked.
    show(None, "8080", type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # AI_NUMERICHOST: addresses only, a name is an error at once.
    show("not-an-address", "80", flags=socket.AI_NUMERICHOST)
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            connect("localhost", listener.getsockname()[1]) as sock:
        print("connected to", sock.getpeername()[0])


if __name__ == "__main__":
    main()
