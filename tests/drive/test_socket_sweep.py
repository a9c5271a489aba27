from __future__ import annotations

import threading

from portulan.drive.echoes import echo_kind
from portulan.drive.socket_sweep import SocketSweep
from portulan.scan.ping import ECHO
from portulan.scan.sweep import Sweep
from portulan.target.ranges import Range
from portulan.target.space import Space
from portulan.wire.frames import Frames, LinkType


class Recorder:
    """A link on which nobody answers."""

    link_type = LinkType.RAW

    def __init__(self):
        self.sent, self.closed = 0, False

    def send(self, frames):
        self.sent += len(frames)
        return len(frames)

    def receive(self, wait_ns=0):
        return Frames.empty(LinkType.RAW)

    def fileno(self):
        return -1

    def close(self):
        self.closed = True


def made(stop):
    space = Space.hosts([Range(4, 0x7F000001, 3)], [ECHO])
    sweep = Sweep(space.size, seed=1, hosts=3, host_of=space.host_of, rate_pps=0, retries=0)
    kind, link = echo_kind(space, 4, key=(1, 2), contact=""), Recorder()
    return SocketSweep(sweep, kind, link, report=lambda found: None, stop=stop), link


def test_every_probe_goes_to_the_link_which_is_closed_at_the_end():
    sweep, link = made(threading.Event())
    sweep.run()
    assert link.sent == 3
    assert not link.closed
    sweep.close()
    assert link.closed


def test_one_that_is_stopped_sends_nothing():
    stop = threading.Event()
    stop.set()
    sweep, link = made(stop)
    sweep.run()
    assert link.sent == 0
