from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire.filter import compile_filter

IN4 = wire.IPv4(src="10.0.0.1", dst="224.0.0.5", ttl=64)
GET = IN4 / wire.TCP(sport=5, dport=80, flags="SA", seq=9) / b"GET / HTTP/1.1"
PING = wire.IPv6() / wire.ICMPv6.echo(id=7, seq=1)


@pytest.mark.parametrize("text", [
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn|tcp-ack", "tcp[2:2] = 80", "ip[8] >= 0x40",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "len = 54", "ip[2:2] - ((ip[0] & 0xf) << 2) > 9",
    "ip multicast", "ether[0] = 0x45", "tcp[4:4] = 9", "1 = 1", "not 1 = 2", "ip[9] % 4 = 2",
    "tcp[tcpflags] != 0", "-1 = 4294967295", "link[0] >> 4 = 4", "ip broadcast or ip",
])
def test_octets_of_a_request_are_computed(text):
    assert compile_filter(text, 101).match(GET.pack())


@pytest.mark.parametrize("text", ["udp[0] = 0", "tcp[tcpflags] & tcp-rst != 0", "ip6[0] > 0",
                                  "icmp[icmptype] = icmp-echo", "not tcp[2:2] = 80"])
def test_octets_of_another_protocol_are_not_there(text):
    assert not compile_filter(text, 101).match(GET.pack())


def test_icmp6_octets_stand_behind_the_fixed_header():
    assert compile_filter("icmp6[icmp6type] = icmp6-echo", 101).match(PING.pack())


def test_division_by_zero_of_the_packet_rejects_it_either_way():
    for text in ("1 / (ip[8] - 64) = 0", "not 1 / (ip[8] - 64) = 0", "5 % (ip[8] - 64) = 0"):
        assert not compile_filter(text, 101).match(GET.pack())


@pytest.mark.parametrize("text", [
    "ether[0] / 0 = 1", "len << 32 = 1", "tcp[0:3] = 1", "vlan[0] = 1", "foo = 1", "10.0.0.1 = 1",
    "l1[0] = 1", "arp broadcast", "ether", "llc", "ip6 broadcast", "broadcast",
])
def test_what_has_no_meaning_is_refused_at_its_place(text):
    with pytest.raises(UsageError, match=r"column \d+"):
        compile_filter(text, 101)
