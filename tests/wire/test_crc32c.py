from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.crc32c import crc32c, crc32c_rows


def by_bits(octets):
    value = 0xFFFF_FFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F6_3B78 if value & 1 else 0)
    return value ^ 0xFFFF_FFFF


@pytest.mark.parametrize(("octets", "crc"), [
    (b"123456789", 0xE306_9283), (bytes(32), 0x8A91_36AA), (b"\xff" * 32, 0x62A8_AB43),
    (bytes(range(32)), 0x46DD_794E), (bytes(range(31, -1, -1)), 0x113F_DB5C), (b"", 0),
])
def test_octets_of_iscsi_give_its_sums(octets, crc):
    assert crc32c(octets) == crc


@given(st.integers(0, 5), st.integers(0, 40), st.data())
def test_rows_are_summed_as_bit_by_bit(start, width, data):
    rows = [data.draw(st.binary(min_size=start + width, max_size=start + width)) for _ in range(3)]
    columns = np.frombuffer(b"".join(rows), np.uint8).reshape(3, start + width)
    assert crc32c_rows(columns, start).tolist() == [by_bits(row[start:]) for row in rows]
