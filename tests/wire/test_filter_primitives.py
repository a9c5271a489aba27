from __future__ import annotations

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire.filter import compile_filter

NAMES = {("http", "tcp"): 80, ("domain", "tcp"): 53, ("domain", "udp"): 53, ("tftp", "udp"): 69}
IN4 = wire.IPv4(src="10.0.0.1", dst="10.9.8.7")
IN6 = wire.IPv6(src="2001:db8::1", dst="fe80::9")


def services(name, protocol):
    return NAMES.get((name, protocol))


def matches(text, packet):
    return compile_filter(text, 101, services=services).match(packet.pack())


@pytest.mark.parametrize("text", [
    "host 10.0.0.1", "src 10.0.0.1", "dst host 10.9.8.7", "net 10", "net 10.0.0.0/8", "host 10.9.8",
    "net 10.9.0.0 mask 255.255.0.0", "src and dst net 10.0.0.0/8", "tcp port 80", "port http",
    "src port 5", "portrange 79-81", "portrange 81-79", "tcp portrange 70-http", "ip proto \\tcp",
    "proto 6", "greater 40", "less 40", "not udp", "tcp port (http or 81)", "port 80 or domain",
])
def test_web_request_is_matched(text):
    assert matches(text, IN4 / wire.TCP(sport=5, dport=80))


@pytest.mark.parametrize("text", [
    "host 10.0.0.2", "src 10.9.8.7", "net 11", "src and dst net 10.9.0.0/16", "udp port 80",
    "dst port 5", "portrange 81-90", "ip6", "ip proto 17", "port tftp", "port domain",
    "greater 41", "src and dst port 80", "sctp",
])
def test_web_request_is_not_matched(text):
    assert not matches(text, IN4 / wire.TCP(sport=5, dport=80))


@pytest.mark.parametrize("text", [
    "ip6 host 2001:db8::1", "host fe80::9", "net 2001:db8::/32", "src net 2001::/16", "udp port 53",
    "ip6 proto 17", "port domain",
])
def test_question_over_ip6_is_matched(text):
    assert matches(text, IN6 / wire.UDP(sport=9, dport=53))


def test_later_fragment_has_no_ports():
    later = wire.IPv4(src="10.0.0.1", dst="10.9.8.7", fragment_offset=5) / wire.TCP(dport=80)
    assert not matches("port 80", later)
    assert matches("tcp", later)


def test_options_move_the_ports():
    packet = IN4 / wire.ip4_options((1, b""), (1, b""), (1, b""), (1, b"")) / wire.TCP(dport=80)
    assert matches("dst port 80", packet)


def test_service_of_one_protocol_matches_that_one_only():
    assert not matches("port http", IN4 / wire.UDP(dport=80))
    assert matches("udp port domain", IN4 / wire.UDP(dport=53))


@pytest.mark.parametrize("text", [
    "host example.org", "port nosuch", "udp port http", "port 65536", "portrange 1-70000",
    "net 10.0.0.1/8", "net 10.0.0.0/33", "host 10.0.0.0/8", "host 256.1.1.1", "host ::1/64",
    "net ::1/200", "ip host ::1", "ip6 host 1.1.1.1", "tcp host 1.1.1.1", "ip port 80",
    "host 1:2:3:4:5:6", "ether host 1.2.3.4", "icmp proto 6", "ip proto nosuch", "gateway 1.1.1.1",
    "ether proto nosuch", "src proto 6", "ether host 1:2:3:4:5:6",
])
def test_what_cannot_be_meant_is_refused_at_its_place(text):
    with pytest.raises(UsageError, match=r"column \d+"):
        compile_filter(text, 101, services=services)


@pytest.mark.parametrize("text", [
    "ether host 02:00:00:00:00:01", "ether src 2-0-0-0-0-1", "ether dst 0200.0000.0002",
    "ether src or dst 2:0:0:0:0:2", "not broadcast", "not multicast", "ether proto \\ip",
])
def test_link_addresses_in_all_spellings(text):
    ends = wire.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    assert compile_filter(text).match((ends / IN4 / wire.TCP()).pack())
