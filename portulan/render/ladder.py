"""An exchange as a ladder: who sent what to whom, when; and how the verdict follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from portulan.record import Port
from portulan.render.escape import visible
from portulan.wire.dissect import dissect
from portulan.wire.tcp import TCP

#: Reason -> how the verdict follows, and by which rule.
WHY: Final = {
    "syn-ack": "A SYN was answered by SYN-ACK: a process listens there and its system took the "
               "connection (RFC 9293 section 3.5). Closed, it would have sent RST.",
    "reset": "The answer was RST: the host is there, and nothing listens on this port "
             "(RFC 9293 section 3.10.7.1). Open, it would have sent SYN-ACK.",
    "conn-accepted": "The kernel reported a finished handshake: a process listens there.",
    "conn-refused": "The kernel reported ECONNREFUSED: the host answered our SYN by RST, so "
                    "nothing listens there (RFC 9293 section 3.10.7.1).",
    "no-response": "Nothing came back. A firewall that drops does this, and so do a lost packet "
                   "and a host that is gone: silence alone cannot tell them apart.",
    "port-unreach": "An ICMP port unreachable came: for UDP the port is closed (RFC 1122 section "
                    "4.1.3.1); for TCP a firewall refused it, since TCP itself would send RST.",
    "host-unreach": "A router said that the host cannot be reached (RFC 792, RFC 4443).",
    "net-unreach": "A router said that the network cannot be reached (RFC 792, RFC 4443).",
    "admin-prohibited": "A filter on the way said that this is forbidden (RFC 1812 section 5.2.7.1,"
                        " RFC 4443 section 3.1).",
}
_ARROW_CELLS: Final = 34


@dataclass(frozen=True, slots=True)
class Rung:
    """One packet of an exchange."""

    number: int
    """In evidence.pcapng, from 1."""
    time_ns: int
    octets: bytes
    link_type: int


def ladder(port: Port, rungs: Sequence[Rung], *, width: int = 80) -> Iterator[str]:
    """Yield the exchange about a port as lines: a rung a packet, then the verdict in words."""
    where = f"{visible(port.addr)} port {port.port}/{port.protocol}"
    yield f"{where}: {port.state} ({visible(port.reason)})"
    yield ""
    if rungs:
        yield f"{'ms':>10}  {'we':<{_ARROW_CELLS}} {visible(port.addr)}"
    sent: dict[int, int] = {}
    for rung in sorted(rungs, key=lambda each: each.number):
        yield from _rung(rung, rungs[0].time_ns, port, sent, width)
    if not rungs:
        times = f"{port.tries} times" if port.tries > 1 else "once" if port.tries else ""
        yield f"  No packet was kept{f'; it was asked {times}' if times else ''}."
    yield ""
    yield from _wrapped(WHY.get(port.reason, f"The reason is `{visible(port.reason)}`."), width)


def _rung(
    rung: Rung, began_ns: int, port: Port, isn: dict[int, int], width: int
) -> Iterator[str]:
    found = dissect(rung.octets, rung.link_type)
    layer = next((each for each in found.layers if isinstance(each.header, TCP)), None)
    tcp = layer.header if layer is not None and isinstance(layer.header, TCP) else None
    back = tcp is not None and tcp.sport == port.port if port.protocol == "tcp" else False
    back = back or (tcp is None and rung.number != min(port.frames, default=0))
    words = visible(found.brief) if tcp is None else _tcp_words(tcp, isn, back=back)
    arrow = f"<{'-' * (_ARROW_CELLS - 1)}" if back else f"{'-' * (_ARROW_CELLS - 1)}>"
    words = f" {words[: _ARROW_CELLS - 6]} "
    middle = arrow[:2] + words + arrow[2 + len(words):]
    yield f"{(rung.time_ns - began_ns) / 1e6:>10.3f}  {middle} packet {rung.number}"
    if tcp is not None and layer is not None:
        told = " ".join(f"{name}={value}" for name, value in layer.told.items())
        yield f"{'':12}   win={tcp.window} {visible(told)}"[:width].rstrip()


def _tcp_words(tcp: TCP, isn: dict[int, int], *, back: bool) -> str:
    """Return flags and numbers, relative to the first number each side sent."""
    first = isn.setdefault(int(back), tcp.seq)
    words = f"{tcp.flags} seq={tcp.seq - first & 0xFFFF_FFFF}"
    other = isn.get(int(not back))
    if "A" in str(tcp.flags) and other is not None:
        words += f" ack={tcp.ack - other & 0xFFFF_FFFF}"
    return words


def _wrapped(text: str, width: int) -> Iterator[str]:
    line = " "
    for word in text.split():
        if len(line) + len(word) + 1 > width:
            yield line
            line = " "
        line += f" {word}"
    yield line
