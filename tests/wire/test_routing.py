from __future__ import annotations

from portulan.wire.routing import BGP, OSPF

from .dissecting import over_ip, over_tcp


def test_ospf_names_its_router():
    found = over_ip(89, OSPF(router="10.0.0.1", area="0.0.0.0").pack() + bytes(8))
    assert (found.get("ospf.type"), found.brief) == (1, "OSPFv2 hello from 10.0.0.1")


def test_bgp_messages_of_one_segment_follow_each_other():
    message = BGP().pack()
    assert over_tcp(179, message * 2).protocols == "ip:tcp:bgp:bgp"


def test_bgp_length_below_its_header_is_a_defect():
    assert "length is 0" in over_tcp(179, BGP(length=0).pack()).defect


def test_middle_of_an_update_is_payload():
    assert over_tcp(179, bytes(40)).protocols == "ip:tcp"
