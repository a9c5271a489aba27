"""An SCTP stack of two answers, for hosts whose kernel has none: INIT ACK on some ports, or ABORT.

    python -m tests.live.sctp_server FAMILY PORT...

prints a line when it is ready, and ends when its stdin does.
"""

from __future__ import annotations

import select
import socket
import struct
import sys

from portulan.scan.sctp import ABORT, INIT, INIT_ACK
from portulan.wire.crc32c import crc32c


def answer(packet: bytes, open_ports: set[int]) -> bytes:
    """Return what goes back for a packet from SCTP's common header on, nothing unless an INIT."""
    sport, dport, tag, _, kind = struct.unpack_from(">HHIIB", packet)
    if kind != INIT or tag:
        return b""
    theirs = packet[16:20]
    accept = struct.pack(">BBHIIHHI", INIT_ACK, 0, 20, 99, 65_535, 1, 1, 1)
    chunk = accept if dport in open_ports else struct.pack(">BBH", ABORT, 0, 4)
    head = struct.pack(">HH", dport, sport) + theirs
    crc = crc32c(head + bytes(4) + chunk)
    return head + crc.to_bytes(4, "little") + chunk


def serve(family: int, open_ports: set[int]) -> None:
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_SCTP) as raw:
        print("ready", flush=True)
        while True:
            ready, *_ = select.select([raw, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            packet, peer = raw.recvfrom(2048)
            reply = answer(packet[20:] if family == 4 else packet, open_ports)
            if reply:
                raw.sendto(reply, (peer[0], 0, *peer[2:]))


if __name__ == "__main__":
    serve(int(sys.argv[1]), {int(port) for port in sys.argv[2:]})
