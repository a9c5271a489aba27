from __future__ import annotations

import os

from portulan.link.pipe import widen


def test_widened_pipe_holds_more():
    read, write = os.pipe2(os.O_NONBLOCK)
    assert widen(write, 256 << 10)
    assert os.write(write, bytes(1 << 20)) == 256 << 10
    os.close(read)
    os.close(write)


def test_size_beyond_the_kernels_is_refused_not_raised():
    read, write = os.pipe()
    assert not widen(write, 1 << 31 - 1)
    os.close(read)
    os.close(write)
