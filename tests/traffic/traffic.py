"""Mixed packets of a few talkers, so that flows have several packets both ways."""

from __future__ import annotations

import random

from portulan import wire

ETH = wire.Ethernet(src="02:00:00:00:00:01")


def shapes(seed, count):
    """Return distinct packets of either direction of some conversations."""
    chance = random.Random(seed)
    return [_shape(chance).pack() for _ in range(count)]


def _shape(chance):
    link = ETH / wire.VLAN(id=chance.randrange(1, 3)) if chance.random() < 0.2 else ETH
    one, two = chance.randrange(1, 5), chance.randrange(1, 5)
    if chance.random() < 0.3:
        network = wire.IPv6(src=f"fd00::{one}", dst=f"fd00::{two}")
    else:
        network = wire.IPv4(src=f"10.9.0.{one}", dst=f"10.9.0.{two}")
    ports = {"sport": chance.choice([53, 80, 4000]), "dport": chance.choice([53, 80, 4000])}
    kind = chance.choice(["tcp", "udp", "icmp", "arp"])
    if kind == "arp":
        return ETH / wire.ARP()
    if kind == "icmp":
        version4 = isinstance(network, wire.IPv4)
        return link / network / (wire.ICMP() if version4 else wire.ICMPv6())
    transport = wire.TCP(**ports) if kind == "tcp" else wire.UDP(**ports)
    return link / network / transport / bytes(chance.randrange(40))


def packets(seed, count, distinct=300):
    """Return (octets, time_ns, wire length) of so many packets, times slightly out of order."""
    chance = random.Random(seed)
    pool = shapes(seed, distinct)
    chosen = [chance.choice(pool) for _ in range(count)]
    return [(each, 1000 * n + chance.randrange(3000), len(each)) for n, each in enumerate(chosen)]
