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


def test_hello_of_either_version_tells_its_routers():
    two = OSPF(length=48, router="10.0.0.1").pack() + bytes(8) + bytes.fromhex(
        "ffffff00 000a 02 01 00000028 0a000001 0a000002 0a000002")
    three = OSPF(version=3, length=40, router="10.0.0.1").pack() + bytes.fromhex(
        "00000005 01000013 000a 0028 0a000001 0a000002 0a000002")
    for octets in (two, three):
        found = over_ip(89, octets)
        assert (found.get("ospf.hello_s"), found.get("ospf.dead_s")) == (10, 40)
        assert (found.get("ospf.designated"), found.get("ospf.backup")) == ("10.0.0.1", "10.0.0.2")
        assert (found.get("ospf.neighbours"), found.defect) == (["10.0.0.2"], "")
    assert over_ip(89, two).get("ospf.mask") == "255.255.255.0"
    assert over_ip(89, two[:30]).defect == "ospf: hello cut short"


def test_open_tells_system_and_identifier():
    body = bytes.fromhex("04 fde8 00f0 0a000001 00")
    found = over_tcp(179, BGP(type=1, length=29).pack() + body)
    assert (found.get("bgp.version"), found.get("bgp.asn")) == (4, 65000)
    assert (found.get("bgp.hold_s"), found.get("bgp.router")) == (240, "10.0.0.1")


def test_update_tells_prefixes_and_attributes():
    paths = bytes.fromhex("40 01 01 00  50 02 0004 02010001")
    body = bytes.fromhex("0003 10 0a01") + len(paths).to_bytes(2, "big") + paths + bytes.fromhex(
        "18 0a0203 00")
    message = BGP(type=2, length=19 + len(body)).pack() + body
    found = over_tcp(179, message)
    assert (found.get("bgp.withdrawn"), found.get("bgp.prefixes")) == (
        ["10.1.0.0/16"], ["10.2.3.0/24", "0.0.0.0/0"])
    assert (found.get("bgp.attributes"), found.defect) == ([1, 2], "")


def test_update_whose_lengths_lie_is_a_defect():
    found = over_tcp(179, BGP(type=2, length=23).pack() + bytes.fromhex("00ff0000"))
    assert found.defect == "bgp: update cut short"


def test_notification_tells_its_codes():
    found = over_tcp(179, BGP(type=3, length=21).pack() + b"\6\2")
    assert (found.get("bgp.error"), found.get("bgp.suberror")) == (6, 2)
