from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portulan.wire as wire
import portulan.wire.columns as module
from portulan.errors import UsageError
from portulan.wire.address import Ip6
from portulan.wire.columns import columns, known_fields, plain, text
from portulan.wire.dissect import dissect

from .generators import LINK_TYPES, ethernet_packets, hostile_octets

NAMES = [name for name in known_fields() if not name.startswith("frame.")]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(hostile_octets, ethernet_packets().map(lambda p: p.pack())), max_size=6),
    st.sampled_from([1, 1, 1, *LINK_TYPES]),
)
def test_columns_equal_dissections_for_every_field(octets, link_type):
    frames = wire.Frames.of(octets, link_type=link_type)
    found = columns(frames, NAMES)
    for row, one in enumerate(octets):
        whole = dissect(one, link_type)
        for name in NAMES:
            value = whole.get(name)
            column = text(name, found[name][row])
            assert column == (None if value is None else plain(value)), name


def test_tunnelled_ports_are_found_where_the_outer_header_has_none():
    inner = wire.Ethernet() / wire.IPv4(dst="10.0.0.9") / wire.TCP(dport=443)
    from portulan.wire.vxlan import VXLAN

    outer = wire.Ethernet() / wire.IPv4(dst="10.9.0.2") / wire.UDP(dport=4789) / VXLAN(vni=5)
    frames = wire.Frames.of([(outer / inner).pack(), inner.pack()])
    found = columns(frames, ["ip.dst", "tcp.dport", "vxlan.vni"])
    assert [text("ip.dst", each) for each in found["ip.dst"]] == ["10.9.0.2", "10.0.0.9"]
    assert found["tcp.dport"].tolist() == [443, 443]
    assert found["vxlan.vni"].tolist() == [5, None]


def test_frame_columns_number_from_the_first():
    frames = wire.Frames.of([b"ab", b""], [5, 6])
    found = columns(frames, ["frame.number", "frame.time_ns", "frame.length"], first=11)
    assert [each.tolist() for each in found.values()] == [[11, 12], [5, 6], [2, 0]]


def test_no_frames_make_empty_columns():
    found = columns(wire.Frames.empty(), NAMES)
    assert {len(each) for each in found.values()} == {0}


def test_unknown_field_names_near_ones():
    with pytest.raises(UsageError, match=r"tcp\.dport"):
        columns(wire.Frames.empty(), ["tcp.dprt"])


def test_numbers_are_of_the_smallest_unsigned_type():
    frames = wire.Frames.of([(wire.Ethernet() / wire.IPv4(dst="10.9.0.2") / wire.TCP()).pack()])
    found = columns(frames, ["ip.dst", "tcp.flags", "tcp.dport"])
    assert [each.dtype for each in found.values()] == [np.uint32, np.uint8, np.uint16]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=40))
def test_addresses_that_share_a_slot_are_still_their_own(pairs):
    with pytest.MonkeyPatch.context() as few:
        few.setattr(module, "SLOTS_BITS", 2)
        joined = module._Joined()
        high, low = np.array(pairs, np.uint64).reshape(-1, 2).T
        # Made, then found; every row anew where two share a slot.
        both = [joined.addresses(high, low).tolist() for _ in range(2)]
    for found in both:
        assert found == [hi << 64 | lo for hi, lo in pairs]
        assert all(isinstance(each, Ip6) for each in found)
