from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.hpack import HEADERS_MAX, headers, unhuffman


def test_responses_of_the_rfc_are_read():
    # RFC 7541 appendix C.5.1 and C.6.1: the same response, plain and Huffman coded.
    plain = bytes.fromhex(
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
        "6e1768747470733a2f2f7777772e6578616d706c652e636f6d")
    coded = bytes.fromhex(
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad1718"
        "63c78f0b97c8e9ae82ae43d3")
    assert headers(plain) == headers(coded) == [
        (":status", "302"), ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("location", "https://www.example.com")]


def test_entry_added_is_found_again():
    block = b"\x40\x01a\x01b" + b"\xbe" + b"\x88"
    assert headers(block) == [("a", "b"), ("a", "b"), (":status", "200")]


def test_cookie_of_the_rfc_is_read():
    # Appendix C.6.3: all of punctuation that a cookie has.
    coded = bytes.fromhex(
        "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007")
    assert unhuffman(coded) == "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"


def test_block_that_lies_about_lengths_ends():
    assert headers(b"\x7f\xff\xff\xff\xff\xff\xff") is not None
    assert headers(b"\x40\x7f\xff\xff\x7f") is not None
    assert len(headers(b"\x88" * 1000)) == HEADERS_MAX


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(block):
    assert all(isinstance(name, str) for name, _ in headers(block))
