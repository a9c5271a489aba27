from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.traffic.expert import BURST_NAMES, SCAN_PORTS, SENTENCES, Expert, Kind, level
from portulan.wire.tcp import tcp_options, wscale

A, B = "10.9.0.1", "10.9.0.2"
MS = 1_000_000


def tcp(there, flags="A", *, seq=0, ack=0, data=b"", window=1000, options=(), **ip):
    """A segment from A (there) or back from B."""
    src, dst, sport, dport = (A, B, 40_000, 80) if there else (B, A, 80, 40_000)
    segment = wire.TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=window)
    body = tcp_options(*options) if options else b""
    return (wire.Ethernet() / wire.IPv4(src=src, dst=dst, **ip) / segment / body / data).pack()


def opening(*, scale=()):
    return [tcp(True, "S", seq=99, options=scale),
            tcp(False, "SA", seq=199, ack=100, options=scale), tcp(True, seq=100, ack=200)]


def noted(frames, *, apart_ns=50 * MS, parts=1):
    """(kind, frame number, text) of all notes, the frames added in some parts."""
    expert, told = Expert(), []
    for rows in np.array_split(np.arange(len(frames)), parts):
        batch = wire.Frames.of([frames[row] for row in rows.tolist()],
                               time_ns=[row * apart_ns for row in rows.tolist()])
        notes = expert.add(batch, rows + 1)
        told += [(Kind(kind), frame, text) for kind, frame, text in zip(
            notes.kind.tolist(), notes.frame.tolist(), notes.text, strict=True)]
    return told


def kinds(frames, **words):
    return [(kind, frame) for kind, frame, _ in noted(frames, **words)]


def test_every_kind_has_a_sentence_and_a_level():
    assert set(SENTENCES) == {*Kind}
    assert {level(kind) for kind in Kind} == {"note", "warning", "error"}


def test_an_undisturbed_connection_has_no_notes():
    frames = [*opening(), tcp(True, "AP", seq=100, ack=200, data=b"hi"),
              tcp(False, seq=200, ack=102), tcp(True, "AF", seq=102, ack=200),
              tcp(False, "AF", seq=200, ack=103), tcp(True, seq=103, ack=201)]
    assert kinds(frames) == []


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_octets_sent_again_and_a_gap_are_noted(parts):
    frames = [*opening(), tcp(True, "AP", seq=100, ack=200, data=b"one"),
              tcp(True, "AP", seq=100, ack=200, data=b"one"),
              tcp(True, "AP", seq=200, ack=200, data=b"far")]
    assert kinds(frames, apart_ns=400 * MS, parts=parts) == [
        (Kind.RETRANSMISSION, 5), (Kind.LOST_SEGMENT, 6)]


def test_octets_sent_again_after_they_were_confirmed_are_spurious():
    frames = [*opening(), tcp(True, "AP", seq=100, ack=200, data=b"one"),
              tcp(False, seq=200, ack=103), tcp(True, "AP", seq=100, ack=200, data=b"one")]
    assert (Kind.SPURIOUS_RETRANSMISSION, 6) in kinds(frames)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_reset_is_noted_only_after_data(parts):
    quiet = [*opening(), tcp(False, "R", seq=200)]
    assert kinds(quiet, parts=parts) == []
    spoken = [*opening(), tcp(True, "AP", seq=100, ack=200, data=b"x"), tcp(False, "R", seq=200)]
    assert kinds(spoken, parts=parts) == [(Kind.RESET_AFTER_DATA, 5)]


@pytest.mark.parametrize("parts", [1, 4])
def test_a_window_is_full_where_data_reach_its_scaled_end(parts):
    scale = [wscale(2)]
    frames = [*opening(scale=scale), tcp(False, seq=200, ack=100, window=10),
              tcp(True, seq=100, ack=200, data=b"x" * 39), tcp(True, seq=139, ack=200, data=b"y")]
    assert (Kind.WINDOW_FULL, 6) in kinds(frames, parts=parts)
    assert (Kind.WINDOW_FULL, 5) not in kinds(frames, parts=parts)


