from __future__ import annotations

import pytest

from .dissecting import over_udp, told

GET = bytes.fromhex(
    "302902010104067075626c6963a01c020412345678020100020100300e300c06082b060102010101000500")


def test_question_is_told():
    assert told(over_udp(161, GET), "snmp") == {
        "version": "2c", "community": "public", "pdu": "get", "request_id": 0x12345678,
        "error_status": 0, "oids": ["1.3.6.1.2.1.1.1.0"],
    }


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_question_cut_anywhere_is_a_defect(cut):
    assert over_udp(161, GET[:cut]).defect.startswith("snmp: ")


def test_length_of_many_octets_is_refused():
    assert "length of" in over_udp(161, b"\x30\xff" + bytes(300)).defect


def test_encrypted_version_3_is_named_only():
    body = bytes.fromhex("3003020103")
    assert told(over_udp(161, body), "snmp") == {"version": "3"}
