from __future__ import annotations

from .dissecting import over_udp, told


def test_options_are_told():
    found = over_udp(547, bytes.fromhex(
        "07000007 0001 0004 00010203 0003 0028 000000010000000000000000"
        "0005 0018 20010db8000000000000000000000007 00000e1000000e10"
        "0017 0010 20010db8000000000000000000000001 0018 0004 02 6d65 00"))
    assert told(found, "dhcp6") == {
        "client_id": "00010203", "addresses": ["2001:db8::7"], "dns_servers": ["2001:db8::1"],
        "domains": ["me"], "options": [1, 3, 23, 24],
    }
    assert found.brief == "DHCPv6 reply"


def test_option_that_exceeds_the_message_is_a_defect():
    assert "cut short" in over_udp(547, bytes.fromhex("07000007 0001 0004 00")).defect
