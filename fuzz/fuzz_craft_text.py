"""Invariant: any text is a packet whose frames can be built, or one UsageError; none of it runs.

Run: python fuzz/fuzz_craft_text.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
from math import prod

import harness

from portulan.errors import UsageError
from portulan.wire.craft import build, link_type_of
from portulan.wire.craft_text import header_names, parse_packet
from portulan.wire.dissect import dissect
from portulan.wire.header import Header, Packet
from portulan.wire.shown import packet_text

PACKETS_MAX = 500
"""Larger sets are parsed and shown, but not built: a million frames take their time."""

SEEDS = [
    'IPv4(dst="10.9.0.2")/TCP(dport=80, flags="S")/b"hello"',
    'Ethernet(dst="02:00:00:00:00:01")/VLAN(id=7)/IPv6(src="::1")/UDP(sport=[1, 2, 9])',
    'IPv4(dst="10.9.0.0/28")/TCP(dport=(1, 20))/tcp_options(mss(1460), SACK_OK, NOP, wscale(7))',
    'ARP.who_has("10.0.0.7")', 'IPv4()/ICMP.echo(id=7, seq=1)/hex("00 01 02")',
    'IPv4()/UDP()/DNS.query("a.example", id=5)', 'IPv6()/ICMPv6.echo()/b"x" * 20',
    'IPv4()/SCTP(tag=1)/b"\\x00\\xff"', 'LinuxSLL2()/IPv4()/GRE()/IPv4()/UDP(dport=4789)/VXLAN()',
]
WORDS = [
    "(", ")", "[", "]", "{", "}", "/", "*", ",", "=", "-", "+", ".", '"', "'", 'b"', "hex(", "mss(",
    "0", "1", "65536", "-1", "1e9", "4294967296", "0x1F", "None", "True", '__import__("os")', ":",
    "__class__", "lambda:", "open(", "eval(", "TCP", "UDP", "IPv4", ".echo", ".pack", "dport=", ";",
    "dst=", "flags=", "**", '"10.0.0.0/8"', '"::/0"', '"02:00:00:00:00:01"', "(1,65535)", "[[1]]",
    "\0", "\u202e", "if", "for", "\\", "#", "\n"]
VALUES = [
    "0", "1", "255", "65535", "(1, 3)", "[1, 2]", '"10.0.0.1"', '"::1"', '"x"', "-1", "1.5"]


def text_of(rng: random.Random) -> str:
    """Return a good text, a damaged one, or a row of words."""
    if rng.random() < 0.15:
        return rng.choice(["", "/"]).join(rng.choice(WORDS) for _ in range(rng.randrange(1, 40)))
    if rng.random() < 0.3:
        return "/".join(field_of(rng, kind) for kind in rng.choices(KINDS, k=rng.randrange(1, 5)))
    text = "/".join(rng.choice(SEEDS) for _ in range(rng.choice([1, 1, 2])))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(text) + 1)
        word = rng.choice(WORDS) * rng.choice([1, 1, 300])
        text = text[:at] + word + text[at + rng.randrange(3) :]
    return text


def field_of(rng: random.Random, kind: type[Header]) -> str:
    """Return a header with a few of its fields set to anything."""
    names = [field.attr for field in kind.layout.fields]
    chosen = rng.sample(names, min(len(names), rng.randrange(4)))
    return f"{kind.__name__}({', '.join(f'{name}={rng.choice(VALUES)}' for name in chosen)})"


KINDS = list(header_names().values())


def check(rng: random.Random) -> None:
    """Parse one text; build and dissect what it stands for."""
    try:
        packet = parse_packet(text_of(rng))
        assert isinstance(packet, Packet)
        packet_text(packet)
        count = prod(len(many) for layer in packet.layers if isinstance(layer, Header)
                     for many in layer.sets.values())
        if count > PACKETS_MAX:
            return
        link_type = link_type_of(packet)
        frames = build(packet)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return
    assert len(frames) == count
    for octets in frames:
        dissect(octets, link_type)


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
