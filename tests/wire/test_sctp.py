from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import dissect
from portulan.wire.sctp import SCTP

from .dissecting import told


def test_chunks_are_told_in_order_with_their_padding():
    chunks = bytes.fromhex("0a000005 61000000 00000004")
    found = dissect((wire.IPv4() / SCTP(sport=5, dport=9) / chunks).pack(), 228)
    assert told(found, "sctp") == {"chunks": [10, 0]}
    assert (found.get("sctp.dport"), found.defect) == (9, "")


def test_chunk_of_no_length_ends_the_walk():
    found = dissect((wire.IPv4() / SCTP() / bytes(400)).pack(), 228)
    assert found.defect == "sctp: chunk 1 has length 0"


def test_first_data_chunk_and_tag_are_told():
    init = bytes.fromhex("01000014 0000abcd") + bytes(12)
    data = bytes.fromhex("00030011 00000007 0002 0000 0000002e 61000000")
    found = told(dissect((wire.IPv4() / SCTP() / init / data).pack(), 228), "sctp")
    assert found == {"chunks": [1, 0], "init_tag": 0xABCD, "tsn": 7, "stream": 2,
                     "payload_protocol": 46}
