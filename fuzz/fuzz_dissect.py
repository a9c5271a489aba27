"""Invariant: any octets are dissected in bounded steps; columns, filters and lines agree.

Run: python fuzz/fuzz_dissect.py --seconds 5 [--count N] [--seed N]
"""

from __future__ import annotations

import random

import harness

import portulan.wire as wire
from portulan.errors import UsageError, WireError
from portulan.wire.columns import columns, known_fields, plain, text
from portulan.wire.dissect import DEPTH_MAX, Dissection, dissect
from portulan.wire.esp import AH, ESP
from portulan.wire.filter import compile_filter
from portulan.wire.frames import Frames
from portulan.wire.geneve import Geneve
from portulan.wire.gre import GRE
from portulan.wire.header import Header, Packet
from portulan.wire.igmp import IGMP
from portulan.wire.mpls import MPLS
from portulan.wire.pppoe import PPP, PPPoE
from portulan.wire.sctp import SCTP
from portulan.wire.text import LINE_MAX_CHARS, line
from portulan.wire.vxlan import VXLAN

BATCH = 32
"""Frames of one input: the columns of one frame cost as much as those of many."""
FILTERS = [
    "tcp port 80 or vlan and ip6", "udp[4:2] > 60 and not ip broadcast", "tcp.flags & 2 != 0",
    'dns.qname contains "example"', "tls.versions == 772", "ip.ttl < 10 or ip6.hop_limit < 10",
    "protochain 17", "len > 100 and ip[9] = 6", "gre.key == 7", "arp or llc or stp",
]
FIELDS = [name for name in known_fields() if not name.startswith("frame.")]

QUERY = "000701000001000000000000 03777777 076578616d706c65 00 0001 0001"
ANSWER = (
    "000781800001000200000000 03777777 076578616d706c65 00 0001 0001"
    "c00c 0005 0001 0000003c 0006 03776562 c010 c025 0001 0001 0000003c 0004 c0000207")
HELLO = (
    "16030100410100003d0303" + "11" * 32 + "00 0002 1301 0100 0012"
    "0000000e000c0000 09 6d652e6578616d70")
DHCP = (
    "01010600 00000007 00000000" + "00" * 16 + "020000000001" + "00" * 10 + "00" * 192
    + "63825363 350101 3204 0a090005 0c026d65 370301030f ff")
SNMP = ("302902010104067075626c6963a01c020412345678020100020100300e300c06082b060102010101000500")
SNMP3 = (
    "304f 020103 300e 02020309 020205c0 040104 020103 0417 3015 0405 8000000001 020107 020109"
    "0402 6d65 0400 0400 3021 0400 0400"
    "a01b 020412345678 020100 020100 300d 300b 0607 2b060102010101 0500")
OSPF = "02010030 0a000001 00000000 0000 0000" + "00" * 8 + (
    "ffffff00 000a 0201 00000028 0a000001 0a000002 0a000002")
BEACON = "80000000 ffffffffffff 020000000002 020000000002 3002" + "00" * 12 + "000463616665"
AIR = "00001200 2a000000 1000 8509 a000 c800 0000" + BEACON
LLDP = "0207 04 020000000001 0405 05 65746830 0602 0078 0a02 6d65 0e04 00140010 0000"
STP = "4242030000000000" + "8000020000000001" + "00000004" + "8000020000000002" + "8001" + "00" * 8
KEXINIT = (
    "0000005c 04 14" + "00" * 16 + "0000000c 612c6578742d696e666f2d63" + "00000001 61" * 5
    + "00000004 6e6f6e65" * 2 + "00" * 17)
QUIC = "c3 00000001 08 0102030405060708 02 aabb 00 4028" + "5c" * 40
UDP_BODIES = {
    53: QUERY, 5353: ANSWER, 67: DHCP, 123: "23" + "00" * 47, 69: "0001 6100 6f6374657400",
    161: SNMP,
    162: SNMP3, 443: QUIC, 5060: b"INVITE sip:me SIP/2.0\r\ni: 7\r\nTo: me\r\n\r\n".hex(),
    547: "01000007 0001000e 000100012345678902000000000 10006 0004 00170018",
}
TCP_BODIES = {
    443: HELLO, 53: "002d" + QUERY,
    80: b"GET /a HTTP/1.1\r\nHost: me\r\n\r\n".hex(), 22: b"SSH-2.0-me x\r\n".hex(),
    2222: KEXINIT, 23: "fffd18 fffb01 fffa1801fff0 6c6f67696e3a20",
    25: b"250 me\r\n".hex(), 110: b"+OK me\r\n".hex(), 143: b"* OK me\r\n".hex(),
    21: b"USER me\r\n".hex(), 5060: b"OPTIONS sip:me SIP/2.0\r\n".hex(),
    179: "ff" * 16 + "001304" + "ff" * 16 + "0029 02 0003 100a01 000c 40010100 5002000402010001"
    "180a0203",
}


