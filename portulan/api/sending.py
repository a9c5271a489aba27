"""Send packets from Python, and pair them with their replies.

>>> from portulan.wire import IPv4, TCP, build
>>> len(build(IPv4(src="10.9.0.1", dst="10.9.0.0/28") / TCP(sport=40000, dport=(1, 100))))
1600
"""

from __future__ import annotations

from pathlib import Path

from portulan.drive.capture import Capture
from portulan.drive.replaying import FileTime, Rate, Replay, Replayed
from portulan.drive.sending import RATE_PPS, Exchange, Pair, emit, exchange
from portulan.errors import UsageError
from portulan.wire.craft_text import parse_packet
from portulan.wire.header import Header, Packet

__all__ = ["Exchange", "Pair", "Replayed", "replay", "send", "send_recv"]


def send(
    packet: Packet | Header | str, *, interface: str = "", count: int = 1, rate_pps: int = RATE_PPS,
) -> int:
    """Send a packet, or all packets of its sets, `count` times; return how many left.

    The packet is one of `portulan.wire`, or its text. At most `rate_pps` leave in a second; 0 is
    no cap. Raises `UsageError`, and `PrivilegeError` without CAP_NET_RAW.
    """
    made = parse_packet(packet) if isinstance(packet, str) else packet
    return sum(
        emit(made, interface=interface, rate_pps=rate_pps, turn=turn) for turn in range(count))


def send_recv(
    packet: Packet | Header | str, *, interface: str = "", rate_pps: int = RATE_PPS,
    timeout_s: float = 2.0, retries: int = 0, every: bool = False,
) -> Exchange:
    """Send a packet, or all packets of its sets, and wait for their replies.

    `answered` of what is returned are pairs with their `rtt_ns`, `unanswered` the probes that
    nothing answered; `rtt_ns` is a column of all. With `every` the whole time is waited, and
    `further` are more replies to probes that had one. Raises as `send` does.
    """
    made = parse_packet(packet) if isinstance(packet, str) else packet
    return exchange(made, interface=interface, rate_pps=rate_pps, retries=retries,
                    timeout_ns=round(timeout_s * 1e9), every=every)


def replay(
    capture: Capture | str | Path, *, interface: str, rate_pps: int | None = None,
    speed: float = 1.0, loops: int = 1,
) -> Replayed:
    """Send the packets of a capture on an interface, as far apart as they were.

    `speed` divides the file's gaps; with `rate_pps` packets leave evenly instead, 0 is as fast as
    it goes. Raises `UsageError` for an interface that is missing or carries other frames than the
    capture has, `PrivilegeError` without CAP_NET_RAW.
    """
    if rate_pps is not None and speed != 1.0:
        raise UsageError("a rate does not look at the file's times", where="speed")
    source = capture if isinstance(capture, Capture) else Capture(capture)
    pace = FileTime(speed) if rate_pps is None else Rate(rate_pps)
    return Replay(source, interface, pace=pace, loops=loops).run()
