"""The same fields as tshark, on frames whose application octets other implementations made."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import dns.message
import dns.rrset
import pytest

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire.columns import texts
from portulan.wire.dhcp import DHCP
from portulan.wire.geneve import Geneve
from portulan.wire.gre import GRE
from portulan.wire.igmp import IGMP
from portulan.wire.mpls import MPLS
from portulan.wire.ntp import NTP
from portulan.wire.pppoe import PPP, PPPoE
from portulan.wire.sctp import SCTP
from portulan.wire.tcp import mss
from portulan.wire.vxlan import VXLAN

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed"),
]

#: tshark's name, ours.
PAIRS = {
    "frame.len": "frame.length", "frame.time_epoch": "frame.time_ns",
    "eth.type": "ethernet.ethertype", "vlan.id": "vlan.id", "mpls.label": "mpls.label",
    "pppoe.session_id": "pppoe.session", "igmp.type": "igmp.type", "igmp.maddr": "igmp.group",
    "gre.key": "gre.key", "vxlan.vni": "vxlan.vni", "geneve.vni": "geneve.vni",
    "ip.src": "ip.src", "ip.ttl": "ip.ttl", "ip.proto": "ip.protocol", "ipv6.dst": "ip6.dst",
    "tcp.dstport": "tcp.dport", "tcp.flags": "tcp.flags", "tcp.len": "tcp.payload_length",
    "tcp.options.mss_val": "tcp.mss", "udp.srcport": "udp.sport", "udp.length": "udp.length",
    "dns.qry.name": "dns.qname", "dns.qry.type": "dns.qtype", "dns.a": "dns.a",
    "dns.aaaa": "dns.aaaa", "dns.cname": "dns.cname", "dns.id": "dns.id",
    "dhcp.option.dhcp": "dhcp.message", "dhcp.option.hostname": "dhcp.hostname",
    "dhcp.option.requested_ip_address": "dhcp.requested", "dhcp.hw.mac_addr": "dhcp.chaddr",
    "tls.handshake.extensions_server_name": "tls.sni", "tls.handshake.type": "tls.handshake",
    "tls.handshake.extensions_alpn_str": "tls.alpn", "tls.handshake.ciphersuite": "tls.ciphers",
    "tls.handshake.extension.type": "tls.extensions",
    "tls.handshake.extensions_supported_group": "tls.groups",
    "http.request.method": "http.method", "http.request.uri": "http.target",
    "http.host": "http.host", "http.user_agent": "http.user_agent",
    "http.response.code": "http.status", "http.server": "http.server",
    "ntp.stratum": "ntp.stratum", "tftp.source_file": "tftp.file",
    "snmp.community": "snmp.community", "snmp.name": "snmp.oids", "icmp.type": "icmp.type",
    "icmpv6.type": "icmpv6.type", "icmpv6.nd.ns.target_address": "nd.target",
    "arp.dst.proto_ipv4": "arp.tpa", "ftp.request.command": "ftp.command",
    "ftp.response.code": "ftp.code", "smtp.req.command": "smtp.command",
    "sctp.chunk_type": "sctp.chunks", "stp.root.hw": "stp.root_mac",
    "lldp.tlv.system.name": "lldp.system_name", "lldp.time_to_live": "lldp.ttl_s",
}
STP = bytes.fromhex(
    "424203 0000 00 00 01 8000 020000000001 00000004 8000 020000000002 8001 0100 1400 0200 0f00")
LLDP = bytes.fromhex("0207 04 020000000001 0405 05 65746830 0602 0078 0a02 6d65 0000")
SNMP = bytes.fromhex(
    "302902010104067075626c6963a01c020412345678020100020100300e300c06082b060102010101000500")
REQUEST = b"GET /a?b=1 HTTP/1.1\r\nHost: x.example\r\nUser-Agent: me\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok"


def client_hello():
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="shop.example").do_handshake()
    return out.read()


def dns_messages():
    question = dns.message.make_query("www.example.com", "A")
    answer = dns.message.make_response(question)
    answer.answer = [
        dns.rrset.from_text("www.example.com.", 60, "IN", "CNAME", "web.example.com."),
        dns.rrset.from_text("web.example.com.", 60, "IN", "A", "192.0.2.7"),
        dns.rrset.from_text("web.example.com.", 60, "IN", "AAAA", "2001:db8::1"),
    ]
    return question.to_wire(), answer.to_wire()


def frames():
    ends = {"src": "10.9.0.1", "dst": "10.9.0.2"}
    question, answer = dns_messages()
    port = iter(range(40_000, 50_000))

    def there(header):
        return wire.Ethernet(src="02:00:00:00:00:01") / wire.IPv4(**ends) / header

    def udp(dport, body):
        return there(wire.UDP(sport=next(port), dport=dport) / body)

    def tcp(dport, body, sport=0):
        return there(wire.TCP(sport=sport or next(port), dport=dport, flags="PA") / body)

    inner = wire.Ethernet() / wire.IPv4(src="10.8.0.1") / wire.TCP(sport=next(port), dport=22)
    dhcp = bytes(192) + bytes.fromhex("63825363 350103 3204 0a090005 0c026d65 ff")
    yield from (
        udp(53, question), there(wire.UDP(sport=53, dport=next(port)) / answer),
        there(wire.UDP(sport=68, dport=67) / DHCP(chaddr="02:00:00:00:00:01") / dhcp),
        udp(123, NTP(stratum=2)), udp(69, b"\0\1boot.img\0octet\0"), udp(161, SNMP),
        tcp(443, client_hello()), tcp(80, REQUEST), tcp(next(port), RESPONSE, 80),
        tcp(21, b"USER me\r\n"), tcp(next(port), b"220 hello\r\n", 21), tcp(25, b"EHLO me\r\n"),
        there(wire.TCP(sport=next(port), dport=9) / wire.tcp_options(mss(1460))),
        there(SCTP(sport=5, dport=9) / bytes.fromhex("0a000005 61000000 0e000004")),
        there(IGMP(type=0x16, group="239.1.2.3")),
        there(GRE(has_key=1, ethertype=0x0800) / b"\0\0\0\7" / wire.IPv4(**ends) / wire.UDP()),
        udp(4789, VXLAN(vni=77) / inner), udp(6081, Geneve(vni=78) / inner),
        there(wire.ICMP.echo(id=7, seq=1) / b"abc"),
        wire.Ethernet() / wire.ARP.request(sha=1, spa="10.9.0.1", tpa="10.9.0.2"),
        wire.Ethernet() / wire.IPv6(src="fe80::1", dst="ff02::1:ff00:2")
        / wire.ICMPv6.neighbour_solicitation("fe80::2", mac=1),
        wire.Ethernet() / wire.VLAN(id=7) / wire.VLAN(id=9) / wire.IPv6(src="::1", dst="::2")
        / wire.UDP(sport=next(port), dport=9),
        wire.Ethernet() / MPLS(label=100, bottom=0) / MPLS(label=200) / wire.IPv4(**ends)
        / wire.TCP(sport=next(port), dport=80),
        wire.Ethernet() / PPPoE(session=5, length=30) / PPP() / wire.IPv4(**ends)
        / wire.UDP(sport=next(port), dport=9),
        wire.Ethernet(ethertype=0x88CC, dst="01:80:c2:00:00:0e") / LLDP,
        wire.Ethernet(ethertype=len(STP), dst="01:80:c2:00:00:00") / STP,
    )


def comparable(value):
    """Return a value as one text: tshark writes numbers in either base, and all of a list."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    try:
        return str(int(str(value), 0))
    except ValueError:
        return str(value)


