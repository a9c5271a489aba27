from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.option import Option, walk_ip6_options, walk_options

BOTH = pytest.mark.parametrize("walk", [walk_options, walk_ip6_options])


@BOTH
@given(st.binary(max_size=80), st.integers(0, 99))
def test_any_area_is_walked_forwards_and_ends(walk, area, at):
    items = list(walk(area, at))
    offsets = [item.offset for item in items]
    assert offsets == sorted(set(offsets))
    assert all(at <= offset < at + len(area) for offset in offsets)
    assert not any(item.defect for item in items[:-1])
    if area:
        assert items


def test_zero_length_stops_with_a_reason():
    assert list(walk_options(b"\x01\x08\x00\x01", 20)) == [
        Option(1, b"", 20), Option(8, b"\x00\x01", 21, "length 0 is below 2"),
    ]


def test_lengths_past_the_end_stop_with_a_reason():
    assert list(walk_options(b"\x02\x04\x05"))[-1].defect == "length 4 exceeds the 3 bytes left"
    assert list(walk_options(b"\x02"))[-1].defect == "length octet missing"
    assert list(walk_ip6_options(b"\x05\x02\x00"))[-1].defect == "length 2 exceeds the 1 bytes left"
    assert list(walk_ip6_options(b"\x05"))[-1].defect == "length octet missing"


def test_end_of_list_hides_what_follows():
    assert [item.kind for item in walk_options(b"\x01\x00\x02\x04\x05\xb4")] == [1, 0]


def test_ip6_pad1_has_no_length_and_others_count_data_only():
    assert list(walk_ip6_options(b"\x00\x01\x00\x1e\x02ab")) == [
        Option(0, b"", 0), Option(1, b"", 1), Option(30, b"ab", 3),
    ]
