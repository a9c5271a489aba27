from __future__ import annotations

import struct

import portulan.wire as wire
from portulan.ident.checks.tls_versions import chosen, chosen_known, hello, tls_versions
from portulan.wire.dissect import dissect

from .places import levels, place, tell, texts

ALERT = b"\x15\x03\x01\0\x02\x02\x46"


def server_hello(version, cipher):
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">HB", cipher, 0)
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", 0x16, version, len(message)) + message


def test_a_hello_is_one_that_our_own_dissector_reads():
    octets = hello(0x0301, "lab.test:443")
    found = dissect((wire.IPv4() / wire.TCP(dport=443) / octets).pack(), 228)
    assert found.get("tls.sni") == "lab.test"
    assert not found.defect
    assert b"lab" not in hello(0x0300, "lab.test:443")
    assert b"10.9" not in hello(0x0301, "10.9.0.2:443")


def test_old_versions_that_are_taken_are_named():
    told = tell(tls_versions, place("http", tls=True), ALERT, server_hello(0x0301, 0x002F),
                server_hello(0x0302, 0x000A))
    assert texts(told) == ["takes TLS 1.0, TLS 1.1, which may not be used any more",
                           "agrees to 3DES"]
    assert levels(told) == ["warning", "warning"]


def test_a_server_that_takes_none_or_answers_a_newer_one_is_fine():
    told = tell(tls_versions, place("http", tls=True), ALERT, server_hello(0x0303, 0x002F), b"")
    assert texts(told) == ["takes no version older than TLS 1.2"]


def test_what_was_chosen_is_known_as_soon_as_it_stands_there():
    whole = server_hello(0x0301, 0x002F)
    assert chosen(whole) == (0x0301, 0x002F)
    assert not chosen_known(whole[:40])
    assert chosen_known(whole)
    assert chosen_known(ALERT)
