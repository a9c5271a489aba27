"""Make captures of what the kernel of a plain machine has no module for, by scapy's hand.

OUT.pcap: ESP and AH with real ciphers, a PPPoE session, GRE with sequence numbers, IPv6 routing
and destination headers, IPv4 options. OUT-air.pcap: a beacon and data behind radiotap.
OUT-loop.pcap: BSD's loopback. scapy runs as a program of its own, of Debian's python3-scapy.

Run: /usr/bin/python3 tools/make_captures_scapy.py OUT.pcap
"""

import sys
from pathlib import Path

from scapy.contrib.geneve import GENEVE
from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11Elt, Dot11QoS, RadioTap
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.layers.l2 import LLC, SNAP, Ether, Loopback
from scapy.layers.ppp import PPPoE
from scapy.utils import wrpcap

ENDS = {"src": "10.9.3.1", "dst": "10.9.3.2"}
ENDS6 = {"src": "fd09::1", "dst": "fd09::2"}
STATION, ACCESS_POINT = "02:00:00:00:00:01", "02:00:00:00:00:02"


def secured() -> list:
    """Return packets that two hosts with shared keys would send."""
    packets = []
    for ends, layer in ((ENDS, IP), (ENDS6, IPv6)):
        esp = SecurityAssociation(
            ESP, spi=0x101, crypt_algo="AES-CBC", crypt_key=bytes(range(16)),
            auth_algo="HMAC-SHA1-96", auth_key=bytes(range(20)))
        ah = SecurityAssociation(
            AH, spi=0x102, auth_algo="HMAC-SHA1-96", auth_key=bytes(range(20)))
        for number in range(3):
            plain = layer(**ends) / TCP(sport=4000 + number, dport=80, flags="PA") / b"hello"
            packets += [esp.encrypt(plain), ah.encrypt(plain)]
    return packets


def framed() -> list:
    """Return packets whose headers the kernel here cannot make."""
    inner = IP(**ENDS) / UDP(sport=5, dport=9) / b"hello"
    return [
        IP(**ENDS) / GRE(proto=0x0800, chksum_present=1, key_present=1, seqnum_present=1, key=7,
                         seqence_number=number) / inner for number in range(3)
    ] + [
        # scapy's PPP would write one octet of the number, which PPPoE should not (RFC 2516).
        PPPoE(sessionid=0x11) / b"\0\x21" / inner,
        PPPoE(sessionid=0x11) / b"\0\x57" / IPv6(**ENDS6) / TCP(sport=5, dport=9),
        IPv6(**ENDS6) / IPv6ExtHdrRouting(type=2, addresses=["fd09::9"]) / ICMPv6EchoRequest(id=7),
        IPv6(**ENDS6) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0")]) / UDP(sport=5, dport=9),
        IP(**ENDS, options=[IPOption_RR(routers=["10.9.3.9"])]) / ICMP(id=7, seq=1),
        IP(**ENDS, options=[IPOption_Timestamp()]) / ICMP(id=7, seq=2),
        IP(**ENDS) / UDP(sport=5, dport=6081) / GENEVE(vni=77, critical=1) / Ether() / inner,
    ]


def on_air() -> list:
    """Return what a station on a channel hears."""
    beacon = Dot11(type=0, subtype=8, addr1="ff:ff:ff:ff:ff:ff", addr2=ACCESS_POINT,
                   addr3=ACCESS_POINT, SC=0x123 << 4)
    data = Dot11(type=2, subtype=8, FCfield="to-DS", addr1=ACCESS_POINT, addr2=STATION,
                 addr3=ACCESS_POINT, SC=0x124 << 4)
    head = RadioTap(present="Channel+dBm_AntSignal", ChannelFrequency=2437, ChannelFlags=0xA0,
                    dBm_AntSignal=-42)
    return [
        head / beacon / Dot11Beacon(cap="ESS") / Dot11Elt(ID="SSID", info=b"harbour"),
        head / data / Dot11QoS() / LLC() / SNAP() / IP(**ENDS) / UDP(sport=5, dport=9),
    ]


def ethernet(packet: object) -> Ether:
    """Return a packet in an Ethernet frame."""
    frame = Ether(src=STATION, dst=ACCESS_POINT) / packet
    if isinstance(packet, PPPoE):
        frame.type = 0x8864
    return frame


def main() -> None:
    """Write the three captures."""
    out = Path(sys.argv[1])
    wrpcap(str(out), [ethernet(packet) for packet in secured() + framed()])
    wrpcap(str(out.with_name(f"{out.stem}-air.pcap")), on_air())
    loop = [Loopback(type=2) / IP(**ENDS) / UDP(sport=5, dport=9) / b"hello",
            Loopback(type=30) / IPv6(**ENDS6) / TCP(sport=5, dport=9)]
    wrpcap(str(out.with_name(f"{out.stem}-loop.pcap")), loop, linktype=0)


if __name__ == "__main__":
    main()
