from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.fingerprint import md5
from portulan.wire.hello import Hello

from .test_tls import client_hello

MESSAGE = client_hello()[5:]


def test_client_hello_has_fingerprints_of_its_transport():
    over_tcp = Hello.read(MESSAGE).told_with_fingerprints()
    over_quic = Hello.read(MESSAGE, transport="q").told_with_fingerprints()
    assert over_tcp["ja3_hash"] == md5(over_tcp["ja3"])
    assert (over_tcp["ja4"][:4], over_quic["ja4"][:4]) == ("t13d", "q13d")
    assert over_tcp["ja4"].split("_")[0].endswith("h2")
    assert "ja3s" not in over_tcp


@given(st.integers(0, len(MESSAGE) - 1))
def test_cut_hello_has_no_fingerprint(cut):
    hello = Hello.read(MESSAGE[:cut])
    assert "ja4" not in hello.told_with_fingerprints()
    assert hello.defect or cut < 4


@given(st.binary(max_size=80))
def test_any_octets_are_read(octets):
    told = dict(Hello.read(bytes((1, 0, 0, len(octets))) + octets).told_with_fingerprints())
    assert told["handshake"] == 1


def test_message_longer_than_any_is_encrypted():
    sealed = Hello.read(bytes.fromhex("04 ffffff") + bytes(20))
    assert (sealed.message, dict(sealed.told)) == (-1, {})
    assert Hello.read(bytes.fromhex("04 000010") + bytes(16)).message == 4
