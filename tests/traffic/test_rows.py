from __future__ import annotations

import numpy as np

from portulan.traffic.rows import ROOM_AT_FIRST, Blank, Rows


def test_rows_begin_blank_and_keep_what_was_set_when_others_come():
    rows = Rows(one=Blank(np.int64, fill=-1), two=Blank(np.uint8, 2))
    rows.make(np.array([0, 1]))
    rows["one"][1], rows["two"][1] = 7, (3, 4)
    rows.make(np.array([ROOM_AT_FIRST * 5]))
    assert rows["one"][[0, 1, ROOM_AT_FIRST * 5]].tolist() == [-1, 7, -1]
    assert rows["two"][1].tolist() == [3, 4]


def test_row_made_again_is_blank():
    rows = Rows(one=Blank(np.int64, fill=-1))
    rows.make(np.array([2]))
    rows["one"][2] = 5
    rows.make(np.array([2]))
    rows.make(np.empty(0, np.int64))
    assert rows["one"][2] == -1
