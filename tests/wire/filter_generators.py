"""Random filters and the frames to try them on, from one seed; no hypothesis, so it is fast."""

from __future__ import annotations

import random
import struct

import portulan.wire as wire
from portulan.wire.filter_air import DIRECTIONS, SUBTYPES, TYPES
from portulan.wire.filter_link import LLC_KINDS
from portulan.wire.filter_syntax import AIR_PLACES
from portulan.wire.frames import LinkType

LINKS = {"EN10MB": 1, "RAW": 101, "LINUX_SLL": 113, "LINUX_SLL2": 276, "NULL": 0, "LOOP": 108,
         "IPV4": 228, "IPV6": 229, "IEEE802_11": 105, "IEEE802_11_RADIO": 127}
HOSTS4 = ["10.0.0.1", "10.0.0.2", "192.168.1.1", "224.0.0.5", "255.255.255.255"]
HOSTS6 = ["fe80::1", "2001:db8::2", "ff02::1"]
BARE = "ip ip6 arp rarp tcp udp icmp icmp6 igmp sctp ah esp pim vrrp"
READ = "ether ip ip6 tcp udp icmp icmp6 arp igmp sctp"
ODD = """stp iso ipx atalk aarp netbeui isis clnp esis l1 l2 iih lsp snp csnp psnp decnet lat
    sca llc moprc mopdl"""
ETHERTYPES = ["0x800", "0x806", "0x86dd", "0x42", "0x88cc", "0x8137"]
MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05"]
PORTS = [22, 53, 80, 443, 1000]


def term(rng: random.Random, link: str) -> str:
    """One primitive that tcpdump reads, too."""
    direction = rng.choice(["", "", "src ", "dst ", "src or dst ", "src and dst "])
    choices = [
        lambda: rng.choice(BARE.split()),
        lambda: direction + rng.choice(["host ", "ip host ", "arp host ", "" if direction else
                                        "host "]) + rng.choice(HOSTS4),
        lambda: f"{direction}host {rng.choice(HOSTS6)}",
        lambda: f"{direction}net {rng.choice(['10.0.0.0/8', '10', '192.168', '10.0.0.0/30'])}",
        lambda: f"{direction}net 10.0.0.0 mask 255.255.255.0",
        lambda: f"{direction}net {rng.choice(['fe80::/10', '2001:db8::/32', '::/0'])}",
        lambda: rng.choice(["", "tcp ", "udp ", "sctp "]) + f"{direction}port {rng.choice(PORTS)}",
        lambda: rng.choice(["", "tcp ", "udp "]) + f"{direction}portrange {rng.choice(PORTS)}-"
        f"{rng.choice(PORTS)}",
        lambda: f"{direction}port ({rng.choice(PORTS)} or {rng.choice(PORTS)})",
        lambda: f"port {rng.choice(PORTS)} or {rng.choice(PORTS)}",
        lambda: rng.choice(["less", "greater"]) + f" {rng.randrange(120)}",
        lambda: rng.choice(["ip ", "ip6 ", ""]) + f"proto {rng.choice([1, 6, 17, 58, 44, 132])}",
        lambda: f"ether proto {rng.choice(ETHERTYPES)}",
        lambda: rng.choice(["ip multicast", "ip6 multicast"]),
    ]
    if link.startswith("IEEE"):
        # A comparison before something else makes libpcap (1.10) forget where the data begins.
        choices += [lambda: air(rng)] * 8
    else:
        choices += [lambda: relation(rng)] * 3
    if link == "EN10MB":
        choices += [
            lambda: f"ether {rng.choice(['host', 'src', 'dst'])} {rng.choice(MACS)}",
            lambda: rng.choice(["broadcast", "multicast", "ether broadcast", "ip broadcast"]),
            lambda: rng.choice(["vlan", "vlan 5", "vlan 6", "vlan and vlan 6"]),
            lambda: rng.choice(["mpls", "mpls 5 and ip", "mpls and mpls 6 and ip6", "mpls 7"]),
            lambda: rng.choice(["pppoes", "pppoes 5 and ip", "pppoes and ip6", "pppoed"]),
            lambda: rng.choice(ODD.split()),
            lambda: rng.choice(["geneve", "geneve 7 and tcp", "not geneve"]),
            lambda: f"llc {rng.choice(list(LLC_KINDS))}",
            lambda: f"{rng.choice(['iso', 'isis'])} proto {rng.choice([24, 27, 129, 131])}",
        ]
    if link.startswith("LINUX"):
        choices += [lambda: rng.choice(["inbound", "outbound"])]
    if link == "LINUX_SLL2":
        choices += [lambda: f"ifindex {rng.choice([0, 2, 7])}"]
    return rng.choice(choices)()


