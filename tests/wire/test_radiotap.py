from __future__ import annotations

from portulan.wire.dissect import dissect


def test_length_is_little_endian_and_the_frame_follows():
    found = dissect(bytes.fromhex("00000c00 00000000 00000000") + b"frame", 127)
    assert (found.get("radiotap.length"), found.payload_at, found.defect) == (12, 12, "")


def test_length_beyond_the_frame_is_a_defect():
    assert "length is 255" in dissect(bytes.fromhex("0000ff00 00000000"), 127).defect
