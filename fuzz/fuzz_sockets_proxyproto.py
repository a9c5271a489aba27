"""Invariant: octets are a PROXY header, the beginning of one, or a PeerError; never more is asked.

Run: python fuzz/fuzz_sockets_proxyproto.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random

import harness

from portulan.errors import PeerError
from portulan.sockets.proxyproto import HEADER_MAX, V2_SIGNATURE, Proxied, parse

HEADERS = [Proxied("192.0.2.1", 1, "192.0.2.2", 65535), Proxied("2001:db8::1", 9, "::1", 0)]
SEEDS = [
    *(header.pack_v1() for header in HEADERS), *(header.pack_v2() for header in HEADERS),
    b"PROXY UNKNOWN\r\n", V2_SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
]


def mutated(rng: random.Random) -> bytes:
    """Return a good header with a few bytes changed, followed by something, cut anywhere."""
    octets = bytearray(rng.choice(SEEDS) + rng.randbytes(rng.choice((0, 9, 5000))))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(min(len(octets), 60))
        octets[at] = rng.choice((0, 13, 32, 255, rng.randrange(256)))
    return bytes(octets[: rng.choice((len(octets), rng.randrange(len(octets) + 1)))])


def check(rng: random.Random) -> None:
    """Parse one input whole; what it was taken for must not depend on how it came."""
    octets = mutated(rng)
    try:
        found = parse(octets)
    except PeerError:
        return
    if found is None:
        assert len(octets) < HEADER_MAX
        return
    assert found.size <= min(len(octets), HEADER_MAX)
    assert parse(octets[: found.size]) == found
    assert parse(octets[: found.size - 1]) is None
    if found.proxied.known:
        for packed in (found.proxied.pack_v1(), found.proxied.pack_v2()):
            again = parse(packed)
            assert again is not None and again.proxied == found.proxied


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
