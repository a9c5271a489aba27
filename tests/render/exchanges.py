"""Exchanges as a scan keeps them, by hand: a probe and its reply on a wire without Ethernet."""

from __future__ import annotations

from portulan.record import Port
from portulan.render.exchange import Rung
from portulan.wire.frames import LinkType
from portulan.wire.icmp import ICMP
from portulan.wire.ipv4 import IPv4
from portulan.wire.tcp import TCP
from portulan.wire.udp import UDP

US, THEM = "192.0.2.1", "192.0.2.9"


def rung(number, packet, *, link=LinkType.RAW, ms=None):
    return Rung(number, int((ms if ms is not None else number) * 1_000_000), packet.pack(), link)


def ours(transport):
    return IPv4(src=US, dst=THEM) / transport


def theirs(transport, *, src=THEM):
    return IPv4(src=src, dst=US, ttl=63) / transport


def tcp_pair(asked="S", told="SA", *, seq=7, ack=0, told_seq=99, told_ack=8, **words):
    probe = ours(TCP(sport=61_000, dport=80, flags=asked, seq=seq, ack=ack))
    reply = theirs(TCP(sport=80, dport=61_000, flags=told, seq=told_seq, ack=told_ack, **words))
    return [rung(3, probe), rung(4, reply)]


def udp_probe(number=3):
    return rung(number, ours(UDP(sport=61_000, dport=80) / b"hello"))


def error_pair(code, *, src=THEM, transport=None):
    probe = ours(UDP(sport=61_000, dport=80) / b"hello" if transport is None else transport)
    reply = theirs(ICMP.unreachable(code, probe.pack()[:28]), src=src)
    return [rung(3, probe), rung(4, reply)]


def port(state="open", reason="syn-ack", protocol="tcp", **words):
    return Port(addr=THEM, port=80, protocol=protocol, state=state, reason=reason, **words)
