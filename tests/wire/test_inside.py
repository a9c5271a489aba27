from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.inside import ITEMS_MAX, TEXT_MAX_CHARS, Lazy, items_of, number_at, text_of


@given(st.binary(max_size=3000))
def test_any_octets_become_printable_bounded_text(octets):
    text = text_of(octets)
    assert text.isprintable() and len(text) <= TEXT_MAX_CHARS


@given(st.binary(max_size=600), st.integers(0, 20), st.integers(1, 2), st.integers(1, 2))
def test_items_of_any_octets_stay_inside_and_move_on(octets, at, kind, length):
    ends = [at]
    for item in items_of(octets, at, len(octets), kind=kind, length=length):
        assert ends[-1] + kind + length == item.at <= item.end <= len(octets)
        ends.append(item.end)
    assert len(ends) <= ITEMS_MAX + 1


def test_items_without_end_are_cut_off():
    assert len(list(items_of(bytes(10_000), 0, 10_000))) == ITEMS_MAX


def test_number_cut_short_is_what_is_there():
    assert number_at(b"\1\2", 1, 4) == 2


def test_lazy_value_is_made_once_and_only_when_asked_for():
    calls = []
    told = Lazy({"a": 1}, {"b": lambda: calls.append("b") or 2, "c": lambda: None})
    assert told["a"] == 1 and not calls
    assert (told["b"], told["b"], calls) == (2, 2, ["b"])
    assert "c" not in told and dict(told) == {"a": 1, "b": 2} and len(told) == 2
