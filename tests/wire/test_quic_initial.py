from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.wire.quic_initial import V1, V2, Keys, client_keys, crypto_octets, varint

DCID = bytes.fromhex("8394c8f03e515708")


@pytest.mark.parametrize(("version", "keys"), [
    (V1, ("1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c",
          "9f50449e04a0e810283a1e9933adedd2")),
    (V2, ("8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f",
          "45b95e15235d6f45a6b19cbcb0294ba9")),
])
def test_keys_are_those_of_the_rfcs_example(version, keys):
    assert client_keys(version, DCID) == Keys(*map(bytes.fromhex, keys))


@pytest.mark.parametrize(("digits", "number"), [
    ("c2197c5eff14e88c", 151_288_809_941_952_652), ("9d7f3e7d", 494_878_333), ("7bbd", 15_293),
    ("25", 37), ("4025", 37), ("7b", -1), ("", -1),
])
def test_variable_length_numbers_are_those_of_the_rfc(digits, number):
    octets = bytes.fromhex(digits)
    assert varint(octets, 0, len(octets)) == (number, len(octets))


@given(st.binary(max_size=120), st.integers(0, 40), st.sampled_from([V1, V2, 7]))
def test_what_does_not_decrypt_is_nothing(packet, at, version):
    assert crypto_octets(version, DCID, packet, at) == b""