def octets(digits: str) -> bytes:
    """Return octets of hexadecimal digits; an odd one at the end is dropped."""
    digits = "".join(digits.split())
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def seeds() -> list[bytes]:
    """Return one good frame for every protocol."""
    ip: list[Header | Packet] = [wire.IPv4(src="10.9.0.1"), wire.IPv6(src="::1")]
    udp = [wire.UDP(sport=4, dport=port) / octets(body) for port, body in UDP_BODIES.items()]
    tcp = [wire.TCP(sport=4, dport=port) / octets(body) for port, body in TCP_BODIES.items()]
    inner = wire.Ethernet() / wire.IPv4() / udp[0]
    carried: list[Packet] = [
        *udp, *tcp, wire.UDP(dport=4789) / VXLAN() / inner,
        wire.UDP(dport=6081) / Geneve() / inner,
        GRE(has_key=1) / b"\0\0\0\7" / wire.IPv4() / udp[0], AH() / wire.IPv4() / wire.TCP(),
        IGMP(type=34, group=1) / octets("04000000 ef010203"), wire.IPv4() / wire.IPv6() / tcp[0],
        SCTP() / octets("01000014 0000abcd" + "00" * 12 + "00030011 00000007 0002 0000" + "00" * 8),
        octets(OSPF), wire.HopByHop() / bytes(6) / udp[0], wire.Destination() / bytes(6) / udp[0],
        wire.Routing(length=2, kind=4, segments_left=1) / bytes(20) / tcp[0],
        wire.Fragment() / udp[0], ESP(spi=7) / bytes(40), wire.ICMP.echo(id=7, seq=1) / b"me",
        wire.ICMP.unreachable(3, (wire.IPv4() / wire.UDP(sport=4, dport=9)).pack()),
        wire.ICMPv6.neighbour_solicitation("::1", mac=1),
    ]
    found = [wire.Ethernet() / each / body for each in ip for body in carried]
    found += [
        wire.Ethernet() / MPLS(bottom=0) / MPLS() / wire.IPv4() / tcp[0],
        wire.Ethernet() / PPPoE(length=200) / PPP() / wire.IPv4() / tcp[0],
        wire.Ethernet(ethertype=0x88CC) / octets(LLDP), wire.Ethernet(ethertype=38) / octets(STP),
        wire.Ethernet() / wire.VLAN() / wire.VLAN() / wire.VLAN() / wire.IPv4() / udp[0],
        wire.Ethernet(ethertype=36) / octets("aaaa03 000000 0806") / wire.ARP(),
        wire.Ethernet(ethertype=0x8863) / octets("11090000 0004 0101"),
        wire.Ethernet() / wire.ARP(),
    ]
    found.append(wire.Ethernet() / wire.IPv4(protocol=89) / octets(OSPF))
    return [*(packet.pack() for packet in found), octets(AIR), octets(BEACON)]


SEEDS = seeds()


def mutated(rng: random.Random) -> bytes:
    """Return a frame with a few bytes changed, cut anywhere, or random octets."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    frame = bytearray(rng.choice(SEEDS))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        frame[rng.randrange(len(frame))] = rng.choice((0, 0xC0, 255, rng.randrange(256)))
    if rng.random() < 0.1:
        frame += bytes(rng.choice(frame) for _ in range(rng.choice((8, 64, 1400))))
    return bytes(frame[: rng.choice((len(frame), len(frame), rng.randrange(len(frame) + 1)))])


def check(rng: random.Random) -> int:
    """Put a batch of frames through every door and compare what they tell."""
    link_type = rng.choice((1, 1, 1, 1, 1, 1, 1, 101, 113, 276, 0, 105, 127, 9999))
    octets = [mutated(rng) for _ in range(BATCH)]
    found = [check_dissection(frame, link_type) for frame in octets]
    for frame in octets:
        shown = line(frame, link_type)
        assert shown.isprintable() and 0 < len(shown) <= LINE_MAX_CHARS
    frames = Frames.of(octets, link_type=link_type)
    names = [*rng.sample(FIELDS, 6), "ip.src", "tcp.dport", "udp.sport", "vlan.id", "dns.qname"]
    for name, column in columns(frames, names).items():
        for value, each in zip(column, (one.get(name) for one in found), strict=True):
            assert text(name, value) == (None if each is None else plain(each)), name
    chosen = rng.choice(FILTERS)
    try:
        compiled = compile_filter(chosen, link_type)
    except UsageError:
        return BATCH  # no such header on this link type
    assert compiled.mask(frames).tolist() == [compiled.match(each) for each in octets], chosen
    return BATCH


def check_dissection(frame: bytes, link_type: int) -> Dissection:
    """Dissect one frame strictly and not."""
    found = dissect(frame, link_type)
    assert len(found.layers) <= DEPTH_MAX
    assert 0 <= found.payload_at <= found.payload_end <= len(frame)
    try:
        assert dissect(frame, link_type, strict=True) == found
    except WireError:
        assert found.defect
    for layer in found.layers:
        for name, value in layer.values():
            shown = plain(value)
            texts = shown if isinstance(shown, list) else [shown]
            assert all(str(each).isprintable() for each in texts), name
    return found


if __name__ == "__main__":
    harness.run(check, doc=__doc__)