def test_an_empty_window_is_noted():
    frames = [*opening(), tcp(False, seq=200, ack=100, window=0)]
    assert (Kind.ZERO_WINDOW, 4) in kinds(frames)


@pytest.mark.parametrize("parts", [1, 4])
def test_another_distance_within_a_flow_is_noted(parts):
    frames = [*opening(), tcp(False, seq=200, ack=100, window=999, ttl=50),
              tcp(False, seq=200, ack=100, window=998, ttl=50)]
    assert kinds(frames, parts=parts) == [(Kind.TTL_CHANGE, 4)]


def test_wrong_checksums_are_noted_and_those_left_to_the_card_told_apart():
    good = tcp(True, data=b"data")
    broken = good[:-1] + bytes([good[-1] ^ 1])
    ip = wire.IPv4(src=A, dst=B)
    length = 24
    octets = int(ip.src).to_bytes(4, "big") + int(ip.dst).to_bytes(4, "big")
    words = sum(int.from_bytes(octets[at : at + 2], "big") for at in (0, 2, 4, 6)) + 6 + length
    partial = (words & 0xFFFF) + (words >> 16)
    later = good[:50] + partial.to_bytes(2, "big") + good[52:]
    assert kinds([good]) == []
    assert (Kind.CHECKSUM, 1) in kinds([broken])
    assert kinds([later]) == [(Kind.OFFLOADED_CHECKSUM, 1)]


@pytest.mark.parametrize("parts", [1, 7])
def test_a_sweep_of_ports_is_noted_once(parts):
    frames = [
        (wire.Ethernet() / wire.IPv4(src=A, dst=B)
         / wire.TCP(sport=40_000 + port, dport=port, flags="S")).pack()
        for port in range(1, SCAN_PORTS + 20)]
    assert noted(frames, parts=parts) == [(Kind.PORT_SWEEP, SCAN_PORTS, f"{A} asks {B}")]
    assert noted(frames[: SCAN_PORTS - 1] * 3) == [
        each for each in noted(frames[: SCAN_PORTS - 1] * 3) if each[0] != Kind.PORT_SWEEP]


def test_an_address_claimed_by_another_card_is_noted():
    def claim(mac):
        return (wire.Ethernet(src=mac) / wire.ARP(operation=2, sha=mac, spa=A)).pack()

    told = noted([claim(1), claim(1), claim(2)])
    assert told == [(Kind.ARP_CONFLICT, 3, f"{A}: 00:00:00:00:00:01, now 00:00:00:00:00:02")]


def test_many_names_that_do_not_exist_are_noted():
    def missing(client):
        head = bytes.fromhex("0001818300010000000000000161000001 0001".replace(" ", ""))
        return (wire.Ethernet() / wire.IPv4(src=B, dst=client)
                / wire.UDP(sport=53, dport=40_000) / head).pack()

    burst = [missing(A)] * BURST_NAMES
    assert noted(burst, apart_ns=100 * MS) == [(Kind.NAME_BURST, BURST_NAMES, A)]
    assert noted(burst[1:]) == []
    assert noted(burst, apart_ns=60_000 * MS) == []


@given(st.lists(st.binary(max_size=90), max_size=6), st.sampled_from([1, 101, 113, 0]))
def test_hostile_frames_never_throw(octets, link_type):
    frames = wire.Frames.of(octets, link_type=link_type)
    notes = Expert().add(frames, np.arange(len(octets)) + 1)
    assert len(notes) == len(notes.text) == len(notes.frame)


@given(st.lists(st.tuples(
    st.booleans(), st.integers(0, 63), st.integers(95, 130), st.integers(195, 230),
    st.integers(0, 8), st.integers(0, 20), st.sampled_from([63, 64])), max_size=30),
    st.integers(1, 6))
def test_batches_may_be_cut_anywhere(segments, parts):
    frames = [
        tcp(there, flags, seq=seq if there else ack, ack=ack if there else seq, data=b"z" * size,
            window=window, ttl=ttl)
        for there, flags, seq, ack, size, window, ttl in segments]
    assert kinds(frames, parts=parts) == kinds(frames)
