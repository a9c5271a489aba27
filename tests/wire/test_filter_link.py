from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.wire.filter import compile_filter
from portulan.wire.filter_link import NAMES, Link, link_number
from portulan.wire.frames import LinkType

IP = bytes.fromhex("450000140001000040060000") + bytes(8)
MAC = bytes(12)


@pytest.mark.parametrize(("name", "head"), [
    ("EN10MB", MAC + b"\x08\x00"), ("RAW", b""), ("IPV4", b""), ("NULL", b"\x02\0\0\0"),
    ("LOOP", b"\0\0\0\x02"), ("LINUX_SLL", bytes(14) + b"\x08\x00"),
    ("LINUX_SLL2", b"\x08\x00" + bytes(18)),
])
def test_ip_is_found_behind_each_link(name, head):
    found = compile_filter("ip proto 6", link_number(name))
    assert found.match(head + IP)
    assert not compile_filter("ip proto 17", link_number(name)).match(head + IP)


def test_link_names_are_those_of_libpcap_in_any_case():
    assert link_number("dlt_en10mb") == link_number("EN10MB") == LinkType.ETHERNET
    with pytest.raises(UsageError, match="EN10MB, RAW"):
        link_number("ETHERNET")


def test_unknown_link_number_is_refused():
    with pytest.raises(UsageError, match="do not know this link type"):
        Link.of(9999)


def test_vlan_moves_what_stands_right_of_it_only():
    tagged = MAC + b"\x81\x00\x00\x05\x08\x00" + IP
    assert compile_filter("vlan 5 and ip").match(tagged)
    assert compile_filter("vlan 5 and ip proto 6").match(tagged)
    assert not compile_filter("ip and vlan 5 or ip6").match(tagged)


def test_labels_tell_ip_by_its_version():
    labelled = MAC + b"\x88\x47\x00\x00\x51\x09" + IP
    assert compile_filter("mpls 5 and ip").match(labelled)
    assert not compile_filter("mpls 6").match(labelled)
    with pytest.raises(UsageError, match="MPLS labels do not tell"):
        compile_filter("mpls and arp")


def test_pppoe_session_moves_into_ppp():
    session = MAC + b"\x88\x64\x11\0\0\x05\0\x16\0\x21" + IP
    assert compile_filter("pppoes 5 and ip").match(session)
    assert not compile_filter("pppoes 5 and ip6").match(session)


@pytest.mark.parametrize(("text", "name"), [
    ("vlan", "RAW"), ("mpls", "LINUX_SLL"), ("inbound", "EN10MB"), ("vlan 4096", "EN10MB"),
    ("mpls 1048576", "EN10MB"), ("pppoes 65536", "EN10MB"), ("mpls and vlan", "EN10MB"),
])
def test_what_a_link_has_not_is_one_line(text, name):
    with pytest.raises(UsageError, match="column"):
        compile_filter(text, NAMES[name])


def test_cooked_frames_tell_their_direction():
    sent = b"\0\x04" + bytes(12) + b"\x08\0" + IP
    assert compile_filter("outbound", LinkType.LINUX_SLL).match(sent)
    assert not compile_filter("inbound", LinkType.LINUX_SLL).match(sent)


def test_cooked_frames_of_version_2_tell_their_interface():
    frame = b"\x08\0\0\0" + (7).to_bytes(4, "big") + bytes(12) + IP
    assert compile_filter("ifindex 7 and ip", LinkType.LINUX_SLL2).match(frame)
    assert not compile_filter("ifindex 8", LinkType.LINUX_SLL2).match(frame)
    for text, link in (("ifindex 7", LinkType.LINUX_SLL), ("ifindex", LinkType.LINUX_SLL2)):
        with pytest.raises(UsageError, match=r"column 1.*interface"):
            compile_filter(text, link)


@pytest.mark.parametrize(("kind", "control"), [
    ("i", 0x02), ("s", 0x05), ("u", 0x03), ("rr", 0x01), ("rnr", 0x05), ("rej", 0x09),
    ("ui", 0x13), ("ua", 0x73), ("disc", 0x43), ("test", 0xF3), ("sabme", 0x7F), ("xid", 0xAF),
    ("frmr", 0x87), ("dm", 0x1F),
])
def test_kinds_of_llc_frames_are_told_by_their_control_octet(kind, control):
    def matches(octet):
        frame = bytes(12) + bytes((0, 40, 0x42, 0x42, octet)) + bytes(40)
        return compile_filter(f"llc {kind}").match(frame)

    assert matches(control)
    assert not matches(control ^ 1)


def test_kind_that_llc_has_not_is_refused():
    with pytest.raises(UsageError, match="no kind of LLC frame: bogus"):
        compile_filter("llc bogus")
