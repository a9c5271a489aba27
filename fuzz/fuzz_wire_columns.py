"""Invariant: any batch is located, never raises, and rows without defect lie in their frames.

Run: python fuzz/fuzz_wire_columns.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random

import harness

import portulan.wire as wire
from portulan.wire.locate import locate, quoted

PROBE = (wire.IPv4(dst="10.0.0.9") / wire.TCP(sport=5, seq=77)).pack()
ETH, IP, IP6 = wire.Ethernet(), wire.IPv4(src=1, dst=2), wire.IPv6(src=1, dst=2)
SEEDS = [packet.pack() for packet in (
    ETH / IP / wire.TCP(), ETH / wire.VLAN() / wire.VLAN() / IP / wire.UDP() / b"abc",
    ETH / IP / wire.ICMP.unreachable(3, PROBE), ETH / IP / wire.Options(bytes(8)) / wire.TCP(),
    ETH / IP6 / wire.HopByHop() / wire.ip6_options((5, b"ab")) / wire.Fragment() / wire.UDP(),
    ETH / IP6 / wire.ICMPv6.unreachable(4, (IP6 / wire.UDP()).pack()), ETH / wire.ARP(),
    IP / wire.TCP(), IP6 / wire.UDP(),
    wire.LinuxSLL() / IP / wire.TCP(), wire.LinuxSLL2() / IP6 / wire.UDP(),
)]


def mutated(rng: random.Random) -> bytes:
    """Return a good frame with 2 % of its bytes flipped, length-like bytes at extremes, cut."""
    octets = bytearray(rng.choice(SEEDS))
    for at in range(len(octets)):
        if rng.random() < 0.02:
            octets[at] = rng.choice((0, 255, 1 << rng.randrange(8), rng.randrange(256)))
    return bytes(octets[: rng.choice((len(octets), rng.randrange(len(octets) + 1)))])


def check(rng: random.Random) -> int:
    """Locate one random batch and gather what it promises; return how many frames it had."""
    parts = [mutated(rng) for _ in range(rng.randrange(64))]
    frames = wire.Frames.of(parts, link_type=rng.choice([*wire.LinkType, 9999, 1, 1, 1]))
    outer = locate(frames)
    rows, inner = quoted(frames, outer)
    for chosen, located, least in ((slice(None), outer, 20), (rows, inner, 8)):
        end = (frames.offset + frames.length)[chosen]
        for header, size in ((wire.TCP, least), (wire.UDP, 8), (wire.ICMP, 8), (wire.ICMPv6, 8)):
            picked = located.of(header.protocol_number)
            offsets = located.transport_offset[picked]
            assert (offsets + size <= end[picked]).all()
            if size == header.size:
                header.gather(frames.buffer, offsets)
        good = located.defect == 0
        assert (located.payload_offset <= located.payload_end)[good].all()
        assert (located.payload_end <= end)[good].all()
    return len(parts)


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
