from __future__ import annotations

import pytest
from hypothesis import given, settings

from portulan.errors import UsageError
from portulan.render import FORMATS, renderer

from .runs import KILLED, SMALL, hostile, shown, texts, wide


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_known_suffix_renders_a_whole_run(suffix):
    assert "10.0.0.1" in "".join(renderer(suffix)(iter(SMALL)))


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_no_events_at_all_render_without_error(suffix):
    assert isinstance("".join(renderer(suffix)([])), str)


@pytest.mark.parametrize("suffix", sorted({*FORMATS} - {".json", ".jsonl", ".ndjson", ".csv"}))
def test_killed_run_is_said_to_be_incomplete(suffix):
    assert "incomplete" in "".join(renderer(suffix)(KILLED))
    assert "incomplete" not in "".join(renderer(suffix)(SMALL))


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_many_hosts_come_in_several_chunks(suffix):
    assert sum(1 for _ in renderer(suffix)(wide(3000))) > 5


@pytest.mark.parametrize("suffix", sorted(FORMATS))
@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_hostile_text_never_leaves_unescaped(suffix, text):
    output = "".join(renderer(suffix)(hostile(text)))
    assert not shown(output)
    output.encode()


def test_suffix_in_capitals_is_known():
    assert renderer(".XML") is renderer(".xml")


def test_unknown_suffix_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"(?s)\.docx.*\.csv.*\.parquet.*\.pcapng.*\.xml"):
        renderer(".docx")
