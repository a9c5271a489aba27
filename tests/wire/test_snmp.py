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


SCOPED = ("3021 0400 0400 a01b 020412345678 020100 020100"
          "300d 300b 0607 2b060102010101 0500")


def version_3(flags="04", scoped=SCOPED):
    head = bytes.fromhex(f"02020309 020205c0 0401{flags} 020103")
    security = bytes.fromhex("0405 8000000001 020107 020109 0402 6d65 0400 0400")
    inner = bytes((0x30, len(security))) + security
    body = (bytes.fromhex("020103") + bytes((0x30, len(head))) + head + bytes((4, len(inner)))
            + inner + bytes.fromhex(scoped))
    return bytes((0x30, len(body))) + body


def test_version_3_tells_engine_user_and_question():
    found = told(over_udp(161, version_3()), "snmp")
    assert found == {
        "version": "3", "message_id": 777, "message_flags": 4, "engine_id": "8000000001",
        "engine_boots": 7, "engine_time_s": 9, "user": "me", "pdu": "get",
        "request_id": 0x12345678, "error_status": 0, "oids": ["1.3.6.1.2.1.1.1"]}


def test_encrypted_version_3_tells_no_question():
    found = over_udp(161, version_3("07", "0404 deadbeef"))
    assert "pdu" not in told(found, "snmp") and told(found, "snmp")["user"] == "me"
    assert found.defect == ""
