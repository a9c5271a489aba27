from __future__ import annotations

import portulan.wire as wire
from portulan.wire.dissect import dissect
from portulan.wire.pppoe import PPP, PPPoE

from .dissecting import over_ethernet, told


def test_session_carries_ip_up_to_its_length():
    inner = wire.IPv4() / wire.UDP(dport=9)
    packet = wire.Ethernet() / PPPoE(session=5, length=30) / PPP() / inner / bytes(10)
    found = dissect(packet.pack())
    assert found.protocols == "ethernet:pppoe:ppp:ip:udp"
    assert found.payload_end == 14 + 6 + 30


def test_discovery_tells_its_tags():
    found = over_ethernet(0x8863, bytes.fromhex("11070000000a 0102 0002 6163 0101 0000"))
    assert told(found, "pppoe") == {"concentrator": "ac", "service": ""}
    assert found.brief == "PPPoE PADO"
