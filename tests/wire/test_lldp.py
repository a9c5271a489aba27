from __future__ import annotations

from .dissecting import over_ethernet, told


def test_neighbour_says_who_it_is():
    body = bytes.fromhex(
        "0207 04 020000000001 0405 05 65746830"
        "0602 0078 0a02 6d65 0e04 00140010 100c 05 01 0a090001 02 00000001 00 0000")
    found = over_ethernet(0x88CC, body)
    assert told(found, "lldp") == {
        "chassis": "02:00:00:00:00:01", "port": "eth0", "ttl_s": 120, "system_name": "me",
        "capabilities": 16, "management": "10.9.0.1",
    }
    assert (found.defect, found.brief) == ("", "LLDP me port eth0")


def test_list_without_end_is_a_defect():
    assert "no end" in over_ethernet(0x88CC, bytes.fromhex("06020078")).defect
    assert "cut short" in over_ethernet(0x88CC, bytes.fromhex("0607 0078")).defect
