from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from portulan.record import Note, decode
from portulan.render.jsonl import line, render

from .runs import ATTACKS, SMALL, hostile, shown, texts


def test_every_event_comes_back_equal():
    assert [decode(text) for text in "".join(render(SMALL)).splitlines()] == SMALL


def test_events_are_rendered_before_the_next_is_asked_for():
    def endless():
        yield SMALL[0]
        pytest.fail("asked too early")

    assert next(iter(render(endless()))).endswith("}\n")


@given(texts)
@settings(deadline=None)
def test_any_text_is_one_harmless_line_that_reads_back(text):
    for event in hostile(text):
        written = line(event)
        assert "\n" not in written
        assert not shown(written)
        json.loads(written)
        if text.isprintable() or text.encode("utf-8", "ignore").decode() == text:
            assert decode(written) == event


def test_every_attack_reads_back():
    for text in ATTACKS:
        event = Note(addr="x", text=text)
        try:
            text.encode()
        except UnicodeEncodeError:
            assert decode(line(event)).text.isascii()
        else:
            assert decode(line(event)) == event
