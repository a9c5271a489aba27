"""Send packets from Python, and pair them with their replies.

>>> from portulan.wire import IPv4, TCP, build
>>> len(build(IPv4(src="10.9.0.1", dst="10.9.0.0/28") / TCP(sport=40000, dport=(1, 100))))
1600
"""

from __future__ import annotations

from portulan.drive.sending import RATE_PPS, Exchange, Pair, emit, exchange
from portulan.wire.craft_text import parse_packet
from portulan.wire.header import Header, Packet

__all__ = ["Exchange", "Pair", "send", "send_recv"]


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
    timeout_s: float = 2.0, retries: int = 0,
) -> Exchange:
    """Send a packet, or all packets of its sets, and wait for their replies.

    `answered` of what is returned are pairs with their `rtt_ns`, `unanswered` the probes that
    nothing answered; `rtt_ns` is a column of all. Raises as `send` does.
    """
    made = parse_packet(packet) if isinstance(packet, str) else packet
    return exchange(made, interface=interface, rate_pps=rate_pps, retries=retries,
                    timeout_ns=round(timeout_s * 1e9))
