from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import dissect
from portulan.wire.gre import GRE, TRANSPARENT_ETHERNET, carried

from .dissecting import told


def test_key_and_sequence_are_told_and_ip_follows():
    optional = bytes.fromhex("00000000 00000007 00000009")
    header = GRE(has_checksum=1, has_key=1, has_sequence=1, ethertype=0x0800)
    found = dissect((wire.IPv4() / header / optional / wire.IPv4() / wire.TCP()).pack(), 228)
    assert found.protocols == "ip:gre:ip:tcp"
    assert told(found, "gre") == {"key": 7, "sequence": 9}


def test_stacked_frame_is_announced_as_transparent_ethernet():
    packet = wire.IPv4() / GRE() / wire.Ethernet() / wire.ARP()
    found = dissect(packet.pack(), 228)
    assert found.get("gre.ethertype") == TRANSPARENT_ETHERNET
    assert found.protocols == "ip:gre:ethernet:arp"
    assert carried(0xFFFF) is None


def test_flags_without_their_fields_are_a_defect():
    assert "cut short" in dissect((wire.IPv4() / GRE(has_key=1)).pack(), 228).defect
