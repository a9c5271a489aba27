from __future__ import annotations

from portulan.wire.dissect import dissect

ACK = bytes.fromhex("d4000000 020000000001")


def test_length_is_little_endian_and_the_frame_follows():
    found = dissect(bytes.fromhex("00000c00 00000000 00000000") + ACK, 127)
    assert found.protocols == "radiotap:wlan"
    assert (found.get("radiotap.length"), found.layers[1].at, found.defect) == (12, 12, "")


def test_length_beyond_the_frame_is_a_defect():
    assert "length is 255" in dissect(bytes.fromhex("0000ff00 00000000"), 127).defect


def test_frequency_and_signal_are_told_behind_aligned_fields():
    fields = bytes.fromhex("00001200 2a000000 10 00 8509 a000 c8 00 0000")
    found = dissect(fields + ACK, 127)
    assert (found.get("radiotap.frequency"), found.get("radiotap.signal")) == (2437, -56)
