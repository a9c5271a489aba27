from __future__ import annotations

from portulan.wire.dhcp import DHCP

from .dissecting import over_udp, told

HEAD = DHCP(xid=7, chaddr="02:00:00:00:00:01", yiaddr="10.9.0.5").pack()
COOKIE = bytes(192) + bytes.fromhex("63825363")


def test_options_are_told_by_their_names():
    options = bytes.fromhex(
        "350105 3604 0a090001 3304 00000e10 0104 ffffff00 0304 0a090001 0608 0a090001 0a090002"
        "0f02 6d65 0c01 61 ff")
    found = over_udp(67, HEAD + COOKIE + options)
    assert told(found, "dhcp") == {
        "message": 5, "server": "10.9.0.1", "lease_s": 3600, "mask": "255.255.255.0",
        "routers": ["10.9.0.1"], "dns_servers": ["10.9.0.1", "10.9.0.2"], "domain": "me",
        "hostname": "a",
    }
    assert found.brief == "DHCP ack 02:00:00:00:00:01 10.9.0.5"


def test_options_without_end_or_cut_are_defects():
    assert "no end" in over_udp(67, HEAD + COOKIE + b"\x35\1\1").defect
    assert "cut short" in over_udp(67, HEAD + COOKIE + b"\x35\x09\1").defect
    assert "cut short" in over_udp(67, HEAD + COOKIE[:50]).defect


def test_message_without_cookie_is_bootp():
    found = over_udp(67, HEAD + bytes(64) + b"boot.img" + bytes(130))
    assert told(found, "dhcp") == {"boot_file": "boot.img"}
    assert found.brief == "BOOTP"
