import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.link.capture_records import equal_lengths, gather, records_at, scatter
from portulan.wire.frames import Frames


@given(st.lists(st.integers(0, 9)))
def test_lengths_grouped_cover_every_row_once(lengths):
    groups = list(equal_lengths(np.array(lengths, np.int64)))
    assert all(lengths[row] == length for length, rows in groups for row in rows)
    assert sorted(row for _, rows in groups for row in rows) == list(range(len(lengths)))
    assert len(groups) == len(set(lengths))


def test_rows_gathered_and_scattered_are_the_same_bytes():
    frames = Frames.of([b"abc", b"", b"def", b"ghi"]).take(np.array([3, 0, 2]))
    rows = gather(frames, np.arange(3), 3)
    out = np.zeros(11, np.uint8)
    scatter(out, np.array([8, 0, 4]), rows)
    assert out.tobytes() == b"abc\0def\0ghi"


def test_rows_of_no_bytes_gathered_are_rows():
    assert gather(Frames.of([b"", b""]), np.arange(2), 0).shape == (2, 0)


@pytest.mark.parametrize("start", [[4], [1 << 40], [0, 9]])
def test_record_beyond_the_buffer_is_refused(start):
    with pytest.raises(IndexError):
        records_at(np.zeros(5, np.uint8), np.array(start), 2)


def test_no_records_of_a_short_buffer_are_none():
    assert len(records_at(np.zeros(1, np.uint8), np.empty(0, np.int64), 8)) == 0
