"""Invariant: any text compiles or is one UsageError; its three readers agree on any octets.

Run: python fuzz/fuzz_filter.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import harness

from portulan.errors import PortulanError, UsageError
from portulan.wire import Frames, bpf
from portulan.wire.filter import compile_filter
from tests.wire.filter_generators import LINKS, expression, frame

TEXT = """ip tcp udp port 80 443 or and not ( ) [ ] host 10.0.0.1 ::1 net / 8 len = != < > << >>
+ - * % ^ & | ether src dst vlan 5 mpls pppoes tcp.dport ip.src ip6.dst tcp.flags dns.qname contains
"x" 1:2:3:4:5:6 : 0xff less proto protochain portrange 5-9 http multicast . \\ \\tcp " 4294967295
inbound arp icmp6 \x00 \u202e"""
WORDS = TEXT.split(" ")
FIELDS = ["tcp.dport == 80", "ip.src == 10.0.0.0/8", "ip6.dst != ::1", 'dns.qname contains "a"',
          "vlan.id < 9", "tcp.flags & 2 != 0", "protochain 17", "icmpv6.type == 128"]


def text_of(rng: random.Random, link: str) -> str:
    """Return a good filter, a damaged one, or a row of words."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(["", " "]).join(rng.choice(WORDS) for _ in range(rng.randrange(1, 30)))
    good = rng.choice(FIELDS) if kind < 0.4 else expression(rng, link)
    if kind < 0.7:
        return good
    at = rng.randrange(len(good))
    return good[:at] + rng.choice(WORDS) * rng.choice([1, 1, 1, 200]) + good[at + rng.randrange(4):]


def octets_of(rng: random.Random, link_type: int) -> bytes:
    """Return a frame with a few octets changed, cut anywhere, or noise."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(90))
    octets = bytearray(frame(rng, link_type))
    for _ in range(rng.randrange(4)):
        if octets:
            octets[rng.randrange(len(octets))] = rng.randrange(256)
    return bytes(octets)


def check(rng: random.Random) -> None:
    """Compile one text and try it on a few frames."""
    link = rng.choice(["EN10MB", *LINKS])
    try:
        compiled = compile_filter(text_of(rng, link), LINKS[link])
    except UsageError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return
    octets = [octets_of(rng, LINKS[link]) for _ in range(8)]
    made = Frames.of(octets, link_type=LINKS[link])
    extra = rng.choice([0, 0, 50])
    frames = Frames(made.buffer, made.offset, made.length, made.length + extra, made.time_ns,
                    made.link_type)
    mask = compiled.mask(frames).tolist()
    assert mask == [compiled.match(each, len(each) + extra) for each in octets]
    try:
        program = compiled.program()
    except PortulanError:
        return
    assert mask == [bool(bpf.run(program, each, len(each) + extra)) for each in octets]


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
