from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.link.pcapng_blocks import BlockType
from portulan.link.pcapng_order import little, little_options
from tests.link.test_pcapng_copy import option


def bodies(order):
    """Return a body of every kind of block that is no packet, with options of all kinds."""
    def pack(form, *values):
        return struct.pack(order + form, *values)

    end = bytes(4)
    interface = b"".join([
        option(order, 2, b"eth0"), option(order, 4, bytes(8)), option(order, 6, b"\2\0\0\0\0\1"),
        option(order, 8, pack("Q", 10**9)), option(order, 9, b"\x09"),
        option(order, 10, pack("I", 3600)), option(order, 11, b"\0tcp"),
        option(order, 14, pack("q", -5)), option(order, 16, pack("Q", 7)), end])
    counts = b"".join([
        option(order, 2, pack("II", 1, 2)), option(order, 4, pack("Q", 9)),
        option(order, 1, b"a comment"), end])
    names = option(order, 1, b"\x0a\0\0\1host\0") + end + option(order, 3, b"resolver") + end
    return {
        BlockType.INTERFACE: pack("HHI", 1, 0, 96) + interface,
        BlockType.INTERFACE_STATISTICS: pack("III", 1, 2, 3) + counts,
        BlockType.NAME_RESOLUTION: names,
        BlockType.DECRYPTION_SECRETS: pack("II", 0x544C534B, 4) + b"keys",
        BlockType.CUSTOM: pack("I", 32473) + b"theirs",
        BlockType.SYSTEMD_JOURNAL: b"__REALTIME_TIMESTAMP=1\n",
    }


@pytest.mark.parametrize("kind", list(bodies("<")))
def test_block_of_the_other_order_becomes_the_little_one(kind):
    assert little(kind, bodies(">")[kind], ">") == bodies("<")[kind]
    assert little(kind, bodies("<")[kind], "<") == bodies("<")[kind]


def test_options_of_packets_are_turned_by_their_code():
    def options(order):
        return b"".join([
            option(order, 1, b"a comment"), option(order, 2, struct.pack(order + "I", 1)),
            option(order, 3, b"\2hash"), option(order, 4, struct.pack(order + "Q", 5)),
            option(order, 5, struct.pack(order + "Q", 77)),
            option(order, 6, struct.pack(order + "I", 3)), option(order, 7, b"\0verdict"),
            option(order, 2989, struct.pack(order + "I", 32473) + b"any"), bytes(4)])

    assert little_options(BlockType.ENHANCED_PACKET, options(">"), ">") == options("<")


@pytest.mark.parametrize(("kind", "body"), [(0x77, b"what"), (BlockType.INTERFACE, b"cut")])
def test_block_that_nobody_can_turn_is_none(kind, body):
    assert little(kind, body, ">") is None
    assert little(kind, body, "<") == body


@given(st.sampled_from([1, 4, 5, 9, 10, 0xBAD, 6, 99]), st.binary(max_size=60))
def test_any_body_is_turned_or_refused(kind, body):
    made = little(kind, body, ">")
    assert made is None or isinstance(made, bytes)
