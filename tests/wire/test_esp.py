from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import dissect
from portulan.wire.esp import AH, ESP


def test_authenticated_packet_is_seen_behind_its_check_value():
    header = AH(next_header=6, length=4, spi=7)
    found = dissect((wire.IPv4() / header / bytes(12) / wire.TCP(dport=80)).pack(), 228)
    assert (found.protocols, found.get("ah.spi")) == ("ip:ah:tcp", 7)


def test_encrypted_packet_is_payload():
    found = dissect((wire.IPv4() / ESP(spi=1, sequence=2) / bytes(40)).pack(), 228)
    assert (found.protocols, found.get("esp.sequence")) == ("ip:esp", 2)
    assert found.payload_end - found.payload_at == 40


def test_length_below_the_header_is_a_defect():
    assert "length" in dissect((wire.IPv4() / AH(length=0)).pack(), 228).defect
