from __future__ import annotations

import re

from hypothesis import given

from portulan.render.escape import visible

from .runs import ATTACKS, UNSEEN, texts

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


def restored(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1] or m[2] or m[3], 16)), text)


@given(texts)
def test_any_text_is_printable_and_can_be_restored(text):
    assert visible(text).isprintable()
    assert restored(visible(text)) == text


def test_every_attack_is_printable_and_can_be_restored():
    for text in [*ATTACKS, *UNSEEN]:
        assert visible(text).isprintable()
        assert restored(visible(text)) == text


def test_plain_text_stays_as_it_is():
    for text in ("OpenSSH 9.2p1", "C:\\files", "日本語", "naïve <b>"):
        assert visible(text) == text


def test_escape_sequence_is_spelled_out():
    assert visible("\x1b[2J\u202e\U000e0001") == "\\x1b[2J\\u202e\\U000e0001"
