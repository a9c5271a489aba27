from __future__ import annotations

import portulan.wire as wire
from portulan.wire.checksum import internet_checksum
from portulan.wire.igmp import IGMP

from .dissecting import over_ip, told


def test_message_is_summed_to_zero():
    packet = (wire.IPv4() / IGMP(type=0x16, group="239.1.2.3")).pack()
    assert internet_checksum(packet[20:]) == 0


def test_report_of_version_3_tells_its_groups():
    body = bytes.fromhex("22000000 00000002 04000000 ef010203 03000001 e0000001 0a000001")
    assert told(over_ip(2, body), "igmp") == {"groups": ["239.1.2.3", "224.0.0.1"]}


def test_report_that_promises_more_groups_is_a_defect():
    found = over_ip(2, bytes.fromhex("22000000 0000ffff 04000000 ef010203"))
    assert told(found, "igmp") == {"groups": ["239.1.2.3"]}
    assert "cut short" in found.defect
