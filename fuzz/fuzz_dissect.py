"""Invariant: any octets are dissected in bounded steps without a fault; columns equal dissections.

Run: python fuzz/fuzz_dissect.py --seconds 5 [--seed N]
"""

from __future__ import annotations

import argparse
import random
import time

import portulan.wire as wire
from portulan.errors import WireError
from portulan.wire.columns import columns, known_fields, plain, text
from portulan.wire.dissect import DEPTH_MAX, dissect
from portulan.wire.esp import AH
from portulan.wire.frames import Frames
from portulan.wire.geneve import Geneve
from portulan.wire.gre import GRE
from portulan.wire.header import Header, Packet
from portulan.wire.igmp import IGMP
from portulan.wire.mpls import MPLS
from portulan.wire.pppoe import PPP, PPPoE
from portulan.wire.sctp import SCTP
from portulan.wire.vxlan import VXLAN

SLOW_S = 0.5
"""CPU seconds that one packet may take, a thousand times what an honest one does."""
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
LLDP = "0207 04 020000000001 0405 05 65746830 0602 0078 0a02 6d65 0e04 00140010 0000"
STP = "4242030000000000" + "8000020000000001" + "00000004" + "8000020000000002" + "8001" + "00" * 8
UDP_BODIES = {
    53: QUERY, 5353: ANSWER, 67: DHCP, 123: "23" + "00" * 47, 69: "0001 6100 6f6374657400",
    161: SNMP, 547: "01000007 0001000e 000100012345678902000000000 10006 0004 00170018",
}
TCP_BODIES = {
    443: HELLO, 53: "002d" + QUERY,
    80: b"GET /a HTTP/1.1\r\nHost: me\r\n\r\n".hex(), 22: b"SSH-2.0-me x\r\n".hex(),
    25: b"250 me\r\n".hex(), 110: b"+OK me\r\n".hex(), 143: b"* OK me\r\n".hex(),
    21: b"USER me\r\n".hex(), 5060: b"OPTIONS sip:me SIP/2.0\r\n".hex(), 179: "ff" * 16 + "001304",
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
        SCTP() / octets("01000008 00000000 00000004"), wire.HopByHop() / bytes(6) / udp[0],
        wire.ICMPv6.neighbour_solicitation("::1", mac=1),
    ]
    found = [wire.Ethernet() / each / body for each in ip for body in carried]
    found += [
        wire.Ethernet() / MPLS(bottom=0) / MPLS() / wire.IPv4() / tcp[0],
        wire.Ethernet() / PPPoE(length=200) / PPP() / wire.IPv4() / tcp[0],
        wire.Ethernet(ethertype=0x88CC) / octets(LLDP), wire.Ethernet(ethertype=38) / octets(STP),
        wire.Ethernet() / wire.VLAN() / wire.VLAN() / wire.VLAN() / wire.IPv4() / udp[0],
        wire.Ethernet(ethertype=0x8863) / octets("11090000 0004 0101"),
        wire.Ethernet() / wire.ARP(),
    ]
    return [packet.pack() for packet in found]


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


def check(rng: random.Random) -> None:
    """Dissect one frame strictly and not, and compare a few fields with its columns."""
    frame = mutated(rng)
    link_type = rng.choice((1, 1, 1, 1, 101, 113, 276, 0, 127, 9999))
    begin = time.process_time()
    found = dissect(frame, link_type)
    assert time.process_time() - begin < SLOW_S, frame.hex()
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
    names = [*rng.sample(FIELDS, 6), "ip.src", "tcp.dport", "udp.sport", "vlan.id", "dns.qname"]
    for name, column in columns(Frames.of([frame], link_type=link_type), names).items():
        value = found.get(name)
        assert text(name, column[0]) == (None if value is None else plain(value)), name


def main() -> None:
    """Run until the time is over; the seed in a failure's message repeats it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stop, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < stop:
        try:
            check(random.Random(seed))
        except Exception as error:
            raise SystemExit(f"seed {seed}: {error!r}") from error
        seed += 1
    print(f"{seed - options.seed} inputs, no exception")


if __name__ == "__main__":
    main()
