from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.frames import Frames, LinkType

octets = st.lists(st.binary(max_size=9), max_size=6)


@given(octets)
def test_of_frames_gives_them_back(parts):
    frames = Frames.of(parts, time_ns=5)
    assert list(frames) == parts == [frames[i] for i in range(len(frames))]
    assert frames.wire_length.tolist() == [len(part) for part in parts]
    assert frames.time_ns.tolist() == [5] * len(parts)


@given(octets, st.data())
def test_take_and_compact_keep_the_selected_frames(parts, data):
    frames = Frames.of(parts, list(range(len(parts))))
    picks = data.draw(st.lists(st.integers(0, max(len(parts) - 1, 0)), max_size=8 if parts else 0))
    chosen = frames.take(np.array(picks, np.int64))
    assert chosen.buffer is frames.buffer
    small = chosen.compact()
    assert list(chosen) == list(small) == [parts[i] for i in picks]
    assert small.time_ns.tolist() == picks
    assert len(small.buffer) == sum(len(parts[i]) for i in picks)


@given(st.lists(octets, max_size=4))
def test_concat_is_all_frames_in_order(groups):
    joined = Frames.concat([Frames.of(parts) for parts in groups])
    assert list(joined) == [part for parts in groups for part in parts]


def test_concat_of_two_link_types_is_refused():
    with pytest.raises(ValueError, match="link types"):
        Frames.concat([Frames.of([b"a"]), Frames.of([b"b"], link_type=LinkType.RAW)])


def test_uniform_rows_share_memory_if_contiguous():
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    frames = Frames.uniform(rows, np.array([7, 8]))
    rows[1, 0] = 99
    assert list(frames) == [b"\0\1\2", b"c\4\5"]
    assert list(Frames.uniform(rows[:, ::2])) == [b"\0\2", b"c\5"]
    assert len(Frames.empty(LinkType.RAW)) == 0
