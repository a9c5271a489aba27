"""One IPv4 packet made three times: octet by octet, by SOCK_RAW's kernel, and by Portulan.

The packet asks this machine itself, so nothing leaves it. Sending needs CAP_NET_RAW (root); the
three forms are compared without any right.
"""

from __future__ import annotations

import socket
import struct

from portulan.wire import UDP, IPv4

SOURCE = DESTINATION = "127.0.0.1"
MESSAGE = b"ahoy"


def checksum(octets: bytes) -> int:
    """RFC 1071: add 16-bit words, add the carries back, complement."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def by_hand(dport: int) -> bytes:
    """RFC 791 section 3.1, field by field, and RFC 768 inside."""
    addresses = socket.inet_aton(SOURCE) + socket.inet_aton(DESTINATION)
    length = 8 + len(MESSAGE)
    udp = struct.pack(">HHHH", 40_000, dport, length, 0) + MESSAGE
    pseudo = addresses + struct.pack(">BBH", 0, 17, length)
    udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp)) + MESSAGE
    header = struct.pack(
        ">BBHHHBBH",
        4 << 4 | 5,           # version 4, a header of five 32-bit words
        0,                    # type of service
        20 + len(udp),        # total length
        7,                    # identification
        2 << 13 | 0,          # don't fragment, offset 0
        64,                   # time to live
        17,                   # protocol: UDP
        0,                    # checksum, not known yet
    ) + addresses
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + udp


def by_portulan(dport: int) -> bytes:
    packet = IPv4(src=SOURCE, dst=DESTINATION, identification=7)
    return (packet / UDP(sport=40_000, dport=dport) / MESSAGE).pack()


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((DESTINATION, 0))
        receiver.settimeout(5)
        dport = receiver.getsockname()[1]
        packet = by_hand(dport)
        print("by hand and by Portulan the same:", packet == by_portulan(dport))
        try:
            # IPPROTO_RAW: the header is ours. The kernel fills in the checksum anyway (raw(7)).
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
                sender.sendto(packet, (DESTINATION, 0))
        except PermissionError:
            print("sending needs CAP_NET_RAW")
            return
        message, (address, port) = receiver.recvfrom(100)
        print(f"the receiver got {message.decode()} from {address}:{port}")


if __name__ == "__main__":
    main()
