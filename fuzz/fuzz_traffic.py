"""Invariant: any packets become flows without exception, the same ones however batches are cut.

Run: python fuzz/fuzz_traffic.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from pathlib import Path

import harness

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import portulan.wire as wire
from portulan.traffic.flows import FlowTable, Idle
from portulan.traffic.names import Names
from portulan.traffic.quality import Quality
from portulan.wire.locate import locate
from tests.traffic.connections import connections

HELLO = bytes.fromhex(
    "16030100410100003d0303" + "11" * 32 + "00 0002 1301 0100 0012"
    "0000000e000c0000 09 6d652e6578616d70")
QUIC = bytes.fromhex("c300000001088394c8f03e5157080000449e") + bytes(range(256)) * 4
PAYLOADS = (
    HELLO, HELLO[:30], HELLO[30:], QUIC, b"220 x\r\n", b"GET / HTTP/1.1\r\n", b"", b"\xff" * 20)
LIMITS = (None, None, Idle(), Idle.after(0.01), Idle(tcp_ns=1, other_ns=1))


def mutated(rng: random.Random, octets: bytes) -> bytes:
    """Return a packet with some octets changed, with another payload, or cut."""
    changed = bytearray(octets)
    if rng.random() < 0.3:
        changed += rng.choice(PAYLOADS)
        if changed[12:14] == b"\x08\x00":
            changed[16:18] = (len(changed) - 14).to_bytes(2)
        else:
            changed[18:20] = (len(changed) - 54).to_bytes(2)
    for at in range(len(changed)):
        if rng.random() < rng.choice((0, 0.002, 0.05)):
            changed[at] = rng.choice((0, 255, 1 << rng.randrange(8), rng.randrange(256)))
    if rng.random() < 0.1:
        changed = changed[: rng.randrange(len(changed) + 1)]
    return bytes(changed)


def flows(frames: wire.Frames, cuts: list[int], idle: Idle | None) -> list[dict[str, object]]:
    """Return the flows of a batch that comes in parts."""
    table = FlowTable([Names(), Quality()], idle=idle)
    for start, end in pairwise([0, *sorted(cuts), len(frames)]):
        rows = table.add(frames.take(slice(start, end)))
        assert len(rows) == end - start
    found = list(table.flows()) if idle is None else table.take_ended(final=True)
    return [flow.told() for flow in found]


def check(rng: random.Random) -> int:
    """Make flows of mutated connections; return how many packets there were."""
    packets = connections(rng.randrange(1 << 30), rng.randrange(1, 6))
    octets = [mutated(rng, each) for each, _, _ in packets]
    later = [rng.choice((0, 0, rng.randrange(-10**9, 10**10))) for _ in packets]
    times = [max(0, now + more) for (_, now, _), more in zip(packets, later, strict=True)]
    frames = wire.Frames.of(octets, times, link_type=rng.choice((1, 1, 1, 101, 113, 9999)))
    idle = rng.choice(LIMITS)
    whole = flows(frames, [], idle)
    count = sum(flow["packets_fwd"] + flow["packets_rev"] for flow in whole)
    assert count == int((locate(frames).family != 0).sum())
    cuts = [rng.randrange(len(octets) + 1) for _ in range(rng.randrange(6))]
    assert flows(frames, cuts, idle) == whole
    return len(octets)


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
