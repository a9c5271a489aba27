# ruff: noqa: B023 - lambdas are called in the turn that makes them.
from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.wire import (
    ARP,
    DNS,
    GRE,
    ICMP,
    IGMP,
    TCP,
    UDP,
    VLAN,
    VXLAN,
    Ethernet,
    Header,
    ICMPv6,
    IPv4,
    IPv6,
    LinkType,
    craft,
    ip4_options,
    tcp_options,
)
from portulan.wire.craft import build, link_type_of, refresh
from portulan.wire.layout import auto, u8
from portulan.wire.tcp import mss

IP4 = {"src": "10.9.0.1", "dst": "10.9.0.2"}
IP6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}


def same_one_by_one(make, **sets):
    """The frames of a packet with sets are those of its packets one by one."""
    frames = build(make(**sets))
    choices = product(*sets.values())
    wanted = [make(**dict(zip(sets, each, strict=True))).pack() for each in choices]
    assert list(frames) == wanted


@given(st.binary(max_size=9), st.integers(0, 0xFFFF), st.integers(0, 255))
@settings(max_examples=30)
def test_sets_of_any_packet_equal_the_packets_one_by_one(body, word, octet):
    ports, ttls = [word, 80, 0], [octet, 1]
    for network in (lambda ttl: IPv4(**IP4, ttl=ttl), lambda ttl: IPv6(**IP6, hop_limit=ttl),
                    lambda ttl: Ethernet() / VLAN(id=3) / IPv4(**IP4, ttl=ttl) / ip4_options(
                        (7, b"\0\0\0"))):
        same_one_by_one(lambda ttl, p: network(ttl) / UDP(dport=p) / body, ttl=ttls, p=ports)
        same_one_by_one(lambda ttl, p: network(ttl) / TCP(seq=p) / tcp_options(mss(9)) / body,
                        ttl=ttls, p=ports)
        same_one_by_one(lambda ttl, p: network(ttl) / ICMP.echo(seq=p) / body, ttl=ttls, p=ports)
        same_one_by_one(lambda ttl, p: network(ttl) / ICMPv6.echo(seq=p) / body,
                        ttl=ttls, p=ports)
        same_one_by_one(lambda ttl, p: network(ttl) / IGMP(group=p) / body, ttl=ttls, p=ports)


def test_sets_inside_tunnels_reach_every_checksum():
    same_one_by_one(lambda ttl, p: IPv4(**IP4, ttl=ttl) / GRE() / IPv4(**IP4) / UDP(dport=p),
                    ttl=[1, 2], p=[5, 6])
    same_one_by_one(lambda ttl, p: IPv4(**IP4) / UDP(sport=ttl) / VXLAN(vni=3) / Ethernet()
                    / IPv6(**IP6) / TCP(dport=p), ttl=[1, 2], p=[5, 6])
    same_one_by_one(lambda p: IPv4(**IP4) / UDP() / DNS(id=p) / b"\0\0\1\0\1", p=[7, 8])


def test_given_checksum_stays_wrong_in_every_frame():
    for octets in build(IPv4(**IP4, checksum=1) / TCP(dport=(1, 3), checksum=0xBAD)):
        assert IPv4.parse(octets).checksum == 1
        assert TCP.parse(octets, 20).checksum == 0xBAD


def test_given_lengths_and_protocols_stay():
    ip = IPv4.parse(build(IPv4(**IP4, total_length=9, protocol=200, ihl=5) / UDP(dport=(1, 2)))[1])
    assert (ip.total_length, ip.protocol) == (9, 200)


def test_users_header_that_fills_more_is_built_one_by_one():
    class Parity(Header, name="craft_parity"):
        """A header whose second octet complements the first.

        value: anything
        twin: its complement
        """

        value: u8 = 0
        twin: u8 = auto()

        def fill(self, place):
            return self.filled(twin=255 - self.value)

    assert [each[28:] for each in build(IPv4(**IP4) / UDP(dport=9) / Parity(value=(1, 3)))] == [
        b"\1\xfe", b"\2\xfd", b"\3\xfc"]


def test_port_of_what_is_carried_is_filled_unless_given():
    assert UDP.parse((UDP() / DNS()).pack()).dport == 53
    assert UDP.parse((UDP(dport=99) / DNS()).pack()).dport == 99
    assert UDP.parse((UDP(dport=0) / DNS()).pack()).dport == 0


@pytest.mark.parametrize(("packet", "wanted"), [
    (IPv4() / UDP(), LinkType.RAW), (IPv6(), LinkType.RAW), (Ethernet() / ARP(), 1),
    (ARP(), LinkType.RAW),
])
def test_link_type_is_told_by_the_first_header(packet, wanted):
    assert link_type_of(packet) == wanted


def test_product_that_is_too_big_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="4294967296 packets"):
        build(IPv4(dst="10.0.0.0/16") / TCP(dport=(0, 65535)))
    monkeypatch.setattr(craft, "BATCH_BYTES_MAX", 1 << 20)
    with pytest.raises(UsageError, match="1 MiB"):
        build(IPv4(dst="10.0.0.0/16") / TCP())


def test_refresh_sums_rows_whose_fields_were_changed():
    packet = IPv4(**IP4) / UDP(dport=(1, 20_000))
    rows = build(packet).buffer.reshape(20_000, -1).copy()
    IPv4.view(rows).src[:] = 0x0A090063
    refresh(rows, packet)
    wanted = IPv4(src="10.9.0.99", dst="10.9.0.2") / UDP(dport=20_000)
    assert rows[-1].tobytes() == wanted.pack()
