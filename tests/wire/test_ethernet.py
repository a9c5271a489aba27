from __future__ import annotations

import portulan.wire as wire


def test_default_goes_to_everyone():
    assert str(wire.Ethernet().dst) == "ff:ff:ff:ff:ff:ff"


def test_ethertypes_follow_the_stack():
    for inner, number in ((wire.IPv4(), 0x0800), (wire.IPv6(), 0x86DD), (wire.ARP(), 0x0806)):
        octets = (wire.Ethernet() / wire.VLAN(pcp=7, dei=1, id=4095) / inner).pack()
        assert octets[12:18] == b"\x81\x00\xff\xff" + number.to_bytes(2, "big")
    assert (wire.Ethernet() / b"x").pack()[12:14] == b"\0\0"
