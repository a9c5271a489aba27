"""Invariant: any octets are judged or not recognised; no exception, and what is told is printable.

Run: python fuzz/fuzz_ident.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import harness

from portulan.cli.identify import as_fields
from portulan.errors import printable
from portulan.ident.judge import judge
from portulan.ident.reply import Reply
from portulan.ident.rules import builtin
from tests.ident.replies import OTHERS, REPLIES

WRAPS = {"http": b"HTTP/1.1 200 OK\r\nServer: %s\r\nSet-Cookie: %s\r\n\r\n<title>%s</title>",
         "ssh": b"SSH-2.0-%s\r\n", "smtp": b"220 %s\r\n", "ftp": b"220 %s\r\n",
         "pop3": b"+OK %s\r\n", "imap": b"* OK %s\r\n", "irc": b"%s\r\n",
         "sip": b"SIP/2.0 200 OK\r\nServer: %s\r\n"}
EACH = 100
"""Replies of one seed: making the source of chance costs as much as some replies."""


@cache
def seeds() -> list[bytes]:
    """Return whole replies: one of each binary protocol, and the examples of the rules."""
    found = [*REPLIES.values(), *OTHERS]
    for rule in builtin().rules:
        wrap = WRAPS.get(rule.field.split(".")[0])
        if wrap:
            text = rule.positive[0].encode()
            found.append(wrap.replace(b"%s", text))
    return found


def mutated(rng: random.Random) -> bytes:
    """Return a reply cut, stretched, spliced with another or with octets changed."""
    data = bytearray(rng.choice(seeds()))
    for _ in range(rng.randrange(1, 5)):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(6)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at:at] = rng.randbytes(rng.randrange(9))
        elif kind == 2:
            data[at:] = rng.choice(seeds())[rng.randrange(20):]
        elif kind == 3:
            data[at : at + 2] = rng.choice([b"\0\0", b"\xff\xff", b"\r\n", b"\x80", b"\x7f\xff"])
        elif kind == 4:
            data[at:at] = data[at : at + 9] * rng.choice([2, 50])
        elif at < len(data):
            data[at] = rng.randrange(256)
    return bytes(data)


def check(rng: random.Random) -> int:
    """Judge some replies."""
    for _ in range(EACH):
        verdict = judge(Reply(rng.choice(["tcp", "udp"]), mutated(rng)))
        told = as_fields(verdict)
        assert told["name"] and 0 <= float(told["confidence"]) <= 1, told
        assert printable(str(told), 2000).isprintable()
    return EACH


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
