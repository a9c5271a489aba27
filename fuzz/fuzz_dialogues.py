"""Invariant: whatever a server says, a dialogue ends in its budget, with few connections and bytes.

Run: python fuzz/fuzz_dialogues.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness

from portulan.drive.identifying import Aim, Identified
from portulan.drive.identifying_events import KEPT_MAX, judge_again, service_event
from portulan.ident.dialogue import LANES_MAX, MS, Manner
from portulan.record import decode, encode
from tests.ident.replies import REPLIES
from tests.ident.world import HANG_UP, Server, World

PORTS = (21, 22, 25, 53, 80, 443, 445, 993, 3306, 3389, 5432, 6379, 8080, 9100, 40_000)
BUDGET = Manner(budget_ns=3_000 * MS)
TEXTS = (
    b"220 mail ESMTP Postfix\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"* OK Dovecot ready.\r\n",
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.2\r\n\r\n", b"-ERR unknown command\r\n",
    b"\x15\x03\x01\x00\x02\x02\x28", b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64", b"+OK\r\n",
)


def said(rng: random.Random) -> bytes | None:
    """Return an answer: real, torn, mutated, noise, much, nothing, or the end."""
    kind = rng.randrange(8)
    if kind < 3:
        data = bytearray(rng.choice((*REPLIES.values(), *TEXTS)))
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[: rng.randrange(len(data)) or None]) if kind == 2 else bytes(data)
    if kind == 3:
        return rng.randbytes(rng.randrange(200))
    if kind == 4:
        return bytes([rng.randrange(256)]) * rng.choice((1, 70_000))
    return HANG_UP if kind == 5 else b""


def check(rng: random.Random) -> None:
    """Play one dialogue."""
    server = Server(
        answer=lambda _: said(rng), greeting=said(rng) or b"", tls=rng.random() < 0.2,
        greets_after_ms=rng.choice((1, 200, 1_000, 4_000)), pieces=rng.choice((40, 1_000, 1 << 20)),
        between_ms=rng.choice((0, 1, 300)), answers_after_ms=rng.choice((1, 500)),
        one_at_a_time=rng.random() < 0.2, hangs_up=rng.random() < 0.05,
        starttls=rng.choice((b"", b"STARTTLS", b"STLS")))
    port, transport = rng.choice(PORTS), rng.choice(("tcp", "tcp", "udp"))
    world = World(server, port, transport, manner=BUDGET)
    outcome = world.run(limit_ms=3_001)
    assert world.at_most <= (LANES_MAX if transport == "tcp" else 40)
    assert not world.open, "connections were left open"
    event = service_event(Identified(Aim("10.0.0.1", port, transport), outcome, 0))
    if event is not None:
        assert sum(len(each.data) for each in event.heard) <= KEPT_MAX
        assert decode(encode(event)) == event
        judge_again(event)


if __name__ == "__main__":
    harness.run(check, doc=__doc__ or "")
