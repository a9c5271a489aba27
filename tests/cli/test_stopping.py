from __future__ import annotations

import os
import signal

import pytest

from portulan.cli.stopping import stopped_by_signals


def test_first_signal_asks_to_stop_and_the_second_is_as_ever():
    asked = []
    with pytest.raises(KeyboardInterrupt), stopped_by_signals(lambda: asked.append(1)):
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == [1]
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 5)


def test_handlers_of_before_are_back_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stopped_by_signals(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
