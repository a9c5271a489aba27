from __future__ import annotations

import errno
import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import PeerError, UsageError
from portulan.link import ring_tx
from portulan.link.ring_rx import RxRing
from portulan.link.ring_tx import TxRing
from portulan.wire.frames import Frames
from tests.link.conformance import ethernet
from tests.link.namespace import inside, namespace

__all__ = ["namespace"]


@pytest.mark.parametrize(("frame", "slot"), [(54, 128), (96, 128), (97, 256), (1514, 2048)])
def test_slot_holds_header_and_frame_and_fills_pages(frame: int, slot: int):
    assert ring_tx._slot_size(frame) == slot


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=30))
def test_filled_slots_begin_with_their_frames(parts: list[bytes]):
    slots = np.full((len(parts), 64), 0xEE, np.uint8)
    ring_tx._fill(slots, Frames.of(parts))
    assert [row.tobytes()[: len(part)] for row, part in zip(slots, parts, strict=True)] == parts
    assert (slots[:, max(map(len, parts)):] == 0xEE).all()


def test_uniform_rows_regular_frames_are_seen_without_a_copy():
    frames = Frames.uniform(np.arange(60, dtype=np.uint8).reshape(6, 10))
    rows = ring_tx.uniform_rows(frames.take(slice(1, None, 2)))
    assert rows is not None
    assert rows.base is not None
    assert rows[:, 0].tolist() == [10, 30, 50]


def test_uniform_rows_other_order_or_size_is_not_uniform():
    frames = Frames.uniform(np.zeros((6, 10), np.uint8))
    assert ring_tx.uniform_rows(frames.take(np.array([0, 1, 3]))) is None
    assert ring_tx.uniform_rows(Frames.of([b"aa", b"bb", b"c"])) is None


@pytest.fixture
def ring(namespace: str):
    with inside(namespace):
        ring = TxRing("va", frame_bytes=96, slots=128)
    yield ring
    ring.close()


class FailingSocket:
    """A socket whose kernel takes `room` more requests, then says `code`."""

    def __init__(self, ring: TxRing, room: int, code: int, status: int = 1) -> None:
        self.ring, self.room, self.code, self.status = ring, room, code, status
        self.inner = ring._sock

    def send(self, data: bytes, flags: int) -> int:
        words = self.ring._words
        for slot in np.flatnonzero(words[:, 0] == 1).tolist():
            if not self.room:
                words[slot, 0] = self.status
                raise OSError(self.code, "told")
            words[slot, 0] = 0
            self.room -= 1
        return 0

    def fileno(self) -> int:
        return self.inner.fileno()

    def close(self) -> None:
        self.inner.close()


@pytest.mark.live
def test_queue_full_takes_back_what_is_left_and_sends_it_the_next_time(ring: TxRing):
    sock = ring._sock
    ring._sock = FailingSocket(ring, 10, errno.ENOBUFS)
    frames = Frames.of(ethernet(30, 60))
    assert ring.send(frames) == 10
    assert (ring._words[:, 0] == 0).all()
    ring._sock = sock
    ring._head = 0  # the feigned kernel had moved on, the real one had not
    assert ring.send(frames.take(slice(10, None))) == 20


@pytest.mark.live
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
def test_queue_full_from_the_first_takes_none(ring: TxRing, code: int):
    ring._sock = FailingSocket(ring, 0, code)
    assert ring.send(Frames.of(ethernet(5, 60))) == 0


@pytest.mark.live
def test_kernel_refuses_a_frame_says_so_and_frees_the_slot(ring: TxRing):
    ring._sock = FailingSocket(ring, 2, errno.EINVAL, status=ring_tx.WRONG_FORMAT)
    with pytest.raises(UsageError, match="refuses a frame on va: told"):
        ring.send(Frames.of(ethernet(5, 60)))
    assert (ring._words[:, 0] == 0).all()


@pytest.mark.live
@pytest.mark.parametrize("code", [errno.ENETDOWN, errno.ENXIO, errno.ENODEV])
def test_interface_gone_says_so(ring: TxRing, code: int):
    ring._sock = FailingSocket(ring, 0, code)
    with pytest.raises(PeerError, match="'va' went down or away"):
        ring.send(Frames.of(ethernet(5, 60)))


@pytest.mark.live
def test_slots_the_driver_still_reads_are_not_overwritten(ring: TxRing):
    ring._words[3:, 0] = 2
    before = ring._bytes[3:].copy()
    assert ring.send(Frames.of(ethernet(50, 60))) == 3
    assert (ring._bytes[3:] == before).all()


@pytest.mark.live
def test_ring_around_many_times_frames_stay_in_order(namespace: str, ring: TxRing):
    with inside(namespace):
        into = RxRing("vb")
    try:
        frames = ethernet(1_000, 64)
        batch, done = Frames.of(frames), 0
        for step in (1, 63, 64, 65, 128, 300, 379):
            assert ring.send(batch.take(slice(done, done + step))) == step
            done += step
        got: list[bytes] = []
        while part := into.receive(200_000_000):
            got += list(part)
        assert got == frames
    finally:
        into.close()


@pytest.mark.live
def test_sending_socket_receives_nothing(namespace: str, ring: TxRing):
    with inside(namespace):
        other = TxRing("vb", frame_bytes=96)
    other.send(Frames.of(ethernet(5, 60)))
    other.close()
    with pytest.raises(BlockingIOError):
        ring._sock.recv(100, socket.MSG_DONTWAIT)


@pytest.mark.live
def test_close_while_a_view_lives_does_not_fail(ring: TxRing):
    view = ring._bytes[3:]
    ring.close()
    assert ring._sock.fileno() == -1
    assert view[0, 0] == 0
