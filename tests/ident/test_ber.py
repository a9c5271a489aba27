"""LDAP and SNMP answers, and the values inside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.ber import ldap, snmp, values
from portulan.ident.probe_bodies import ber


def attribute(name: bytes, *texts: bytes) -> bytes:
    return ber(0x30, ber(4, name), ber(0x31, *(ber(4, text) for text in texts)))


def entry(*attributes: bytes) -> bytes:
    return ber(0x30, b"\x02\x01\x02", ber(0x64, ber(4), ber(0x30, *attributes)))


def test_root_dse_names_its_server():
    found = ldap(entry(attribute(b"objectClass", b"top", b"OpenLDAProotDSE"),
                       attribute(b"vendorName", b"Toy Project")))
    assert found.fields == {"ldap.object_class": "top OpenLDAProotDSE",
                            "ldap.vendor_name": "Toy Project"}


@pytest.mark.parametrize("reply", ["300c02010161070a010004000400", "301f02010265" + "1a0a0120"
                                   "04000413" + b"No tree found for: ".hex()],
                         ids=["bind", "no-such-object"])
def test_answer_without_an_entry_is_ldap(reply):
    assert ldap(bytes.fromhex(reply)).name == "ldap"


def test_entry_larger_than_what_was_read_is_ldap():
    assert ldap(entry(attribute(b"objectClass", b"x" * 300))[:120]).name == "ldap"


def answer(text: bytes, version: int = 1) -> bytes:
    binding = ber(0x30, ber(6, bytes.fromhex("2b06010201010100")), ber(4, text))
    told = ber(0xA2, b"\x02\x01\x01", b"\x02\x01\0", b"\x02\x01\0", ber(0x30, binding))
    return ber(0x30, bytes([2, 1, version]), ber(4, b"public"), told)


@pytest.mark.parametrize("version", [0, 1])
def test_description_is_read(version):
    assert snmp(answer(b"Toy OS 1.2", version)).fields == {"snmp.sysdescr": "Toy OS 1.2"}


def test_engine_tells_its_maker():
    security = ber(4, ber(0x30, ber(4, bytes.fromhex("80001f880401020304")), b"\x02\x01\x01"))
    reply = ber(0x30, b"\x02\x01\x03", ber(0x30), security, ber(0x30))
    assert snmp(reply).fields == {"snmp.engine": "net-snmp"}


@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data):
    list(values(data, 0, len(data)))
    ldap(b"0" + data)
    snmp(b"0" + data)


@given(st.binary(max_size=200))
def test_values_never_reach_beyond_their_end(data):
    assert all(start <= end <= len(data) for _, start, end in values(data, 0, len(data)))
