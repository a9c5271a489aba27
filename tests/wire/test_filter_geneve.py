from __future__ import annotations

import shutil
import subprocess

import pytest

import portulan.wire as wire
from portulan.errors import UsageError
from portulan.wire import bpf
from portulan.wire.filter import compile_filter
from portulan.wire.geneve import Geneve

EXPRESSIONS = [
    "geneve", "geneve 7", "not geneve", "geneve and tcp port 80", "geneve 7 and ip",
    "geneve and vlan 3 and udp", "udp and geneve and tcp", "geneve and not tcp port 80",
    "geneve and host 10.8.0.1", "geneve and ip[8] = 64", "geneve and tcp[2:2] = 80",
    "geneve and arp", "geneve and ether host 02:00:00:00:00:09", "geneve and ip6",
    "geneve and tcp[(tcp[12] >> 4) * 4 : 4] = 0x47455420", "tcp or (geneve and src port 5)",
    "geneve and (tcp or udp) and dst net 10.0.0.0/8", "geneve and greater 100",
]


def frames():
    tcp = wire.TCP(sport=5, dport=80) / b"GET / HTTP"
    inner4, inner6 = wire.IPv4(src="10.8.0.1", dst="10.8.0.2", ttl=64), wire.IPv6(src="fd00::1")
    ether = wire.Ethernet(src="02:00:00:00:00:09")
    carried = [
        (0x6558, ether / inner4 / tcp), (0x6558, ether / inner6 / tcp), (0x0800, inner4 / tcp),
        (0x6558, ether / wire.VLAN(id=3) / inner4 / wire.UDP(sport=5, dport=53)),
        (0x86DD, inner6 / wire.UDP(dport=53)), (0x6558, ether / wire.ARP()), (0x1234, inner4 / tcp),
        (0x0800, inner4 / wire.Options(bytes(8)) / tcp),
    ]
    for outer in (wire.IPv4(src="10.0.0.1"), wire.IPv6(src="::1"),
                  wire.IPv4() / wire.Options(bytes(4))):
        for kind, packet in carried:
            for number, options in ((7, b""), (8, bytes(8))):
                header = Geneve(vni=number, ethertype=kind, options_length=len(options) // 4)
                for port in (6081, 6082):
                    yield (wire.Ethernet() / outer / wire.UDP(sport=9, dport=port) / header
                           / options / packet).pack()
    yield from ((wire.Ethernet() / inner4 / tcp).pack(), bytes(60))


FRAMES = list(frames())


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_mask_predicate_and_program_agree_in_tunnels(text):
    found = compile_filter(text)
    mask = found.mask(wire.Frames.of(FRAMES)).tolist()
    assert mask == [found.match(each) for each in FRAMES]
    assert mask == [bool(bpf.run(found.program(), each)) for each in FRAMES]
    assert 0 < sum(mask) < len(FRAMES)


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_tunnels_get_tcpdumps_verdicts(text):
    run = subprocess.run(["tcpdump", "-ddd", "-y", "EN10MB", text], capture_output=True,
                         text=True, check=True)
    peer = [tuple(map(int, line.split())) for line in run.stdout.splitlines()[1:]]
    found = compile_filter(text)
    for each in FRAMES:
        assert found.match(each) == bool(bpf.run(peer, each)), each.hex()


@pytest.mark.parametrize("text", ["geneve 16777216", "geneve and geneve",
                                  "geneve and protochain 6"])
def test_what_cannot_be_asked_of_a_tunnel_is_refused(text):
    with pytest.raises(UsageError, match=r"column \d+"):
        compile_filter(text)
