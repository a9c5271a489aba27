"""Multicast: one datagram, every member of the group gets it.

    python examples/sockets/multicast.py

Members join a group on an interface; the sender needs not be one. Here all of it stays on the
loopback interface, with a time to live of 0: nothing leaves this machine.
"""

import socket
import struct

GROUP = "239.255.42.1"  # 239.0.0.0/8 is for private use (RFC 2365)
LOOPBACK = "127.0.0.1"


def member(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Several programs may listen for the same group and port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Bound to the group, not to "": only what was sent to the group arrives.
    sock.bind((GROUP, port))
    request = socket.inet_aton(GROUP) + socket.inet_aton(LOOPBACK)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    sock.settimeout(5)
    return sock


def main() -> None:
    with member(0) as first:
        port = first.getsockname()[1]
        with member(port) as second, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                              socket.inet_aton(LOOPBACK))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("B", 0))
            sender.sendto(b"ahoy", (GROUP, port))
            for name, sock in (("first", first), ("second", second)):
                data, source = sock.recvfrom(100)
                print(f"{name} heard {data.decode()} from {source[0]}")
            # Whoever has left hears no more.
            request = socket.inet_aton(GROUP) + socket.inet_aton(LOOPBACK)
            second.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
            second.settimeout(0.1)
            second.setsockopt(socket.IPPROTO_IP, 49, 0)  # IP_MULTICAST_ALL: not others' groups
            sender.sendto(b"again", (GROUP, port))
            print("first heard", first.recv(100).decode())
            try:
                second.recv(100)
            except TimeoutError:
                print("second heard nothing")


if __name__ == "__main__":
    main()