def test_fields_are_those_of_tshark(tmp_path):
    path = tmp_path / "a.pcapng"
    octets = [frame.pack() for frame in frames()]
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(wire.Frames.of(octets, [10**9 * n for n in range(len(octets))]))
    words = [word for name in PAIRS for word in ("-e", name)]
    run = subprocess.run(
        ["tshark", "-n", "-r", path, "-T", "fields", "-E", "aggregator=|", *words],
        capture_output=True, text=True, check=True)
    theirs = [line.split("\t") for line in run.stdout.splitlines()]
    ours = Capture(path).columns(*PAIRS.values())
    compared, differ = 0, []
    for column, (their, our) in enumerate(PAIRS.items()):
        for row, value in enumerate(texts(our, ours[our])):
            found = theirs[row][column].split("|") if theirs[row][column] else []
            if our == "ethernet.ethertype" and value < 1536:
                continue  # tshark calls it eth.len
            if our == "frame.time_ns":
                found = [str(round(float(found[0]) * 1e9))]
            # Where a header comes twice ours is the first; lists are compared whole.
            wanted = [] if value is None else value if isinstance(value, list) else [value]
            found = found if isinstance(value, list) else found[:1]
            compared += len(found)
            if comparable(found) != comparable(wanted):
                differ.append((row + 1, their, found, wanted))
    assert compared > 250
    assert not differ
