from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.link.contract import Closing, Counters, check_frames
from portulan.wire.frames import Frames, LinkType


def test_counters_nothing_passed_are_zero():
    assert Counters() == Counters(sent=0, received=0, drops=0, refused=0)


def test_check_frames_fitting_frames_pass():
    check_frames(Frames.of([b"abc", b""]), LinkType.ETHERNET)


def test_check_frames_no_frames_fit_any_link():
    check_frames(Frames.empty(LinkType.RAW), LinkType.ETHERNET)


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (2, 2), (0, -1), (4, 0)])
def test_check_frames_outside_the_buffer_is_refused(offset: int, length: int):
    good = Frames.of([b"abc"])
    wild = Frames(good.buffer, good.offset + offset, good.length * 0 + length, good.length,
                  good.time_ns)
    with pytest.raises(UsageError, match="outside"):
        check_frames(wild, LinkType.ETHERNET)


def test_closing_error_in_the_block_still_closes():
    class Thing(Closing):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    thing = Thing()
    with pytest.raises(ValueError), thing:
        raise ValueError
    assert thing.closed == 1
