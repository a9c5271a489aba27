"""Frames around an application's octets, dissected."""

from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import Dissection, dissect


def over_udp(port: int, body: bytes) -> Dissection:
    return dissect((wire.IPv4() / wire.UDP(sport=40000, dport=port) / body).pack(), 228)


def over_tcp(port: int, body: bytes) -> Dissection:
    return dissect((wire.IPv4() / wire.TCP(sport=40000, dport=port) / body).pack(), 228)


def over_ethernet(ethertype: int, body: bytes) -> Dissection:
    return dissect((wire.Ethernet(ethertype=ethertype) / body).pack())


def over_ip(protocol: int, body: bytes) -> Dissection:
    return dissect((wire.IPv4(protocol=protocol) / body).pack(), 228)


def told(found: Dissection, layer: str) -> dict:
    """Return what the last header of a name tells."""
    return dict(next(each for each in reversed(found.layers) if each.name == layer).told)
