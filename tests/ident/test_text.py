"""Text from hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.text import decode, is_text


@pytest.mark.parametrize("encoding", ["utf-8", "shift_jis"])
def test_japanese_decodes_to_itself(encoding):
    assert decode("日本語ルータ".encode(encoding)) == "日本語ルータ"


@given(st.binary(max_size=200))
def test_any_bytes_decode(data):
    assert isinstance(decode(data), str)


def test_nul_is_no_text():
    assert is_text(b"login: ") and not is_text(b"a\0b")
