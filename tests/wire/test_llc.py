from __future__ import annotations

from .dissecting import over_ethernet, told

BPDU = bytes.fromhex(
    "424203 0000 00 00 01 8000 020000000001 00000004 8000 020000000002 8001 0100 1400 0200 0f00")


def test_bridge_says_root_and_itself():
    found = over_ethernet(len(BPDU), BPDU + bytes(8))
    assert found.protocols == "ethernet:llc:stp"
    assert told(found, "stp") == {
        "flags": 1, "root_priority": 0x8000, "root_mac": "02:00:00:00:00:01", "root_cost": 4,
        "bridge_priority": 0x8000, "bridge_mac": "02:00:00:00:00:02", "port": 0x8001,
        "hello_ms": 2000,
    }


def test_topology_change_needs_no_more_octets():
    found = over_ethernet(7, bytes.fromhex("424203 0000 00 80"))
    assert (found.protocols, found.defect) == ("ethernet:llc:stp", "")


def test_configuration_cut_short_is_a_defect():
    assert "cut short" in over_ethernet(20, BPDU[:20]).defect


def test_snap_announces_an_ethertype():
    found = over_ethernet(30, bytes.fromhex("aaaa03 000000 0806") + bytes(28))
    assert found.protocols == "ethernet:llc:snap"
    found = over_ethernet(36, bytes.fromhex("aaaa03 000000 0806") + bytes(28))
    assert found.protocols == "ethernet:llc:snap:arp"
