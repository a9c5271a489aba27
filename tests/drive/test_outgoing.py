from __future__ import annotations

import pytest

from portulan.drive.outgoing import prepare, with_numbers, with_source
from portulan.errors import UsageError
from portulan.wire import ARP, DNS, ICMP, TCP, UDP, Ethernet, IPv4, IPv6, LinkType
from tests.link.namespace import inside

from .sending_ground import ground

assert ground


def test_numbers_that_were_given_stay():
    packet = IPv4() / TCP(sport=0, seq=0)
    assert with_numbers(packet) == packet
    echo = IPv4() / ICMP.echo(id=0, seq=0)
    assert with_numbers(echo) == echo


def test_numbers_not_given_are_chosen_and_each_turn_has_its_own():
    first, second = (with_numbers(IPv4() / UDP() / DNS(), turn) for turn in (0, 1))
    assert first[UDP].sport >= 49_152 and first[UDP].sport != second[UDP].sport
    assert [with_numbers(ICMP.echo() / b"", turn)[ICMP].seq for turn in (0, 5)] == [0, 5]
    assert with_numbers(ICMP.echo_reply() / b"")[ICMP].seq == 0


@pytest.mark.live
def test_source_comes_from_the_route(ground):
    with inside(ground.near):
        assert str(with_source(IPv4(dst="10.8.0.7") / TCP())[IPv4].src) == "10.9.0.1"
        assert str(with_source(IPv6(dst="fd00::9") / TCP())[IPv6].src) == "fd00::1"
        assert with_source(IPv4(dst="192.0.2.1") / TCP())[IPv4].src == 0
        given = IPv4(src="1.2.3.4", dst="10.8.0.7") / TCP()
        assert with_source(given) is given
        with pytest.raises(UsageError, match="no such interface"):
            with_source(IPv4(dst="10.8.0.7") / TCP(), "nothere")


@pytest.mark.live
def test_frames_are_sorted_by_link_and_addressed(ground):
    mac = bytes.fromhex("020000000002")
    with inside(ground.near):
        made = prepare(
            IPv4(dst=["127.0.0.1", "10.9.0.77", "10.8.0.1", "192.0.2.1", "224.0.0.1"]) / TCP(),
            "", resolve=lambda device, hops: {hop: mac for hop in hops if hop[1] & 255 == 77})
    by_index = {int(i): (part, frame) for part in made.parts
                for i, frame in zip(part.index, part.frames, strict=True)}
    assert by_index[0][0].family == 4 and by_index[0][0].frames.link_type == LinkType.RAW
    part, frame = by_index[1]
    assert part.interface == "va" and frame[:6] == mac
    assert str(IPv4.parse(frame, 14).src) == "10.9.0.1"
    assert {3, 4} <= set(made.unreached)


@pytest.mark.live
def test_group_on_a_chosen_interface_needs_nobody_asked(ground):
    with inside(ground.near):
        made = prepare(IPv4(dst="224.0.0.251") / UDP(), "va")
    assert made.parts[0].frames[0][:6].hex() == "01005e0000fb"


@pytest.mark.live
def test_link_header_that_was_given_stays(ground):
    with inside(ground.near):
        made = prepare(Ethernet(dst="02:00:00:00:00:09") / ARP.who_has("10.9.0.2"), "va")
        frame = made.parts[0].frames[0]
        assert frame[:6].hex() == "020000000009"
        assert str(ARP.parse(frame, 14).spa) == "10.9.0.1"
        assert ARP.parse(frame, 14).sha.packed == frame[6:12] != bytes(6)
        with pytest.raises(UsageError, match="say -e IFACE"):
            prepare(Ethernet() / b"x", "")
        assert prepare(Ethernet(ethertype=0x88B5) / b"x", "va").parts[0].interface == "va"
