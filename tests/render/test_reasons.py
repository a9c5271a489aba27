from __future__ import annotations

from typing import get_args

import pytest

from portulan.record import HostState, PortState
from portulan.render.reasons import ASKED, HOST, WHY, why, why_host, words_about
from portulan.scan.verdict import REASON_TEXT


@pytest.mark.parametrize("reason", REASON_TEXT)
def test_every_reason_of_a_scan_has_its_words(reason):
    for method in ASKED:
        assert "The reason is" not in why(method, reason).text
    assert "The reason is" not in why_host(reason).text


@pytest.mark.parametrize("state", [*get_args(PortState), *get_args(HostState)])
def test_every_state_has_its_words(state):
    assert state == "unknown" or next(iter(words_about(state))).text


def test_unknown_reason_is_named():
    assert "`new-one`" in why("syn", "new-one").text


def test_table_speaks_of_methods_and_reasons_there_are():
    for method, reason in WHY:
        assert method in {"", *ASKED}
        assert reason in {*REASON_TEXT, "conn-accepted"}
    assert set(HOST) <= set(REASON_TEXT)


def test_silence_means_what_the_scan_makes_of_it():
    assert "look alike" in why("fin", "no-response").text
    assert "cannot tell them apart" in why("syn", "no-response").text
    assert "ICMP" in why("udp", "no-response").text


def test_words_are_whole_sentences():
    for entry in (*WHY.values(), *HOST.values()):
        assert entry.text[0].isupper() or entry.text.startswith("connect()")
        assert entry.text.endswith(".")
        assert not entry.doubt or entry.doubt.endswith(".")
