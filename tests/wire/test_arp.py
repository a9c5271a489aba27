from __future__ import annotations

import portulan.wire as wire


def test_request_packs_as_rfc_826_draws_it():
    arp = wire.ARP.request(sha="02:00:00:00:00:01", spa="10.0.0.1", tpa="10.0.0.2")
    assert arp.pack().hex() == "00010800060400010200000000010a000001" + "0" * 12 + "0a000002"
    assert arp.plain


def test_other_links_and_networks_are_not_plain():
    for change in ({"hardware": 6}, {"protocol": 0x86DD}, {"hlen": 8}, {"plen": 16}):
        assert not wire.ARP(**change).plain
