from __future__ import annotations

import subprocess
import sys

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire import bpf
from portulan.wire.columns import columns
from portulan.wire.filter import compile_filter

QUESTION = bytes.fromhex("0007 0100 0001 0000 0000 0000 07 6578616d706c65 00 0001 0001")
ENDS = wire.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IN4 = wire.IPv4(src="10.0.0.1", dst="10.9.8.7", ttl=7)
WEB = ENDS / IN4 / wire.TCP(sport=5, dport=443, flags="SA")
TAGGED = ENDS / wire.VLAN(id=9) / IN4 / wire.TCP(sport=5, dport=443, flags="SA")
SIX = ENDS / wire.IPv6(src="2001:db8::1", hop_limit=7) / wire.UDP(dport=53) / QUESTION
ARP = ENDS / wire.ARP(spa="10.0.0.1", tpa="10.0.0.2", sha=1, tha=0)
ALL = [WEB, TAGGED, SIX, ARP]


def found(text):
    frames = wire.Frames.of([packet.pack() for packet in ALL])
    compiled = compile_filter(text)
    mask = compiled.mask(frames).tolist()
    assert mask == [compiled.match(octets) for octets in frames]
    return [at for at, hit in enumerate(mask) if hit]


@pytest.mark.parametrize(("text", "rows"), [
    ("tcp.dport == 443 and ip.ttl < 10", [0, 1]), ("tcp.dport != 443", []), ("ip.ttl != 8", [0, 1]),
    ("ip.src == 10.0.0.1", [0, 1]), ("ip.src == 10.0.0.0/8", [0, 1]), ("ip.src != 10.0.0.0/8", []),
    ("ip6.src == 2001:db8::1", [2]), ("ip6.src == 2001:db8::/32", [2]), ("vlan.id == 9", [1]),
    ("ethernet.src == 02:00:00:00:00:01", [0, 1, 2, 3]), ("eth.src = 2:0:0:0:0:1", [0, 1, 2, 3]),
    ("tcp.flags & 2 != 0", [0, 1]), ("tcp.flags == SA", [0, 1]), ("udp.dport > 50", [2]),
    ("arp.spa == 10.0.0.1", [3]), ("not ip.ttl < 10", [2, 3]), ("tcp.sport < tcp.dport", [0, 1]),
    ("ip.ttl + 1 == 8", [0, 1]), ("len > udp.dport and udp.dport = 53", [2]), ("5 = tcp.sport",
     [0, 1]), ("ip.total_length = len - 14", [0]), ("ip6.hop_limit <= 7", [2]),
    ('dns.qname contains "xamp"', [2]), ('dns.qname == "example"', [2]), ("dns.qname == example",
     [2]), ('dns.qname contains "nope"', []), ('dns.qname != "nope"', [2]), ("dns.id == 7", [2]),
    ('tcp.dport == 443 or dns.qname contains "x"', [0, 1, 2]), ("frame.length > 60", [2]),
])
def test_fields_select_their_packets(text, rows):
    assert found(text) == rows


@pytest.mark.parametrize("name", ["tcp.dport", "ip.ttl", "udp.length", "ip.flags", "arp.operation"])
def test_field_equals_its_column(name):
    frames = wire.Frames.of([packet.pack() for packet in ALL])
    column = columns(frames, [name])[name]
    for value in {int(each) for each in column.compressed()}:
        mask = compile_filter(f"{name} == {value}").mask(frames)
        assert mask.tolist() == (column == value).filled(False).tolist()


def test_deep_field_is_for_captures_only_and_says_so():
    with pytest.raises(UsageError, match=r"not expressible in BPF: 'dns\.qname"):
        compile_filter('dns.qname contains "x"').program()


def test_plain_field_becomes_a_program():
    program = compile_filter("tcp.dport == 443 and ip.ttl < 10").program()
    assert [bool(bpf.run(program, each.pack())) for each in ALL] == [True, True, False, False]


TOY = '''
from portulan.wire import Frames, IPv4, bpf
from portulan.wire.filter import compile_filter
from portulan.wire.header import Header
from portulan.wire.layout import u8, u16
class Toy(Header, protocol=253):
    """A toy."""
    kind: u8 = 1
    size: u16 = 2
found, octets = compile_filter("toy.size == 7", 101), (IPv4() / Toy(size=7)).pack()
assert found.match(octets) and bpf.run(found.program(), octets)
assert found.mask(Frames.of([octets, octets[:-1]], link_type=101)).tolist() == [True, False]
'''


def test_header_of_a_user_is_filtered_in_all_three_ways():
    # In a process of its own: a header once declared stays in the registry of all tests.
    subprocess.run([sys.executable, "-c", TOY], check=True, timeout=60)


@pytest.mark.parametrize("text", [
    "tcp.nosuch == 1", "nosuch.field == 1", "ip.ttl == 256", "ip.src == 10.0.0.1/8",
    "ip.src == 10.0.0.0/40", "ip.src < 10.0.0.0/8", "ip6.src < ::1", "ip.src == ::1", "ip.ttl",
    'tcp.dport contains 80', "dns.qname + 1 == 2", "ip6.src + 1 == 2", "tcp.flags == QQ",
])
def test_wrong_use_of_a_field_is_refused_at_its_place(text):
    with pytest.raises(UsageError, match=r"column \d+"):
        compile_filter(text)
