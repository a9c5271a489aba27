from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from portulan.drive import echoes
from portulan.drive.echoes import EchoSweep, echo_kind
from portulan.link.memory import ResponderLink
from portulan.scan.ping import ECHO, ECHO6
from portulan.scan.sweep import Sweep
from portulan.scan.verdict import State
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire.frames import Frames, LinkType


def answering(frames):
    """Answer every echo request whose target is even."""
    replies = []
    for octets in frames:
        six = octets[0] >> 4 == 6
        start = 40 if six else 20
        src, dst = (slice(8, 24), slice(24, 40)) if six else (slice(12, 16), slice(16, 20))
        reply = bytearray(octets)
        reply[src], reply[dst] = octets[dst], octets[src]
        reply[start] = 129 if six else 0
        if octets[dst][-1] % 2 == 0:
            replies.append(bytes(reply))
    return Frames.of(replies, link_type=LinkType.RAW)


@pytest.mark.parametrize(("family", "question", "first"), [
    (4, ECHO, 0x0A00_0000), (6, ECHO6, 0xFD00 << 112)])
def test_hosts_that_answer_are_up(monkeypatch, family, question, first):
    monkeypatch.setattr(echoes, "PingSocketsLink", lambda **_: ResponderLink(
        answering, now=time.time_ns, link_type=LinkType.RAW))
    space = Space.hosts([Range(family, first, 8)], [question])
    sweep = Sweep(space.size, seed=1, rate_pps=0, retries=0)
    kind = echo_kind(space, family, key=(1, 2), contact="who to ask")
    up = set()

    def report(found):
        assert (found.answers.state == State.UP).all()
        up.update(found.answers.index.tolist())

    runner = EchoSweep(sweep, kind, report=report, stop=threading.Event(), zones={})
    runner.run()
    runner.close()
    assert up == set(np.arange(0, 8, 2).tolist())
