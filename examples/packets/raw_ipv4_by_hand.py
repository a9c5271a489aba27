"""One IPv4 packet made three times: octet by octet, by the kernel behind SOCK_RAW, by Portulan.

The packet asks this machine itself, so nothing leaves it. Each form is sent and heard again on the
loopback interface, octets compared. That needs CAP_NET_RAW (root); without it the packet by hand
and Portulan's are still compared.
"""

from __future__ import annotations

import socket
import struct

from portulan.wire import UDP, IPv4

SOURCE = DESTINATION = "127.0.0.1"
MESSAGE = b"ahoy"
SPORT = 40_000
ETH_P_IP = 0x0800
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23  # linux/if_packet.h


def checksum(octets: bytes) -> int:
    """RFC 1071: add 16-bit words, add the carries back, complement."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_by_hand(dport: int) -> bytes:
    """RFC 768: the checksum covers a pseudo-header of addresses, protocol and length, too."""
    length = 8 + len(MESSAGE)
    addresses = socket.inet_aton(SOURCE) + socket.inet_aton(DESTINATION)
    pseudo = addresses + struct.pack(">BBH", 0, 17, length)
    header = struct.pack(">HHHH", SPORT, dport, length, 0)
    return header[:6] + struct.pack(">H", checksum(pseudo + header + MESSAGE)) + MESSAGE


def by_hand(dport: int) -> bytes:
    """RFC 791 section 3.1, field by field."""
    body = udp_by_hand(dport)
    header = struct.pack(
        ">BBHHHBBH4s4s",
        4 << 4 | 5,           # version 4, a header of five 32-bit words
        0,                    # type of service
        20 + len(body),       # total length
        7,                    # identification
        2 << 13 | 0,          # don't fragment, offset 0
        64,                   # time to live
        17,                   # protocol: UDP
        0,                    # checksum, not known yet: it covers the header with zero here
        socket.inet_aton(SOURCE),
        socket.inet_aton(DESTINATION),
    )
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + body


def by_portulan(dport: int) -> bytes:
    packet = IPv4(src=SOURCE, dst=DESTINATION, identification=7)
    return (packet / UDP(sport=SPORT, dport=dport) / MESSAGE).pack()


def send_whole(packet: bytes) -> None:
    """IPPROTO_RAW: the header is ours. The kernel sums its checksum once more anyway (raw(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.sendto(packet, (DESTINATION, 0))


def send_body(body: bytes) -> None:
    """A raw socket of a protocol: the kernel writes the IPv4 header, we write what is inside."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sender:
        sender.bind((SOURCE, 0))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        sender.sendto(body, (DESTINATION, 0))


def heard(tap: socket.socket, dport: int) -> bytes:
    """Return the next packet for our port as it passed the loopback interface."""
    while True:
        frame = tap.recv(2048)
        packet = frame[14:]  # loopback has an Ethernet header, too
        if packet[9] == 17 and packet[22:24] == struct.pack(">H", dport):
            return packet


def differences(one: bytes, other: bytes) -> str:
    """Name the fields of two IPv4 headers that differ."""
    first, second = IPv4.parse(one), IPv4.parse(other)
    names = [field.attr for field in IPv4.layout.fields
             if getattr(first, field.attr) != getattr(second, field.attr)]
    return ", ".join(names) or "nothing"


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((DESTINATION, 0))
        receiver.settimeout(5)
        dport = receiver.getsockname()[1]
        packet = by_hand(dport)
        print("by hand and by Portulan the same:", packet == by_portulan(dport))
        try:
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        except PermissionError:
            print("sending needs CAP_NET_RAW")
            return
        with tap:
            # On lo each packet passes twice, out and in: once is enough.
            tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            tap.bind(("lo", ETH_P_IP))
            tap.settimeout(5)
            send_whole(packet)
            print("on the wire as made by hand:", heard(tap, dport) == packet)
            message, (address, port) = receiver.recvfrom(100)
            print(f"the receiver got {message.decode()} from {address}:{port}")

            send_body(udp_by_hand(dport))
            message, (address, port) = receiver.recvfrom(100)
            print(f"the receiver got {message.decode()} from {address}:{port}")
            kernel = heard(tap, dport)
            print("behind the kernel's header the same:", kernel[20:] == packet[20:])
            print("what the kernel chose otherwise:", differences(packet, kernel))


if __name__ == "__main__":
    main()
