"""Seeded connections whose segments are lost, repeated, overlapping and out of order."""

from __future__ import annotations

import random
from dataclasses import dataclass

from portulan.traffic.streams import ACK, FIN, SYN, Segment


@dataclass
class Simulated:
    segments: list
    data: tuple
    seen: tuple
    """Which bytes of each side any kept segment carries."""
    starts: tuple
    """Where each side's stream begins in its data: later than 0 without a SYN."""


def simulate(seed):
    chance = random.Random(seed)
    isn = [chance.choice([chance.randrange(1 << 32), (1 << 32) - chance.randrange(300)])
           for _ in range(2)]
    data = [chance.randbytes(chance.choice([0, 1, 50, 3000])) for _ in range(2)]
    half_open = chance.random() < 0.3
    skip = [chance.randrange(len(d) + 1) if half_open and d else 0 for d in data]
    loss = chance.choice([0, 0, 0.1, 0.3])
    first, sent, seen = [], [], []
    if not half_open:
        first = [Segment(0, isn[0], b"", 0, SYN), Segment(1, isn[1], b"", 0, SYN | ACK,
                                                          (isn[0] + 1) % (1 << 32))]
    for side in (0, 1):
        spans = _spans(chance, skip[side], len(data[side]))
        kept = [span for span in spans if chance.random() >= loss]
        seen.append({n for start, end in kept for n in range(start, end)})
        sent += [
            Segment(side, (isn[side] + 1 + start) % (1 << 32), data[side][start:end],
                    end - start, ACK, (isn[1 - side] + 1) % (1 << 32))
            for start, end in kept]
        if not half_open:  # a keep-alive: the byte before the next, of any value
            at = chance.randrange(len(data[side]) + 1)
            if at - 1 in seen[side] or not at:
                sent.append(Segment(side, (isn[side] + at) % (1 << 32), b"",  0, ACK,
                                    (isn[1 - side] + 1) % (1 << 32)))
        sent.append(Segment(side, (isn[side] + 1 + len(data[side])) % (1 << 32), b"", 0,
                            ACK | FIN, (isn[1 - side] + 1) % (1 << 32)))
    _shuffle(chance, sent)
    if first and chance.random() < 0.3:
        first.insert(1, first[0])  # a repeated SYN
    segments = [
        Segment(s.side, s.seq, s.octets, s.size, s.flags, s.ack, frame)
        for frame, s in enumerate([*first, *sent], 1)]
    starts = tuple(
        skip[n] if not half_open else min(seen[n], default=len(data[n])) for n in (0, 1))
    return Simulated(segments, tuple(data), tuple(seen), starts)


def _spans(chance, start, end):
    """Return pieces that cover start to end, some again and across others' edges."""
    found, at = [], start
    while at < end:
        stop = min(end, at + chance.choice([1, 7, 100, 1400]))
        found.append((at, stop))
        if chance.random() < 0.3:
            low = chance.randrange(start, stop)
            found.append((low, min(end, low + chance.randrange(1, 500))))
        at = stop
    return found


def _shuffle(chance, items):
    reach = chance.choice([0, 2, 10, len(items)])
    order = sorted(range(len(items)), key=lambda n: n + chance.uniform(0, reach))
    items[:] = [items[n] for n in order]


def wanted(run, side):
    """Return what the side's stream is: bytes, and the sizes of holes in their places."""
    found, hole = [], 0
    for n in range(run.starts[side], len(run.data[side])):
        if n in run.seen[side]:
            if hole:
                found.append(hole)
                hole = 0
            if found and isinstance(found[-1], bytearray):
                found[-1].append(run.data[side][n])
            else:
                found.append(bytearray(run.data[side][n : n + 1]))
        else:
            hole += 1
    return [*found, hole] if hole else found


def told(chunks, side):
    found = []
    for chunk in chunks:
        if chunk.side != side:
            continue
        if chunk.missing:
            found.append(chunk.missing)
        elif found and isinstance(found[-1], bytearray):
            found[-1] += chunk.octets
        else:
            found.append(bytearray(chunk.octets))
    return found
