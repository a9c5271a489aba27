from __future__ import annotations

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.dns import DNS, read_name

from .dissecting import over_tcp, over_udp, told


def answer(*records):
    question = dns.message.make_query("www.example.com", "A")
    message = dns.message.make_response(question)
    message.answer = [dns.rrset.from_text(*record) for record in records]
    return message.to_wire()


def test_answer_of_another_implementation_is_read():
    found = over_udp(53, answer(
        ("www.example.com.", 60, "IN", "CNAME", "web.example.com."),
        ("web.example.com.", 60, "IN", "A", "192.0.2.7", "192.0.2.8"),
        ("web.example.com.", 60, "IN", "AAAA", "2001:db8::1"),
        ("example.com.", 60, "IN", "MX", "10 mail.example.com."),
        ("_a._tcp.example.com.", 60, "IN", "SRV", "1 2 443 web.example.com."),
        ("example.com.", 60, "IN", "TXT", '"one" "two"'),
    ))
    values = told(found, "dns")
    assert (values["qname"], values["qtype"], found.defect) == ("www.example.com", 1, "")
    assert (sorted(values["a"]), values["aaaa"]) == (["192.0.2.7", "192.0.2.8"], ["2001:db8::1"])
    assert values["cname"] == ["web.example.com"]
    assert values["answers"][4:] == [
        "example.com MX 60 10 mail.example.com",
        "_a._tcp.example.com SRV 60 1 2 443 web.example.com",
        'example.com TXT 60 "one" "two"',
    ]


def test_message_on_tcp_stands_behind_its_length():
    message = answer()
    found = over_tcp(53, len(message).to_bytes(2, "big") + message)
    assert (found.protocols, found.get("dns.qname")) == ("ip:tcp:dns_tcp:dns", "www.example.com")
    assert "not whole" in over_tcp(53, b"\4\0" + message).defect


@pytest.mark.parametrize("octets", [
    b"\xc0\x00", b"\x01a\xc0\x00", b"\xc0\x05", b"\x3f", b"\x40", b"\x01",
    b"".join(b"\x3f" + b"a" * 63 for _ in range(5)) + b"\0",
], ids=bytes.hex)
def test_name_that_loops_or_is_too_long_is_a_defect(octets):
    assert read_name(octets, len(octets) - 2 if octets[:1] == b"\x01" and len(octets) > 2 else 0,
                     0)[2]


def test_pointers_that_lead_back_one_by_one_are_bounded():
    octets = b"\0" + b"".join(
        (0xC000 | max(2 * i - 1, 0)).to_bytes(2, "big") for i in range(200))
    assert read_name(octets, len(octets) - 2, 0)[2] == "bad pointer in a name"


@given(st.binary(max_size=80), st.integers(0, 80))
def test_any_octets_make_a_printable_name(octets, at):
    name, end, _ = read_name(octets, at, 0)
    assert name.isascii() and name.isprintable()
    assert end <= max(len(octets), at)


def test_control_characters_in_a_label_are_escaped():
    assert read_name(b"\x03a\x1b.\0", 0, 0)[0] == "a\\027\\046"


def test_promised_records_that_are_not_there_are_a_defect():
    found = over_udp(53, DNS(questions=65535, answer_count=65535).pack())
    assert "cut short" in found.defect


def test_names_that_expand_without_end_stop_at_the_bound():
    name = b"\1a" * 120 + b"\0"
    records = (b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x0c") * 4000
    head = DNS(questions=1, answer_count=4000).pack()
    found = over_udp(53, head + name + b"\0\1\0\1" + records)
    assert "expand" in found.defect
    assert len(told(found, "dns")["answers"]) < 256


def test_more_records_than_are_told_are_a_defect():
    records = b"\0\0\1\0\1\0\0\0\1\0\4\1\2\3\4" * 300
    found = over_udp(53, DNS(questions=0, answer_count=300).pack() + records)
    assert "more than 256 records" in found.defect