def air(rng: random.Random) -> str:
    """One primitive about an 802.11 frame."""
    mac, kind = rng.choice(MACS), rng.choice(list(TYPES))
    return rng.choice([
        f"{rng.choice(['wlan', 'ether', 'link'])} {rng.choice(['host', 'src', 'dst'])} {mac}",
        f"wlan {rng.choice(AIR_PLACES)} {mac}", f"wlan src and dst {mac}", f"type {kind}",
        f"wlan type {kind}", f"type {kind} subtype {rng.choice(list(SUBTYPES[TYPES[kind]]))}",
        f"subtype {rng.choice(list(SUBTYPES[TYPES[kind]]))}", f"type {rng.randrange(16)}",
        f"type {rng.choice([0, 4, 8])} subtype {rng.randrange(16) << 4}",
        f"dir {rng.choice([*DIRECTIONS, '2'])}", "wlan broadcast", "wlan multicast", "broadcast",
        "llc",
        f"llc {rng.choice(list(LLC_KINDS))}", rng.choice(ODD.split()),
        f"ether proto {rng.choice(ETHERTYPES)}",
    ])


def arithmetic(rng: random.Random, depth: int) -> str:
    """One arithmetic expression."""
    pick = rng.random()
    if depth <= 0 or pick < 0.3:
        return rng.choice([str(rng.randrange(8)), "len", "0xff", "tcp-syn", "2", "4"])
    if pick < 0.7:
        name = rng.choice(READ.split())
        index = arithmetic(rng, depth - 2) if rng.random() < 0.3 else str(rng.randrange(24))
        return f"{name}[{index}{rng.choice(['', ':1', ':2', ':4'])}]"
    left, right = arithmetic(rng, depth - 1), arithmetic(rng, depth - 1)
    operator = rng.choice(["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"])
    return rng.choice(["{} {} {}", "({} {} {})"]).format(left, operator, right)


def relation(rng: random.Random) -> str:
    """One comparison."""
    if rng.random() < 0.3:
        return rng.choice([
            "tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", "icmp[icmptype] = icmp-echo",
            "ip[6:2] & 0x1fff = 0", "ip[8] < 64", "tcp[2:2] = 80", "ip6[6] = 58",
            "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "icmp6[icmp6type] = icmp6-echo",
            "ip[2:2] - ((ip[0]&0xf)<<2) != 0", "len != 60", "udp[4:2] > 8",
        ])
    operator = rng.choice(["=", "==", "!=", "<", ">", "<=", ">="])
    return f"{arithmetic(rng, 3)} {operator} {arithmetic(rng, 2)}"


def expression(rng: random.Random, link: str) -> str:
    """One filter of one to four primitives."""
    text = ""
    if link.startswith("IEEE") and rng.random() < 0.2:
        return rng.choice([
            f"wlan[{rng.randrange(30)}] & {rng.choice([1, 8, 12])} != 0", "link[0] = 0x88",
            "ip[8] < 64", "tcp[2:2] = 80", "icmp6[icmp6type] = icmp6-echo", "len != 60",
            "tcp[tcpflags] & tcp-syn != 0", "ip[6:2] & 0x1fff = 0", "arp[6:2] = 1", "3 > 2",
        ])
    for _ in range(rng.choice([1, 1, 2, 2, 3, 4])):
        part = term(rng, link)
        if rng.random() < 0.25:
            part = f"not ({part})" if " or " in part or rng.random() < 0.3 else f"not {part}"
        elif rng.random() < 0.2:
            part = f"({part})"
        text += (f" {rng.choice(['and', 'or', '&&', '||'])} " if text else "") + part
    return f"not ({text})" if rng.random() < 0.1 else text


