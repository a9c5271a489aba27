"""No octets make a dissection raise, go round in circles, or take much: header by header.

Progress is counted in calls, not in seconds, so a slow machine changes nothing.
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire.dissect import DEPTH_MAX, dissect
from portulan.wire.header import BY_LINK
from portulan.wire.text import LINE_MAX_CHARS, line

sys.path.insert(0, str(Path(__file__).parents[2] / "fuzz"))

import fuzz_dissect

LINK = 9_998
"""A link type of our own, whose frames begin with the header that is tried."""
LINKS = (1, 101, 113, 276, 0, 105, 127)
HEADERS = sorted(
    (each for each in wire.headers().values() if each.__module__.startswith("portulan.")),
    key=lambda header: header.layer)
CALLS_MAX, CALLS_PER_OCTET = 6_000, 40
"""What an honest frame of 1,500 octets takes is a tenth of it."""
PEAK_MAX_BYTES = 8 << 20
LONG = 65_535
CASES = int(os.environ.get("PORTULAN_HOSTILE_CASES", "60"))
"""Of each header in a run of the tests; 10,000 were tried once."""


def calls_of(octets: bytes, link_type: int) -> int:
    """Return how many calls it takes to dissect a frame strictly and to write it as a line."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        found = dissect(octets, link_type)
        values = [value for layer in found.layers for value in layer.values()]
    finally:
        sys.setprofile(None)
    assert "fault" not in found.defect, found.defect
    assert len(found.layers) <= DEPTH_MAX
    places = [layer.at for layer in found.layers]
    assert places == sorted(places)
    assert 0 <= found.payload_at <= found.payload_end <= len(octets)
    assert len(values) >= len(found.layers) - 1
    return count


@pytest.fixture
def begins_with(monkeypatch):
    """Let frames of our own link type begin with a header."""
    return lambda header: monkeypatch.setitem(BY_LINK, LINK, header)


def test_every_header_has_a_seed_that_is_fuzzed():
    seen = {layer.name for frame in fuzz_dissect.SEEDS for link in LINKS
            for layer in dissect(frame, link).layers}
    assert sorted({header.layer for header in HEADERS} - seen) == []


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.layer)
def test_any_octets_behind_a_header_are_read_in_bounded_steps(header, begins_with):
    begins_with(header)

    @settings(max_examples=CASES, deadline=None)
    @given(st.binary(max_size=300))
    def read(octets):
        assert calls_of(octets, LINK) <= CALLS_MAX + CALLS_PER_OCTET * len(octets)
        shown = line(octets, LINK)
        assert shown.isprintable() and len(shown) <= LINE_MAX_CHARS

    read()


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.layer)
@pytest.mark.parametrize("pattern", ["00", "ff", "01", "0100", "c00c", "3f00", "30802d"])
def test_longest_frame_of_one_pattern_takes_little(header, pattern, begins_with):
    begins_with(header)
    octets = (bytes.fromhex(pattern) * LONG)[:LONG]
    tracemalloc.start()
    try:
        calls = calls_of(octets, LINK)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert calls <= CALLS_MAX + CALLS_PER_OCTET * 1_500
    assert peak <= PEAK_MAX_BYTES


@pytest.mark.parametrize("octet", [0, 255], ids=["zero", "full"])
def test_any_one_field_zero_or_full_is_a_defect_or_nothing(octet):
    for frame in fuzz_dissect.SEEDS:
        for at in range(len(frame)):
            for size in (1, 2):
                changed = frame[:at] + bytes([octet]) * size + frame[at + size :]
                found = dissect(changed)
                assert "fault" not in found.defect, (changed.hex(), found.defect)


def test_any_frame_cut_anywhere_is_a_defect_or_shorter():
    for frame in fuzz_dissect.SEEDS:
        for link in (1, 105, 127):
            for size in range(len(frame)):
                found = dissect(frame[:size], link)
                assert "fault" not in found.defect, (frame[:size].hex(), found.defect)
                assert found.payload_end <= size
