from __future__ import annotations

import portulan.wire as wire
from portulan.wire.vxlan import VXLAN

from .dissecting import over_udp


def test_frame_inside_is_dissected():
    inner = (VXLAN(vni=77) / wire.Ethernet() / wire.IPv4() / wire.TCP(dport=22)).pack()
    found = over_udp(4789, inner)
    assert found.protocols == "ip:udp:vxlan:ethernet:ip:tcp"
    assert (found.get("vxlan.vni"), found.get("tcp.dport")) == (77, 22)


def test_octets_without_the_flag_are_payload():
    assert over_udp(4789, bytes(30)).protocols == "ip:udp"
