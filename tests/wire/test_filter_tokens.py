from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire.filter_tokens import LENGTH_MAX_CHARS, Kind, tokens


def kinds(text):
    return [(token.kind.name, token.text) for token in tokens(text)[:-1]]


@pytest.mark.parametrize(("text", "kind"), [
    ("10.0.0.1", "IP4"), ("10.1", "IP4"), ("::1", "IP6"), ("fe80::1", "IP6"), ("::", "IP6"),
    ("1:2:3:4:5:6", "MAC"), ("1-2-3-4-5-6", "MAC"), ("0102.0304.0506", "MAC"), ("80", "NUMBER"),
    ("0x50", "NUMBER"), ("5-9", "WORD"), ("tcp-syn", "WORD"), ("tcp.dport", "WORD"),
    ("<<", "OPERATOR"), ("&&", "OPERATOR"), ("1:2:3:4:5:6:7:8", "IP6"),
])
def test_one_word_is_of_its_kind(text, kind):
    assert kinds(text) == [(kind, text)]


def test_slice_is_not_an_address():
    assert [text for _, text in kinds("tcp[0:4]")] == ["tcp", "[", "0", ":", "4", "]"]


def test_numbers_in_all_bases_have_their_value():
    assert [token.number for token in tokens("80 0x50 0120")[:-1]] == [80, 80, 80]


@pytest.mark.parametrize("text", ["4294967296", "080", "9" * 400, "ip ; ip", "'a'"])
def test_bad_word_is_one_line(text):
    with pytest.raises(UsageError) as caught:
        tokens(text)
    assert "\n" not in str(caught.value)


def test_too_long_filter_is_refused_before_it_is_read():
    with pytest.raises(UsageError, match=str(LENGTH_MAX_CHARS)):
        tokens("(" * (LENGTH_MAX_CHARS + 1))


@given(st.text(max_size=60))
def test_any_text_ends_or_says_its_column(text):
    try:
        found = tokens(text)
    except UsageError as error:
        assert "column" in str(error)
        return
    assert found[-1].kind is Kind.END
    assert [token.at for token in found] == sorted(token.at for token in found)
