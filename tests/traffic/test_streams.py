from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.traffic import streams as module
from portulan.traffic.streams import ACK, FIN, RST, SYN, Segment, Stream

from .simulation import simulate, told, wanted


def data(seq, octets, *, side=0, flags=ACK, ack=0, frame=0):
    return Segment(side, seq, octets, len(octets), flags, ack, frame)


def stream_of(*segments):
    stream = Stream()
    for segment in segments:
        stream.add(segment)
    return stream


def said(stream, side=0):
    return told(stream.take(final=True), side)


@pytest.mark.parametrize("hundred", range(5))
def test_simulated_connections_are_rebuilt_or_tell_the_exact_gap(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        run = simulate(seed)
        chunks = list(stream_of(*run.segments).take(final=True))
        for side in (0, 1):
            assert told(chunks, side) == wanted(run, side), (seed, side)


def test_first_copy_of_a_byte_wins_and_the_difference_is_noted():
    stream = stream_of(data(10, b"abc", frame=1), data(11, b"XYZ", frame=2))
    assert said(stream) == [b"abcZ"]
    assert [note.frame for note in stream.notes] == [2]


def test_keep_alive_of_another_value_changes_nothing():
    stream = stream_of(
        data(10, b"abc", ack=5), data(5, b"", side=1, ack=13), data(12, b"\0"), data(13, b"d"))
    assert said(stream) == [b"abcd"]
    assert not stream.notes


def test_keep_alive_does_not_begin_a_half_open_stream():
    stream = stream_of(data(5, b"", side=1, ack=13), data(12, b"\0"), data(13, b"d"))
    assert said(stream) == [b"d"]


def test_bytes_that_were_confirmed_but_not_captured_are_missing():
    stream = stream_of(data(10, b"abc"), data(5, b"q", side=1, ack=33))
    assert said(stream) == [b"abc", 20]


def test_capture_of_packets_beginnings_tells_what_it_cut():
    stream = stream_of(Segment(0, 10, b"ab", 6, ACK), data(16, b"z"))
    assert said(stream) == [b"ab", 4, b"z"]


def test_port_used_again_begins_anew():
    stream = stream_of(
        data(10, b"", flags=SYN), data(11, b"one"), data(14, b"", flags=ACK | FIN),
        data(5_000, b"", flags=SYN), data(5_001, b"two"))
    assert said(stream) == [b"onetwo"]


def test_forged_syn_without_answer_ends_nothing():
    stream = stream_of(
        data(10, b"", flags=SYN), data(11, b"one"), data(5_000, b"", flags=SYN), data(14, b"two"))
    assert said(stream) == [b"onetwo"]


def test_bytes_of_a_reset_are_no_data():
    assert said(stream_of(data(10, b"abc"), data(13, b"go away", flags=RST))) == [b"abc"]


def test_segment_outside_any_window_is_noted_not_told():
    stream = stream_of(data(10, b"abc"), data(10 + (3 << 29), b"far", frame=2))
    assert said(stream) == [b"abc"]
    assert [note.frame for note in stream.notes] == [2]


def test_side_without_data_says_nothing():
    assert said(stream_of(data(10, b"abc", ack=77)), side=1) == []


def test_more_than_the_limit_is_told_early_and_in_order(monkeypatch):
    monkeypatch.setattr(module, "HELD_MAX_OCTETS", 2_000)
    stream = stream_of(data(10, b"a"), *(data(12 + n, b"z") for n in range(20)))
    early = list(stream.take())
    assert told(early, 0)[:2] == [b"a", 1]
    assert told([*early, *stream.take(final=True)], 0) == [b"a", 1, b"z" * 20]


numbers = st.integers(0, (1 << 32) - 1)


@given(st.lists(st.builds(
    lambda side, seq, octets, flags, ack: Segment(side, seq, octets, len(octets), flags, ack),
    st.integers(0, 1), numbers | st.integers(0, 40), st.binary(max_size=9), st.integers(0, 255),
    numbers | st.integers(0, 40)), max_size=30))
def test_segments_of_any_kind_never_raise_or_invent_bytes(segments):
    chunks = list(stream_of(*segments).take(final=True))
    assert sum(len(c.octets) for c in chunks) <= sum(len(s.octets) for s in segments)
    assert all(chunk.missing >= 0 for chunk in chunks)
