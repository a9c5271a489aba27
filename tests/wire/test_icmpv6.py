from __future__ import annotations

from hypothesis import given

import portulan.wire as wire
from portulan.wire.checksum import finish, internet_sum
from portulan.wire.icmpv6 import link_address, solicited_node

from .generators import ip6_address, payload

MAC = "02:00:00:00:00:01"


@given(ip6_address, ip6_address, payload)
def test_packed_message_sums_to_zero_with_its_pseudo_header(src, dst, body):
    octets = (wire.IPv6(src=src, dst=dst) / wire.ICMPv6.echo(id=1) / body).pack()
    message = octets[40:]
    pseudo = wire.IPv6.parse(octets).pseudo_sum(58, len(message))
    assert finish(internet_sum(message) + pseudo) == 0


def test_neighbour_messages_carry_target_and_link_address():
    ask = wire.ICMPv6.neighbour_solicitation("fe80::7", mac=MAC).pack()
    tell = wire.ICMPv6.neighbour_advertisement("fe80::7", mac=MAC).pack()
    assert (ask[0], tell[0], tell[4]) == (135, 136, 0x60)
    assert wire.ICMPv6.neighbour_advertisement("::", mac=MAC, solicited=False).pack()[4] == 0x20
    assert str(wire.Neighbour.parse(ask, 8).target) == "fe80::7"
    assert ask[24:] == link_address(1, MAC) == bytes.fromhex("0101020000000001")
    assert tell[24:] == link_address(2, MAC)


def test_echo_reply_is_no_error_and_unreachable_is():
    assert not wire.ICMPv6.echo_reply().is_error
    assert wire.ICMPv6.unreachable(4, b"")[wire.ICMPv6].is_error


def test_solicited_node_addresses_hold_the_low_24_bits():
    group, mac = solicited_node("2001:db8::1:800:200e:8c6c")
    assert (str(group), str(mac)) == ("ff02::1:ff0e:8c6c", "33:33:ff:0e:8c:6c")
