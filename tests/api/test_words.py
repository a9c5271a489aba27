from __future__ import annotations

import numpy as np

from portulan.api.words import Words, joined
from portulan.wire import IPv4, IPv6
from portulan.wire.columns import columns
from portulan.wire.frames import Frames

PACKETS = [IPv4(src="10.9.0.1"), IPv6(src="fd00::1"), IPv4(src="10.9.0.1"), IPv4(src="10.9.0.2")]


def test_first_field_that_is_there_counts_and_equal_words_are_one():
    words = Words()
    frames = Frames.of([each.pack() for each in PACKETS], link_type=101)
    for part in (frames.take(slice(0, 1)), frames.take(slice(1, 4))):
        words.add(columns(part, ["ip.src", "ip6.src"]))
    assert words.array().tolist() == ["10.9.0.1", "fd00::1", "10.9.0.1", "10.9.0.2"]
    assert [words.words[code] for code in words.codes] == words.array().tolist()
    assert words.words[0] is None


def test_what_no_field_has_is_none():
    words = Words()
    words.add({"http.host": np.ma.masked_array(np.array(["a", None], object), [False, True])})
    assert words.array().tolist() == ["a", None]


def test_column_without_batches_is_empty():
    assert Words().array().tolist() == []


def test_lists_become_text():
    assert (joined(["a", 1]), joined(()), joined(None), joined(3)) == ("a, 1", "", None, 3)
