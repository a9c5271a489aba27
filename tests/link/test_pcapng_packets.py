import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.link.pcapng_blocks import BlockType, Interface, pack_options
from portulan.link.pcapng_packets import (
    TIME_MAX_NS,
    BlockColumns,
    Clock,
    packet_columns,
    packet_notes,
    ticks_to_ns,
)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def columns_of(data: list[bytes], order: str = "<", snaplen: int = 1 << 18):
    size = np.array([len(one) for one in data], np.int64)
    kind = np.array([struct.unpack(order + "I", one[:4])[0] for one in data], np.int64)
    buffer = np.frombuffer(b"".join(data), np.uint8)
    blocks = BlockColumns(np.cumsum(size) - size, kind, size)
    return buffer, packet_columns(buffer, blocks, order=order, snaplen=snaplen)


def enhanced(
    order: str, *, interface=0, ticks=0, data=b"", wire=None, options=b"", length=None
) -> bytes:
    length = len(data) if length is None else length
    head = struct.pack(
        order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, length,
        len(data) if wire is None else wire,
    )
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


@pytest.mark.parametrize("order", "<>")
def test_packets_of_all_three_kinds_together_are_read(order):
    high, low = 1 << 8, 7
    obsolete = struct.pack(order + "HHIIII", 3, 9, high, low, 2, 5) + b"PB\0\0"
    unknown_drops = struct.pack(order + "HHIIII", 0, 0xFFFF, 0, 0, 0, 0)
    simple = struct.pack(order + "I", 100) + b"cut to 10!"
    buffer, columns = columns_of(
        [
            enhanced(order, interface=2, ticks=high << 32 | low, data=b"EPB", wire=60),
            block(order, 2, obsolete), block(order, 3, simple), block(order, 2, unknown_drops),
        ],
        order, snaplen=10,
    )
    assert [
        buffer[s : s + n].tobytes() for s, n in zip(columns.start, columns.length, strict=True)
    ] == [b"EPB", b"PB", b"cut to 10!", b""]
    assert columns.wire_length.tolist() == [60, 5, 100, 0]
    assert columns.interface.tolist() == [2, 3, 0, 0]
    assert columns.ticks.tolist() == [high << 32 | low] * 2 + [0, 0]
    assert columns.dropped.tolist() == [0, 9, 0, 0]
    assert columns.sound.all()


@pytest.mark.parametrize("length", [5, 1 << 20, 0xFFFFFFFF])
def test_packet_longer_than_its_block_is_not_sound(length):
    lying = enhanced("<", data=b"four", length=length)
    _, columns = columns_of([enhanced("<", data=b"four"), lying])
    assert columns.sound.tolist() == [True, False]


@pytest.mark.parametrize("kind", [2, 3, 6])
def test_block_too_short_for_its_fields_is_not_sound(kind):
    _, columns = columns_of([block("<", kind, b"")])
    assert columns.sound.tolist() == [False]


@pytest.mark.parametrize("order", "<>")
def test_notes_on_packets_are_read(order):
    def options(*given: tuple[int, bytes]) -> bytes:
        return b"".join(
            struct.pack(order + "HH", c, len(v)) + v + bytes(-len(v) % 4) for c, v in given
        ) + bytes(4)

    flag, drops = struct.pack(order + "I", 2), struct.pack(order + "Q", 5)
    buffer, columns = columns_of(
        [
            enhanced(order, data=b"a"),
            enhanced(order, data=b"b", options=options((2, flag))),
            enhanced(order, options=options((1, b"note"), (2, flag), (4, drops), (1, b"more"))),
            enhanced(order, options=options((4, b"\xff" * 8))),
            enhanced(order, options=bytes(4)),
            enhanced(order, options=options((2, b"xx"))),
        ],
        order,
    )
    flags, comments = packet_notes(buffer, columns, order)
    assert flags.tolist() == [0, 2, 2, 0, 0, 0]
    assert columns.dropped.tolist() == [0, 0, 5, TIME_MAX_NS, 0, 0]
    assert comments == {2: "note\nmore"}


def test_notes_that_do_not_hold_together_are_left_out():
    torn = struct.pack("<HH", 1, 60) + b"short!!!"
    buffer, columns = columns_of([enhanced("<", data=b"x", options=torn)])
    assert packet_notes(buffer, columns, "<")[1] == {}


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 255))
def test_ticks_of_any_resolution_become_the_exact_nanosecond_or_the_last(ticks, resolution):
    exponent = resolution & 0x7F
    base = 2 if resolution & 0x80 else 10
    exact = min(ticks * 10**9 // base**exponent, TIME_MAX_NS)
    [found] = ticks_to_ns(np.array([ticks], np.uint64), resolution).tolist()
    assert abs(found - exact) <= (1 if base == 2 and exponent > 34 else 0)


def test_clock_adds_each_interfaces_offset_and_never_wraps():
    clock = Clock()
    for resolution, offset in [(9, 0), (6, 3600), (0x8A, -5), (0, 1 << 62), (0, -(1 << 62))]:
        clock.add(Interface(1, time_resolution=resolution, time_offset_s=offset))
    ticks = np.array([7, 7, 1024, 1, 0, 1 << 63], np.uint64)
    times = clock.time_ns(ticks, np.array([0, 1, 2, 3, 4, 1]))
    assert times.tolist() == [
        7, 3600 * 10**9 + 7000, -4 * 10**9, TIME_MAX_NS, -TIME_MAX_NS, TIME_MAX_NS,
    ]


def test_clock_of_more_interfaces_than_it_began_with_keeps_all():
    clock = Clock()
    for link_type in range(100):
        clock.add(Interface(link_type, snaplen=link_type + 7))
    assert clock.link_type(np.arange(100)).tolist() == list(range(100))
    assert (clock.count, clock.snaplen) == (100, 7)


def test_block_types_are_the_numbers_of_the_draft():
    assert (BlockType.PACKET, BlockType.SIMPLE_PACKET, BlockType.ENHANCED_PACKET) == (2, 3, 6)
    assert pack_options([]) == b""
