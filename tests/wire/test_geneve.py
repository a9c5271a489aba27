from __future__ import annotations

import portulan.wire as wire
from portulan.wire.geneve import Geneve

from .dissecting import over_udp


def test_frame_behind_options_is_dissected():
    inner = (Geneve(vni=5, options_length=2) / bytes(8) / wire.Ethernet() / wire.ARP()).pack()
    assert over_udp(6081, inner).protocols == "ip:udp:geneve:ethernet:arp"


def test_options_that_exceed_the_packet_are_a_defect():
    assert "options" in over_udp(6081, Geneve(options_length=63).pack()).defect
