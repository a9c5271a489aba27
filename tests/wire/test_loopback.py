from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.wire.dissect import dissect


@pytest.mark.parametrize(("head", "header"), [
    (b"\0\0\0\2", wire.IPv4()), (b"\2\0\0\0", wire.IPv4()), (b"\x1e\0\0\0", wire.IPv6()),
    (b"\0\0\0\x18", wire.IPv6()),
], ids=["ip", "ip swapped", "ip6 of macOS", "ip6 of NetBSD"])
@pytest.mark.parametrize("link_type", [0, 108])
def test_family_in_either_order_announces_ip(head, header, link_type):
    found = dissect(head + header.pack(), link_type)
    assert found.protocols == f"loopback:{header.layer}"


def test_other_family_is_payload():
    assert dissect(b"\0\0\0\7abc", 0).protocols == "loopback"
