from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import LimitError
from portulan.target.ports import PortSet
from portulan.target.ranges import Range, merge
from portulan.target.space import Segment, Space
from portulan.target.targets import Block, Targets

EDGE = 1 << 64


@st.composite
def segment_lists(draw):
    """Disjoint segments of both families, some across a change of the upper 64 bits."""
    lists = draw(st.lists(
        st.sets(st.integers(0, (1 << 24) - 1), min_size=1, max_size=4), min_size=1, max_size=3))
    segments, at = [], {4: draw(st.integers(0, 50)), 6: EDGE - draw(st.integers(1, 20))}
    for _ in range(draw(st.integers(0, 6))):
        family, count = draw(st.sampled_from([4, 6])), draw(st.integers(1, 12))
        keys = tuple(sorted(draw(st.sampled_from(lists))))
        segments.append(Segment(family, at[family], count, keys))
        gap = draw(st.sampled_from([0, 1, 5, EDGE] if family == 6 else [0, 1, 5]))
        at[family] += count + gap
    return segments


def listed(segments):
    return sorted(
        (segment.family, address, key)
        for segment in segments
        for address in range(segment.start, segment.start + segment.count)
        for key in segment.keys
    )


def rows(probes):
    columns = (probes.family, probes.hi, probes.lo, probes.port, probes.protocol)
    return [
        (family, hi << 64 | lo, protocol << 16 | port)
        for family, hi, lo, port, protocol in zip(*(c.tolist() for c in columns), strict=True)
    ]


@given(segment_lists())
def test_all_indices_give_all_probes_in_order_and_back(segments):
    space, wanted = Space(segments), listed(segments)
    every = np.arange(space.size)
    probes = space.probes(every)
    assert rows(probes) == wanted
    back = space.index_of(probes.family, probes.hi, probes.lo, probes.port, probes.protocol)
    assert back.tolist() == every.tolist()


@given(segment_lists(), st.lists(
    st.tuples(st.sampled_from([4, 6]), st.sampled_from([0, 1, 2]), st.one_of(
        st.integers(0, 60), st.integers(EDGE - 30, EDGE - 1)),
        st.integers(0, 0xFFFF), st.integers(0, 255)), max_size=30))
def test_probe_from_anywhere_has_its_index_or_minus_one(segments, asked):
    space = Space(segments)
    place = {row: at for at, row in enumerate(listed(segments))}
    kinds = (np.uint8, np.uint64, np.uint64, np.uint16, np.uint8)
    columns = list(zip(*asked, strict=True)) or [()] * 5
    found = space.index_of(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))
    assert found.tolist() == [
        place.get((f, hi << 64 | lo, protocol << 16 | port), -1)
        for f, hi, lo, port, protocol in asked
    ]


@given(segment_lists())
def test_hosts_are_numbered_in_order_with_consecutive_probes(segments):
    space = Space(segments)
    hosts = space.host_of(np.arange(space.size))
    at = 0
    for host in range(space.host_count):
        first, count = space.host_span(host)
        assert first == at and (hosts[first : first + count] == host).all()
        at += count
    assert at == space.size
    family, hi, lo = space.host_address(np.arange(space.host_count))
    assert space.host_number(family, hi, lo).tolist() == list(range(space.host_count))
    assert [*zip(family.tolist(), [h << 64 | low for h, low in
                                   zip(hi.tolist(), lo.tolist(), strict=True)], strict=True)] == \
        sorted({(f, address) for f, address, _ in listed(segments)})


@given(segment_lists().filter(len), st.data())
def test_asked_ports_on_other_addresses_are_minus_one(segments, data):
    space, place = Space(segments), {row: at for at, row in enumerate(listed(segments))}
    rows_asked = [
        (data.draw(st.sampled_from([4, family, 6])),
         (address + data.draw(st.sampled_from([0, 1, -1, EDGE, -EDGE, 12]))) % (EDGE * EDGE), key)
        for family, address, key in data.draw(
            st.lists(st.sampled_from(sorted(place)), min_size=1, max_size=10))
    ]
    column = [np.array(values, kind) for values, kind in (
        ([f for f, _, _ in rows_asked], np.uint8), ([a >> 64 for _, a, _ in rows_asked], np.uint64),
        ([a % EDGE for _, a, _ in rows_asked], np.uint64),
        ([k & 0xFFFF for _, _, k in rows_asked], np.uint16),
        ([k >> 16 for _, _, k in rows_asked], np.uint8))]
    assert space.index_of(*column).tolist() == [place.get(row, -1) for row in rows_asked]


def test_same_lower_bits_in_another_net_or_family_are_minus_one():
    for ranges in ([Range(6, EDGE + 1)], [Range(6, EDGE + 1), Range(6, 3 * EDGE + 1)]):
        space = Space.hosts(ranges, [(6, 80)])
        hi, lo = np.array([1, 2, 0, 1], np.uint64), np.ones(4, np.uint64)
        family = np.array([6, 6, 6, 4], np.uint8)
        assert space.host_number(family, hi, lo).tolist() == [0, -1, -1, -1]


def test_index_within_host_follows_the_list_of_ports():
    space = Space.hosts([Range(4, 256, 4)], [(6, 80), (6, 22), (1, 0)])
    assert rows(space.probes(np.array([0, 1, 2, 3]))) == [
        (4, 256, 1 << 16), (4, 256, 6 << 16 | 22), (4, 256, 6 << 16 | 80), (4, 257, 1 << 16)]


def test_space_of_targets_has_their_ports():
    ports = PortSet.of(tcp=[80], udp=[53])
    space = Space.of(Targets((Block(Range(4, 1, 2), ports), Block(Range(6, 1), ports))))
    assert rows(space.probes(np.array([0, 1, 5]))) == [
        (4, 1, 6 << 16 | 80), (4, 1, 17 << 16 | 53), (6, 1, 17 << 16 | 53)]


def test_whole_ipv4_all_ports_is_beyond_32_bits_and_exact_at_the_end():
    space = Space.hosts([Range(4, 0, 1 << 32)], [(6, port) for port in range(1, 65_536)])
    last = np.array([space.size - 1])
    assert space.size == (1 << 32) * 65_535
    assert rows(space.probes(last)) == [(4, (1 << 32) - 1, 6 << 16 | 65_535)]


def test_too_large_or_outside_raises():
    with pytest.raises(LimitError):
        Space.hosts([Range(6, 0, 1 << 64)], [(6, 80)])
    space = Space.hosts([Range(4, 0, 2)], [(6, 80)])
    for wrong in (-1, 2):
        with pytest.raises(IndexError):
            space.probes(np.array([wrong]))
        with pytest.raises(IndexError):
            space.host_address(np.array([wrong]))
        with pytest.raises(IndexError):
            space.host_span(wrong)


def test_empty_space_and_empty_batches_are_answers():
    none = np.empty(0, np.int64)
    for space in (Space([]), Space.hosts(merge([]), [(6, 80)])):
        assert space.size == 0 and len(space.probes(none)) == 0
        one = [np.ones(1, kind) for kind in (np.uint8, np.uint64, np.uint64, np.uint16, np.uint8)]
        assert space.index_of(*one).tolist() == [-1]
        assert space.host_number(*one[:3]).tolist() == [-1]


def test_probes_take_selects_rows():
    probes = Space.hosts([Range(4, 0, 4)], [(6, 80)]).probes(np.arange(4))
    assert probes.take(np.array([True, False, False, True])).lo.tolist() == [0, 3]