def _transport(rng: random.Random, six: bool) -> tuple[int, bytes]:
    kind = rng.choice([6, 6, 17, 17, 132, 58 if six else 1, 2, 50])
    if kind in (6, 17, 132):
        ports = struct.pack(">HH", rng.choice(PORTS), rng.choice(PORTS))
        body = wire.TCP(flags=rng.choice(["S", "SA", "A", "F"])).pack()[4:] if kind == 6 else b""
        return kind, ports + body + rng.choice([b"", b"GET / HTTP", rng.randbytes(12)])
    return kind, bytes([rng.choice([0, 8, 128, 3])]) + rng.randbytes(12)


def _ip(rng: random.Random, version: int = 0) -> tuple[int, bytes]:
    if version == 4 or (not version and rng.random() < 0.65):
        kind, body = _transport(rng, False)
        options = rng.choice([b"", b"", b"\x01\x01\x01\x00", rng.randbytes(8)])
        fragment = rng.choice([0, 0, 0, 0x2000, 0x4000, 0x2005, 5])
        head = struct.pack(
            ">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(body), 7,
            fragment, rng.choice([1, 64, 128]), kind, 0,
            *(wire.Ip4.of(rng.choice(HOSTS4)).packed for _ in range(2)))
        return 0x0800, head + options + body
    kind, body = _transport(rng, True)
    if rng.random() < 0.25:
        extension = rng.choice([0, 44, 60])
        kind, body = extension, bytes([kind, 0, 0, rng.choice([0, 1])]) + b"\0" * 4 + body
    head = struct.pack(">IHBB", 6 << 28, len(body), kind, 64)
    ends = b"".join(wire.Ip6.of(rng.choice(HOSTS6)).packed for _ in range(2))
    return 0x86DD, head + ends + body


def _network(rng: random.Random) -> tuple[int, bytes]:
    pick = rng.random()
    if pick < 0.75:
        return _ip(rng)
    if pick < 0.85:
        arp = wire.ARP(spa=rng.choice(HOSTS4), tpa=rng.choice(HOSTS4), sha=1, tha=2)
        return rng.choice([0x0806, 0x8035]), arp.pack()
    if pick < 0.95:
        llc = rng.choice([b"\x42\x42\x03", b"\xfe\xfe\x03\x83\x1b\1\0\x0f", b"\xe0\xe0\x03",
                          b"\xaa\xaa\x03\x08\x00\x07\x80\x9b", b"\xf0\xf0", b"\xff\xff",
                          b"\xaa\xaa\x03\0\0\0\x81\x37", b"\xfe\xfe\x03\x81",
                          bytes([254, 254, 3, 0x83, 27, 1, 0, rng.randrange(15, 28)])])
        if rng.random() < 0.3:
            llc = llc[:2] + bytes([rng.choice(list(LLC_KINDS.values()))[0]]) + llc[3:]
        return rng.randrange(40, 60), llc + rng.randbytes(8)
    return rng.choice([0x88CC, 0x9000, 0x6003, 0x6004, 0x8137, 0x809B]), rng.randbytes(30)


