from __future__ import annotations

import ssl

import pytest

from .dissecting import over_tcp, told


def client_hello(name="shop.example", alpn=("h2", "http/1.1")):
    """Return the hello of another implementation."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


@pytest.mark.parametrize("port", [443, 4444])
def test_hello_tells_name_protocols_and_versions_on_any_port(port):
    found = over_tcp(port, client_hello())
    values = told(found, "tls")
    assert (values["sni"], values["alpn"]) == ("shop.example", ["h2", "http/1.1"])
    assert 0x304 in values["versions"] and 0x1301 in values["ciphers"]
    assert (values["handshake"], found.defect) == (1, "")
    assert found.brief == "TLS client hello shop.example TLS 1.3"


def test_hello_cut_anywhere_is_a_defect_and_keeps_what_is_there():
    hello = client_hello()
    for cut in range(5, len(hello)):
        found = over_tcp(443, hello[:cut])
        assert found.defect
    assert told(over_tcp(443, hello[:-1]), "tls")["sni"] == "shop.example"


def test_records_of_one_segment_follow_each_other():
    found = over_tcp(443, bytes.fromhex("1403030001 01 1703030002 abcd"))
    assert found.protocols == "ip:tcp:tls:tls"
    assert found.brief == "TLS change cipher"


def test_server_hello_tells_its_choice():
    body = "0303" + "22" * 32 + "00 1302 00 0006 002b 0002 0304"
    hello = bytes.fromhex("020000" + "2e" + body)
    found = over_tcp(443, bytes.fromhex("160303") + len(hello).to_bytes(2, "big") + hello)
    values = told(found, "tls")
    assert (values["cipher"], values["versions"], values["handshake"]) == (0x1302, [0x304], 2)


def test_middle_of_a_stream_is_payload():
    assert over_tcp(443, b"\x99" * 50).protocols == "ip:tcp"


def test_name_with_escapes_is_printable():
    hello = client_hello("a.example").replace(b"a.example", b"\x1b[2J.exam")
    assert told(over_tcp(443, hello), "tls")["sni"] == "\\x1b[2J.exam"
