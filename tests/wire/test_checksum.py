from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.wire import checksum as cs

from .generators import ip4_address, ip6_address, payload, u16, u32

u64 = st.integers(0, (1 << 64) - 1)


def naive(data):
    """RFC 1071 section 4.1, word by word."""
    total = 0
    for i in range(0, len(data), 2):
        total += int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_rfc_1071_example():
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert cs.internet_sum(data) == 0xDDF2
    assert cs.internet_checksum(data) == 0x220D


@given(st.binary(max_size=200))
def test_scalar_equals_the_naive_sum(data):
    assert cs.internet_checksum(data) == naive(data)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 5), st.data())
def test_rows_equal_the_naive_sum(start, size, count, data):
    rows = [data.draw(st.binary(min_size=start + size + 3, max_size=start + size + 3))
            for _ in range(count)]
    array = np.frombuffer(b"".join(rows), np.uint8).reshape(count, -1)
    got = cs.checksum_rows(array, start, start + size)
    assert got.tolist() == [naive(row[start : start + size]) for row in rows]
    assert got.dtype == np.uint16


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1), u32)
def test_rows_on_an_initial_sum_equal_the_scalar(rows, initial):
    array = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 4)
    want = [cs.internet_checksum(row, initial) for row in rows]
    assert cs.checksum_rows(array, initial=initial).tolist() == want
    column = np.full(len(rows), initial, np.uint64)
    assert cs.checksum_rows(array, initial=column).tolist() == want


def test_longest_frame_of_ones_does_not_overflow():
    rows = np.full((2, 65536), 255, np.uint8)
    assert cs.checksum_rows(rows, initial=np.full(2, (1 << 32) - 1, np.uint64)).tolist() == [0, 0]


@given(st.lists(st.binary(max_size=70), max_size=6))
def test_ragged_equals_the_naive_sum(parts):
    frames = wire.Frames.of(parts)
    assert cs.checksum_frames(frames).tolist() == [naive(part) for part in parts]


@given(st.binary(min_size=1, max_size=90), st.data())
def test_ragged_overlapping_ranges_equal_the_naive_sum(data, draws):
    edge = st.integers(0, len(data))
    pairs = [sorted(pair) for pair in draws.draw(st.lists(st.tuples(edge, edge), min_size=1))]
    start, stop = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    got = cs.checksum_ragged(np.frombuffer(data, np.uint8), start, stop)
    assert got.tolist() == [naive(data[a:b]) for a, b in pairs]


@given(ip4_address, ip4_address, payload)
def test_pseudo_header_ip4_equals_its_bytes(src, dst, body):
    octets = src.to_bytes(4, "big") + dst.to_bytes(4, "big") + bytes([0, 6]) + len(body).to_bytes(2)
    want = cs.internet_sum(octets)
    assert cs.fold(cs.pseudo_ip4(src, dst, 6, len(body))) == want
    columns = [np.array([value], np.uint64) for value in (src, dst, len(body))]
    assert cs.fold(cs.pseudo_ip4(columns[0], columns[1], 6, columns[2])).tolist() == [want]


@given(ip6_address, ip6_address, u32)
def test_pseudo_header_ip6_equals_its_bytes(src, dst, length):
    addresses = src.to_bytes(16, "big") + dst.to_bytes(16, "big")
    want = cs.internet_sum(addresses + length.to_bytes(4, "big") + bytes([0, 0, 0, 58]))
    a, b = wire.Ip6(src), wire.Ip6(dst)
    assert cs.fold(cs.pseudo_ip6((a.hi, a.lo), (b.hi, b.lo), 58, length)) == want


some_octets = st.binary(min_size=16, max_size=40).filter(any)


@given(some_octets, st.integers(0, 1), st.lists(u64, min_size=1))
def test_updated_equals_a_full_sum_of_the_changed_bytes(data, eighth, words):
    at = eighth * 8
    old = int.from_bytes(data[at : at + 8], "big")
    changed = [data[:at] + word.to_bytes(8, "big") + data[at + 8 :] for word in words]
    before = cs.internet_checksum(data)
    column = np.array(words, np.uint64)
    got = cs.updated(before, old=cs.word_sum(old), new=cs.word_sum(column)).tolist()
    for value, octets in zip(got, changed, strict=True):
        assert value == (cs.internet_checksum(octets) if any(octets) else value)
    assert got[0] == cs.updated(before, old=cs.word_sum(old), new=cs.word_sum(words[0]))


@given(u32)
def test_udp_checksum_is_never_zero(total):
    assert cs.finish_udp(total) == (cs.finish(total) or 0xFFFF)
    assert cs.finish_udp(np.array([total], np.uint64)).tolist() == [cs.finish_udp(total)]


def test_udp_that_sums_to_zero_is_sent_as_ones():
    header = wire.IPv4(src=0, dst=0) / wire.UDP(sport=0xFFFF - 17 - 8 - 8, dport=0)
    assert header.filled()[wire.UDP].checksum == 0xFFFF


def test_transport_without_network_header_sums_itself():
    assert cs.transport_sum((), 6, b"\0\1") == 1
    assert cs.transport_sum((wire.VLAN(), wire.IPv4(src=1)), 6, b"") == 7


@given(u16)
def test_fold_keeps_folded_sums(value):
    assert cs.fold(value) == value