def _ethernet(rng: random.Random) -> bytes:
    kind, body = _network(rng)
    shape = rng.random()
    if shape < 0.2:
        for _ in range(rng.choice([1, 2])):
            body = struct.pack(">HH", rng.choice([5, 6, 0x2005]), kind) + body
            kind = rng.choice([0x8100, 0x88A8, 0x9100])
    elif shape < 0.3:
        depth = rng.choice([1, 2])
        labels = [rng.choice([5, 6, 7]) << 12 | (at == depth - 1) << 8 | 9 for at in range(depth)]
        kind, body = 0x8847, struct.pack(f">{depth}I", *labels) + _ip(rng)[1]
    elif shape < 0.4:
        inner, body = _ip(rng)
        ppp = {0x0800: 0x21, 0x86DD: 0x57}[inner]
        head = struct.pack(">BBHHH", 0x11, 0, rng.choice([5, 6]), len(body) + 2, ppp)
        kind, body = rng.choice([0x8864, 0x8864, 0x8863]), head + body
    ends = b"".join(wire.Mac.of(rng.choice(MACS)).packed for _ in range(2))
    return ends + kind.to_bytes(2, "big") + body


def _air(rng: random.Random, *, radiotap: bool) -> bytes:
    kind, body = _network(rng)
    if kind > 1500:
        body = b"\xaa\xaa\x03\0\0\0" + kind.to_bytes(2, "big") + body
    control = rng.choice([0x08, 0x08, 0x08, 0x88, 0x88, 0x48, 0x80, 0xC4, 0xD4, 0xB4, 0x40, 0x28])
    flags = rng.choice([0, 1, 2, 3])
    ends = b"".join(wire.Mac.of(rng.choice(MACS)).packed for _ in range(3))
    head = bytes([control, flags, 0, 0]) + ends + b"\0\0" + b"\0\0" * (control & 0x88 == 0x88)
    tap = b""
    if radiotap:
        present, time = rng.choice([0, 1, 2, 3, 0x8000_0002, 3, 2]), bytes(8)
        fields = time * (present & 1) + bytes([rng.choice([0, 0x20])]) * (present >> 1 & 1)
        fields += bytes(rng.choice([0, 1, 4]))
        if present & 2 and fields and fields[8 * (present & 1)] & 0x20:
            head += bytes(-len(head) % 4)
        tap = struct.pack("<BBHI", 0, 0, 8 + len(fields), present) + fields
    return tap + head + body


def frame(rng: random.Random, link_type: int) -> bytes:
    """One frame, some damaged, some cut short."""
    if link_type == LinkType.ETHERNET:
        octets = _ethernet(rng)
    elif link_type in (LinkType.RAW, LinkType.IPV4, LinkType.IPV6):
        octets = _ip(rng, {LinkType.IPV4: 4, LinkType.IPV6: 6}.get(link_type, 0))[1]
    elif link_type in (LinkType.IEEE802_11, LinkType.IEEE802_11_RADIOTAP):
        octets = _air(rng, radiotap=link_type == LinkType.IEEE802_11_RADIOTAP)
    elif link_type in (LinkType.NULL, LinkType.LOOP):
        kind, body = _ip(rng)
        family = 2 if kind == 0x0800 else rng.choice([10, 24, 30])
        octets = family.to_bytes(4, "little" if link_type == LinkType.NULL else "big") + body
    else:
        kind, body = _network(rng)
        kind = rng.choice([4, 1]) if kind < 1500 else kind
        way = rng.randrange(5)
        if link_type == LinkType.LINUX_SLL:
            octets = struct.pack(">HHH8sH", way, 1, 6, b"\2" * 8, kind) + body
        else:
            octets = struct.pack(">HHIHBB8s", kind, 0, 3, 1, way, 6, b"\2" * 8) + body
    if rng.random() < 0.15:
        octets = octets[: rng.randrange(len(octets) + 1)]
    if rng.random() < 0.1 and octets:
        damaged = bytearray(octets)
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        octets = bytes(damaged)
    return octets


def batch(rng: random.Random, link_type: int, count: int) -> wire.Frames:
    """Frames of one link, some captured shorter than they were on the wire."""
    octets = [frame(rng, link_type) for _ in range(count)]
    frames = wire.Frames.of(octets, link_type=link_type)
    return wire.Frames(
        frames.buffer, frames.offset, frames.length,
        frames.length + (frames.length % 5 == 0) * 40, frames.time_ns, link_type)
