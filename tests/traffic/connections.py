"""Seeded TCP connections as packets: lost, repeated, late, closed, and their ports used again."""

from __future__ import annotations

import random

from portulan import wire

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def connections(seed, count=12):
    """Return (octets of Ethernet, time_ns, wire length) of some connections at once."""
    chance = random.Random(seed)
    packets, ends = [], {}
    for _ in range(count):
        port = 4000 + chance.randrange(count)
        start = ends.get(port, 0) + chance.randrange(500_000_000)
        one = _one(chance, port, start)
        ends[port] = max(now for now, _ in one) if one else start
        packets += one
    packets.sort(key=lambda each: each[0])
    return [(octets, now, len(octets)) for now, octets in packets]


def _one(chance, port, start):
    """Return one connection's packets with their times."""
    six = port % 3 == 0
    ends = [("fd00::1", port), ("fd00::2", 80)] if six else [("10.9.0.1", port), ("10.9.0.2", 80)]
    isn = [chance.choice([chance.randrange(1 << 32), (1 << 32) - 900]) for _ in range(2)]
    rtt = chance.choice([200_000, 2_000_000, 30_000_000])
    sent, now = [], start

    def send(side, seq, flags, size=0, ack=0, window=5000, delay=0):
        segment = wire.TCP(
            sport=ends[side][1], dport=ends[1 - side][1], seq=seq % (1 << 32),
            ack=ack % (1 << 32), flags=flags, window=window)
        network = wire.IPv6 if six else wire.IPv4
        ip = network(src=ends[side][0], dst=ends[1 - side][0])
        packet = wire.Ethernet() / ip / segment / bytes(size) if size else (
            wire.Ethernet() / ip / segment)
        sent.append((now + delay, packet.pack()))

    if chance.random() < 0.8:
        for _ in range(chance.choice([1, 1, 2])):
            send(0, isn[0], SYN)
            now += rtt // 2
        if chance.random() < 0.1:
            send(1, 0, RST | ACK, ack=isn[0] + 1)
            return sent
        send(1, isn[1], SYN | ACK, ack=isn[0] + 1)
        now += rtt // 2
        send(0, isn[0] + 1, ACK, ack=isn[1] + 1)
    at = [isn[0] + 1, isn[1] + 1]
    for _ in range(chance.randrange(20)):
        now += chance.choice([10_000, rtt // 2, rtt, 40_000_000])
        side = chance.randrange(2)
        size = chance.choice([0, 0, 1, 5, 1000])
        kind = chance.random()
        if kind < 0.1:  # again, or late
            back = chance.choice([1, 5, 1000])
            send(side, at[side] - back, ACK | PSH, chance.choice([0, 1, back]), at[1 - side],
                 delay=chance.choice([0, 100_000]))
        elif kind < 0.2:
            for _ in range(chance.randrange(1, 5)):
                send(side, at[side], ACK, 0, at[1 - side] - chance.choice([0, 0, 1000]))
            send(1 - side, at[1 - side] - 1000, ACK, 1000, at[side])
        elif kind < 0.3:
            send(side, at[side], ACK, size, at[1 - side], window=0)
            at[side] += size
        else:
            at[side] += 1000 * (chance.random() < 0.1)  # lost before the capture
            if chance.random() > 0.1:
                send(side, at[side], ACK | PSH * bool(size), size, at[1 - side])
            at[side] += size
    for side in (0, 1):
        if chance.random() < 0.8:
            flags = chance.choice([FIN | ACK, FIN | ACK, RST | ACK, RST, FIN | RST, SYN | FIN])
            now += rtt
            send(side, at[side], flags, ack=at[1 - side] if flags & ACK else 0)
    return sent
