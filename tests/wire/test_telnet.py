from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .dissecting import over_tcp, told


def test_negotiation_is_told_by_number():
    found = over_tcp(23, bytes.fromhex("fffd18 fffb01 fffa1801fff0") + b"login: ")
    assert told(found, "telnet") == {
        "commands": [253, 251, 250, 240], "options": [24, 1, 24], "text": "login: "}
    assert found.brief == "Telnet do terminal-type, will echo, sub terminal-type"


def test_doubled_mark_is_text():
    assert told(over_tcp(23, b"a\xff\xffb\r\nc"), "telnet")["text"] == "a\\xffb"


@pytest.mark.parametrize("octets", ["ff", "fffd18fffb"])
def test_command_cut_short_is_a_defect(octets):
    found = over_tcp(23, bytes.fromhex(octets))
    assert found.defect or found.protocols == "ip:tcp"


def test_binary_octets_are_payload():
    assert over_tcp(23, bytes([1, 2, 3])).protocols == "ip:tcp"


@given(st.lists(st.sampled_from([255, 250, 240, 251, 24, 65]), min_size=1, max_size=60))
def test_any_commands_are_read(octets):
    for layer in over_tcp(23, bytes(octets)).layers:
        assert len(layer.told.get("commands", [])) >= len(layer.told.get("options", []))
