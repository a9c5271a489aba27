"""Invariant: octets make a printable line, headers parse or raise WireError, options end.

Run: python fuzz/fuzz_wire_scalars.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random

import harness

import portulan.wire as wire
from portulan.errors import WireError
from portulan.wire import bpf
from portulan.wire.option import walk_ip6_options, walk_options
from portulan.wire.tcp import mss, timestamps
from portulan.wire.text import LINE_MAX_CHARS, line

OPTIONS = wire.tcp_options(mss(1460), timestamps(1, 2))
SEEDS = [packet.pack() for packet in (
    wire.Ethernet() / wire.IPv4() / wire.TCP() / OPTIONS / b"body",
    wire.Ethernet() / wire.IPv6() / wire.Destination() / wire.ip6_options((30, b"a")) / wire.UDP(),
    wire.Ethernet() / wire.IPv4() / wire.ICMP.time_exceeded((wire.IPv4() / wire.UDP()).pack()),
    wire.Ethernet() / wire.IPv4() / wire.IPv6() / wire.IPv4() / wire.IPv4() / wire.TCP(),
    wire.Ethernet() / wire.IPv6() / wire.ICMPv6.neighbour_solicitation("::1", mac=1),
    wire.IPv4() / wire.TCP() / OPTIONS, wire.Ethernet() / wire.VLAN() / wire.ARP(),
)]
HEADERS = sorted(wire.headers().values(), key=lambda header: header.layer)
FILTER = bpf.replies_filter(
    link_type=1, tcp_ports=(1, 9999), udp_ports=(1, 9), icmp=True, icmp6=True, arp=True)


def mutated(rng: random.Random) -> bytes:
    """Return random octets, or a good frame with a few bytes changed, cut anywhere."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(120))
    octets = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(6)):
        octets[rng.randrange(len(octets))] = rng.choice((0, 255, rng.randrange(256)))
    return bytes(octets[: rng.choice((len(octets), rng.randrange(len(octets) + 1)))])


def check(rng: random.Random) -> None:
    """Put one input through every scalar reader of the room."""
    octets = mutated(rng)
    text = line(octets, rng.choice([*wire.LinkType, 9999, 1, 1]))
    assert text.isprintable() and 0 < len(text) <= LINE_MAX_CHARS
    for walk in (walk_options, walk_ip6_options):
        offsets = [option.offset for option in walk(octets)]
        assert offsets == sorted(set(offsets))
    header, at = rng.choice(HEADERS), rng.randrange(-2, 60)
    try:
        parsed = header.parse(octets, at)
        assert parsed.pack() == octets[at : at + header.size]
    except WireError as error:
        assert (error.layer, error.offset) == (header.layer, at)
    assert bpf.run(FILTER, octets) in (0, bpf.KEEP_BYTES)


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
