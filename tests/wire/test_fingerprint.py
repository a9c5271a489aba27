from __future__ import annotations

import pytest

from portulan.wire.fingerprint import hassh, ja3, ja3s, ja4, md5


def words(text):
    return [int(word, 16) for word in text.split(",")]


# The hello that FoxIO's description of JA4 works out by hand.
CHROME = {
    "hello_version": 0x303, "versions": [0x2A2A, 0x304, 0x303],
    "ciphers": words("4a4a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,"
                     "002f,0035"),
    "extensions": words("1a1a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,"
                        "000b,000a,0015"),
    "signatures": words("0403,0804,0401,0503,0805,0501,0806,0601"),
}


def test_ja4_of_the_published_hello_is_the_published_one():
    assert ja4(CHROME, first_alpn=b"h2") == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja4_does_not_depend_on_order_and_grease():
    other = dict(CHROME, ciphers=CHROME["ciphers"][:0:-1], extensions=CHROME["extensions"][:0:-1])
    assert ja4(other, first_alpn=b"h2") == ja4(CHROME, first_alpn=b"h2")


@pytest.mark.parametrize(("alpn", "ends"), [
    (b"", "00"), (b"http/1.1", "h1"), (b"h", "hh"), (b"\xab", "ab"), (b"\xabc\x01", "a1"),
])
def test_ja4_shows_the_ends_of_the_first_protocol(alpn, ends):
    assert ja4(CHROME, first_alpn=alpn).split("_")[0].endswith(ends)


def test_ja4_of_an_empty_hello_is_zeros():
    assert ja4({}, transport="q") == "q00i000000_000000000000_000000000000"


def test_ja3_leaves_grease_out_and_keeps_order():
    told = dict(CHROME, groups=[0x6A6A, 29, 23], point_formats=[0])
    assert ja3(told).startswith("771,4865-4866-4867-49195")
    assert ja3(told).endswith(",29-23,0")


def test_ja3s_is_version_cipher_extensions():
    assert ja3s({"hello_version": 771, "cipher": 4865, "extensions": [51, 43]}) == "771,4865,51-43"


def test_hassh_joins_with_semicolons():
    assert hassh(["a,b", "c", "d", "none"]) == md5("a,b;c;d;none")
