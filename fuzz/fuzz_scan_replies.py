"""Invariant: no frame makes a probe kind raise, and no answer comes without the probe's cookie.

Run: python fuzz/fuzz_scan_replies.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness

import portulan.wire as wire
from portulan.scan.neighbour import QUESTION, NeighbourKind
from portulan.scan.paths import Paths
from portulan.scan.ping import PROBES, PingKind
from portulan.scan.sweep import TRIES_MAX
from portulan.scan.syn import SynKind
from portulan.target.space import Space
from tests.scan.crafting import KEY, MAC, SPORT, mixed_paths, mixed_space, sent_by
from tests.scan.test_neighbour import RANGES, Via, advertisement, is_at
from tests.scan.test_ping import right

PORTS = [(6, port) for port in (22, 80, 443)]


def kinds() -> list[SynKind | PingKind]:
    """Return the kinds whose replies need a cookie."""
    ports, hosts = mixed_space(PORTS, PORTS), mixed_space(PROBES[4], PROBES[6])
    return [
        SynKind(ports, mixed_paths(ports), key=KEY, sport=SPORT),
        PingKind(hosts, mixed_paths(hosts), key=KEY, sport=SPORT, contact=b"who"),
    ]


def mutated(rng: random.Random, octets: bytes) -> bytes:
    """Return the frame with bytes flipped, length-like ones at extremes, a piece moved, or cut."""
    frame = bytearray(octets)
    rate = rng.choice((0.0, 0.01, 0.05))
    for at in range(len(frame)):
        if rng.random() < rate:
            frame[at] = rng.choice((0, 255, frame[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    if rng.random() < 0.1:
        at, to = rng.randrange(len(frame)), rng.randrange(len(frame))
        frame[at : at + 8] = frame[to : to + 8]
    if rng.random() < 0.2:
        del frame[rng.randrange(len(frame)) :]
    return bytes(frame)


def replies(rng: random.Random, kind: SynKind | PingKind) -> list[tuple[bytes, bool, int, int]]:
    """Return right replies of any kind: (frame, Ethernet, index, try)."""
    try_no = rng.randint(1, TRIES_MAX)
    index = rng.sample(range(kind.space.size), 8)
    found = []
    for at, probe in sent_by(kind, index, try_no).items():
        inner = right(probe)[0] if isinstance(kind, PingKind) else probe.tcp(
            rng.choice(("SA", "RA", "R")))
        if rng.random() < 0.3:
            inner = probe.unreachable(rng.randrange(16))
        found.append((probe.wrap(inner), bool(probe.ethernet), at, try_no))
    return found


def check(rng: random.Random, kind: SynKind | PingKind) -> int:
    """Read one batch of damaged replies; whatever is believed must be what was asked."""
    asked = replies(rng, kind)
    for ethernet in (True, False):
        part = [item for item in asked if item[1] == ethernet]
        octets = [mutated(rng, frame) for frame, *_ in part]
        link = wire.LinkType.ETHERNET if ethernet else wire.LinkType.RAW
        answers = kind.read(wire.Frames.of(octets, link_type=link))
        for index, try_no, row, state in zip(
            answers.index.tolist(), answers.try_no.tolist(), answers.row.tolist(),
            answers.state.tolist(), strict=True,
        ):
            want = part[row]
            assert index == want[2], f"index {index} for a reply to {want[2]}"
            # ICMP replies prove their host only: the try is what they say it is.
            assert try_no == want[3] or isinstance(kind, PingKind), f"try {try_no} for {want[3]}"
            assert 1 <= try_no <= TRIES_MAX
            assert state > 0
    return len(asked)


def check_neighbours(rng: random.Random) -> int:
    """Read damaged ARP and ND replies: an address is kept exactly for the hosts that answered."""
    space = Space.hosts(RANGES, [QUESTION])
    vias = (Via(0, 4, 1, MAC), Via(0, 6, 1, MAC))
    kind = NeighbourKind(space, Paths(vias, np.repeat(np.array([0, 1], np.uint8), 10)))
    parts = [mutated(rng, rng.choice((is_at, advertisement))(rng.randrange(10)))
             for _ in range(8)]
    answers = kind.read(wire.Frames.of(parts))
    assert set(answers.index.tolist()) == set(np.flatnonzero(kind.macs).tolist())
    return len(parts)


ASKING = kinds()


def check_all(rng: random.Random) -> int:
    """Read a batch of damaged replies with each kind."""
    return sum(check(rng, kind) for kind in ASKING) + check_neighbours(rng)


if __name__ == "__main__":
    harness.run(check_all, doc=__doc__)
