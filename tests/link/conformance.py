"""What every link must do, whatever is under it. Subclass it and give a fixture `ends`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.link.contract import Link
from portulan.wire.frames import Frames

WAIT_NS = 500_000_000


@dataclass
class Ends:
    """What `near` sends arrives at `far` (which may be the same link); `make(n, size)` builds
    frames that the link carries, all different, with `size` bytes."""

    near: Link
    far: Link
    make: Callable[[int, int], list[bytes]]

    def frames(self, count: int, size: int = 80) -> Frames:
        return Frames.of(self.make(count, size), link_type=self.near.link_type)


def send_all(link: Link, frames: Frames) -> None:
    """Send as a caller must: the rest again until all is taken."""
    done, until = 0, time.monotonic() + 20
    while done < len(frames):
        done += link.send(frames.take(slice(done, None)))
        assert time.monotonic() < until, "the link takes no more frames"


def receive_all(link: Link, count: int) -> Frames:
    """Receive until `count` frames came or nothing comes any more."""
    parts: list[Frames] = []
    while sum(map(len, parts)) < count:
        parts.append(link.receive(WAIT_NS))
        if not len(parts[-1]):
            break
    return Frames.concat(parts)


class LinkConformance:
    def test_fulfils_the_contract(self, ends: Ends):
        assert isinstance(ends.near, Link)

    def test_nothing_sent_receives_nothing_of_the_links_type(self, ends: Ends):
        got = ends.far.receive()
        assert len(got) == 0
        assert got.link_type == ends.far.link_type

    def test_frames_sent_arrive_whole_and_in_order(self, ends: Ends):
        frames = ends.frames(300)
        send_all(ends.near, frames)
        got = receive_all(ends.far, 300)
        assert list(got) == list(frames)
        assert got.wire_length.tolist() == [80] * 300

    def test_ragged_batch_arrives_whole_and_in_order(self, ends: Ends):
        wanted = [ends.make(1, 60 + index * 37 % 900)[0] for index in range(200)]
        send_all(ends.near, Frames.of(wanted, link_type=ends.near.link_type))
        assert list(receive_all(ends.far, 200)) == wanted

    def test_ragged_short_batch_arrives_whole_and_in_order(self, ends: Ends):
        wanted = [ends.make(1, 60 + index * 7 % 37)[0] for index in range(200)]
        send_all(ends.near, Frames.of(wanted, link_type=ends.near.link_type))
        assert list(receive_all(ends.far, 200)) == wanted

    def test_selected_frames_arrive_in_the_selected_order(self, ends: Ends):
        frames = ends.frames(50)
        chosen = frames.take(np.array([7, 3, 3, 49, 0]))
        send_all(ends.near, chosen)
        assert list(receive_all(ends.far, 5)) == list(chosen)

    def test_buffer_written_after_send_does_not_change_what_arrives(self, ends: Ends):
        rows = np.array([list(frame) for frame in ends.make(20, 80)], np.uint8)
        wanted = [row.tobytes() for row in rows]
        send_all(ends.near, Frames.uniform(rows, link_type=ends.near.link_type))
        rows[:] = 0
        assert list(receive_all(ends.far, 20)) == wanted

    def test_received_frames_stay_when_more_arrive(self, ends: Ends):
        wanted = ends.frames(40)
        send_all(ends.near, wanted)
        first = receive_all(ends.far, 40)
        for _ in range(5):
            send_all(ends.near, ends.frames(40, 90))
            receive_all(ends.far, 40)
        assert list(first) == list(wanted)

    def test_times_of_received_frames_do_not_run_back(self, ends: Ends):
        send_all(ends.near, ends.frames(100))
        times = receive_all(ends.far, 100).time_ns
        assert len(times) == 100
        assert (np.diff(times) >= 0).all()

    def test_counters_count_what_passed(self, ends: Ends):
        sent, received = ends.near.counters().sent, ends.far.counters().received
        send_all(ends.near, ends.frames(123))
        assert len(receive_all(ends.far, 123)) == 123
        assert ends.near.counters().sent - sent == 123
        assert ends.far.counters().received - received == 123
        assert ends.far.counters().drops == 0

    def test_no_frames_to_send_takes_none(self, ends: Ends):
        assert ends.near.send(Frames.empty(ends.near.link_type)) == 0

    def test_frames_of_another_link_type_are_refused(self, ends: Ends):
        with pytest.raises(UsageError, match="link type 147"):
            ends.near.send(Frames.of([bytes(80)], link_type=147))

    def test_frames_outside_their_buffer_are_refused(self, ends: Ends):
        good = ends.frames(1)
        wild = Frames(good.buffer, good.offset + 10, good.length, good.length, good.time_ns,
                      good.link_type)
        with pytest.raises(UsageError, match="outside"):
            ends.near.send(wild)

    def test_closed_twice_is_fine_and_keeps_the_counters(self, ends: Ends):
        send_all(ends.near, ends.frames(3))
        before = ends.near.counters()
        ends.near.close()
        ends.near.close()
        assert ends.near.counters().sent == before.sent

    def test_context_manager_closes(self, ends: Ends):
        with ends.near as link:
            assert link is ends.near
        assert link.fileno() == -1


def ethernet(count: int, size: int) -> list[bytes]:
    """Return broadcast frames of the local experimental EtherType, told apart by a number."""
    head = b"\xff" * 6 + bytes.fromhex("020000000001") + b"\x88\xb5"
    filler = bytes(range(256)) * (size // 256 + 1)
    return [head + index.to_bytes(4, "big") + filler[: size - 18] for index in range(count)]
