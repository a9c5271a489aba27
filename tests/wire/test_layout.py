from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire.layout import REQUIRED, Layout, Packed, Span, Wire, auto


def layout(*bits):
    wires = {f"f{i}": Wire(f"u{b}", b) for i, b in enumerate(bits)}
    return Layout.of("x", wires, defaults={}, doc="")


def test_units_close_at_the_first_octet_boundary():
    found = layout(4, 4, 3, 13, 4, 8, 20, 24, 16)
    places = [(field.offset, field.octets, field.shift) for field in found.fields]
    assert places == [(0, 1, 4), (0, 1, 0), (1, 2, 13), (1, 2, 0),
                      (3, 4, 28), (3, 4, 20), (3, 4, 0), (7, 3, 0), (10, 2, 0)]
    assert found.size == 12
    assert found.struct.format == ">BHI3sH"


def test_wide_fields_have_two_columns():
    assert [span.name for span in layout(128).fields[0].spans] == ["f0_hi", "f0_lo"]


@given(st.integers(1, 8), st.data())
def test_packed_columns_write_only_their_own_bits(octets, data):
    bits = data.draw(st.integers(1, octets * 8))
    shift = data.draw(st.integers(0, octets * 8 - bits))
    rows = np.frombuffer(data.draw(st.binary(min_size=24, max_size=24)), np.uint8).reshape(2, 12)
    rows = rows.copy()
    values = [data.draw(st.integers(0, (1 << bits) - 1)) for _ in range(2)]
    want = []
    for row, value in zip(rows, values, strict=True):
        mask = ((1 << bits) - 1) << shift
        number = int.from_bytes(row[2 : 2 + octets].tobytes(), "big") & ~mask | value << shift
        unit = number.to_bytes(octets, "big")
        want.append(row[:2].tobytes() + unit + row[2 + octets :].tobytes())
    column = Packed(rows, 1, Span("x", 1, octets, shift, bits))
    column[:] = np.array(values, np.uint64)
    assert [row.tobytes() for row in rows] == want
    assert column[:].tolist() == values
    assert (len(column), np.asarray(column).tolist()) == (2, values)
    assert int(column[1]) == values[1]


def test_sentences_and_units_come_from_the_docstring():
    doc = """Head.

    f0: bytes that follow [bytes]
    f1: a note (RFC 1) on it
    """
    wires = {name: Wire("u8", 8) for name in ("f0", "f1", "f2")}
    fields = Layout.of("x", wires, defaults={"f1": auto(4), "f2": 5}, doc=doc).fields
    assert [(f.sentence, f.unit) for f in fields] == [
        ("bytes that follow", "bytes"), ("a note (RFC 1) on it", ""), ("", ""),
    ]
    assert [(f.default, f.auto) for f in fields] == [(REQUIRED, False), (4, True), (5, False)]
    assert (fields[0].name, fields[0].kind, fields[0].bits) == ("x.f0", "u8", 8)


def test_number_that_does_not_fit_names_the_field():
    with pytest.raises(UsageError, match=r"x\.f0: does not fit 4 bits"):
        layout(4, 4).fields[0].number(16)
