from __future__ import annotations

import errno
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import LimitError
from portulan.link import ring_rx
from portulan.wire.frames import LinkType

MAC_AT = 82  # where the kernel puts the bytes of an Ethernet frame behind its header


def block(frames: list[bytes], *, tags: dict[int, tuple[int, int, int]] | None = None,
          cut: int = 65_535) -> np.ndarray:
    """Return a V3 block as the kernel lays it out; `tags[i]` = (status, tci, tpid) of frame i."""
    body = b""
    for index, frame in enumerate(frames):
        status, tci, tpid = (tags or {}).get(index, (1, 0, 0))
        held = frame[:cut]
        size = -(-(MAC_AT + len(held)) // 8) * 8
        last = index == len(frames) - 1
        header = struct.pack(
            "=IIIIIIHHIII", 0 if last else size, 100 + index, index, len(held), len(frame), status,
            MAC_AT, MAC_AT + 14, 0xDEADBEEF, tci, tpid)
        body += (header.ljust(MAC_AT, b"\xee") + held).ljust(size, b"\xdd")
    used = 48 + len(body)
    head = struct.pack("=IIIIIIQ", 1, 48, 1, len(frames), 48, used, 7).ljust(48, b"\0")
    return np.frombuffer(bytearray((head + body).ljust(used + -used % 16, b"\0")), np.uint8)


@given(st.lists(st.lists(st.binary(min_size=14, max_size=80), max_size=20), min_size=1, max_size=4))
def test_blocks_of_any_sizes_give_all_frames_in_order(blocks: list[list[bytes]]):
    got = ring_rx._frames([block(frames) for frames in blocks], LinkType.ETHERNET)
    assert list(got) == [frame for frames in blocks for frame in frames]
    assert got.time_ns.tolist() == [
        (100 + index) * 10**9 + index for frames in blocks for index in range(len(frames))]


def test_equal_sizes_are_found_without_a_walk(monkeypatch):
    monkeypatch.setattr(ring_rx, "_walk", None)
    assert len(ring_rx.frame_offsets(block([bytes(60)] * 50))) == 50


def test_equal_sizes_but_one_are_walked():
    frames = [bytes(60)] * 20 + [bytes(90)] + [bytes(60)] * 20
    assert list(ring_rx._frames([block(frames)], LinkType.ETHERNET)) == frames


def test_cut_frames_tell_their_length_on_the_wire():
    got = ring_rx._frames([block([bytes(100), bytes(30)], cut=40)], LinkType.ETHERNET)
    assert got.length.tolist() == [40, 30]
    assert got.wire_length.tolist() == [100, 30]


@pytest.mark.parametrize(("status", "tag"), [(0x11, b"\x81\x00"), (0x51, b"\x88\xa8")])
def test_stripped_tag_is_put_back_and_neighbours_stay(status: int, tag: bytes):
    frames = [bytes(range(60)), bytes(range(100, 160)), bytes(range(60))]
    got = ring_rx._frames([block(frames, tags={1: (status, 0x6005, 0x88A8)})], LinkType.ETHERNET)
    assert list(got) == [frames[0], frames[1][:12] + tag + b"\x60\x05" + frames[1][12:], frames[2]]
    assert got.length.tolist() == got.wire_length.tolist() == [60, 64, 60]


def test_tag_of_a_packet_without_ethernet_header_is_left_out():
    got = ring_rx._frames([block([bytes(40)], tags={0: (0x11, 5, 0)})], LinkType.RAW)
    assert list(got) == [bytes(40)]


class ShortOfMemory:
    """A socket of a kernel that has room for few blocks."""

    def __init__(self, room: int) -> None:
        self.room, self.asked = room, []

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        size, blocks, frame, frames, *_ = struct.unpack("7I", value)
        assert frames == size // frame * blocks
        self.asked.append(blocks)
        if blocks > self.room:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_memory_short_takes_a_smaller_ring():
    sock = ShortOfMemory(room=40)
    assert ring_rx._make_ring(sock, 256, 1 << 17) == 32
    assert sock.asked == [256, 128, 64, 32]


def test_memory_out_says_so():
    with pytest.raises(LimitError, match="no kernel memory for a receive ring of 1024 KiB"):
        ring_rx._make_ring(ShortOfMemory(room=0), 256, 1 << 17)
