"""What a datagram must say so that the service behind a UDP port answers.

A UDP service is silent to what it does not understand, so each well-known port is asked in its own
protocol; where it speaks several, the tries take turns, the likeliest first. Every payload only
asks: no lists of clients, no writes, no logins, and what state an opening makes at a server ends
by itself within its first timeout. Where a protocol echoes an id, our keyed cookie goes there.

>>> [PAYLOADS[number].name for number in BY_PORT[161]]
['snmp-v3', 'snmp-v1', 'snmp-v2c']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portulan.scan.payload_bodies import (
    WS_PROBE,
    cldap_root,
    dns_query,
    dtls_hello,
    ike_v1,
    ike_v2,
    kerberos_as_request,
    l2tp_open,
    node_status,
    quic_unknown_version,
    rdp_open,
    rpc_null,
    slp_request,
    snmp_get,
    snmp_v3_discovery,
    text_lines,
    words,
)

#: The id comes back somewhere: only for ids of 3 octets or more, or chance would prove things.
ANYWHERE: Final = -1


@dataclass(frozen=True, slots=True)
class Mark:
    """An id within a payload: where it stands, how long it is, where a reply has it."""

    at: int
    width: int
    echo: int
    """Offset in the reply, or `ANYWHERE`."""
    hexadecimal: bool = False
    """Written as lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One question: whom it is for, what it says, who defines it, where its id stands."""

    name: str
    ports: tuple[int, ...]
    body: bytes
    source: str
    mark: Mark | None = None


def _same(at: int, width: int) -> Mark:
    """Return the mark of an id that comes back where it stood."""
    return Mark(at, width, at)


def _marked(body: bytes, before: bytes, *, width: int, digits: bool = False) -> Mark:
    """Return the mark of an id behind some octets of the body, found anywhere in a reply."""
    return Mark(body.index(before) + len(before), width, ANYWHERE, digits)


_hex = bytes.fromhex
_V3, _V1, _V2 = snmp_v3_discovery(), snmp_get(0), snmp_get(1)
_CLDAP = cldap_root()
_POSITIVE = _hex("020412")
_SIP = text_lines(
    "OPTIONS sip:nobody@portulan.invalid SIP/2.0",
    "Via: SIP/2.0/UDP portulan.invalid;branch=z9hG4bK00000000;rport",
    "Max-Forwards: 70", "From: <sip:nobody@portulan.invalid>;tag=1",
    "To: <sip:nobody@portulan.invalid>", "Call-ID: 1@portulan.invalid", "CSeq: 1 OPTIONS",
    "Contact: <sip:nobody@portulan.invalid>", "Accept: application/sdp", "Content-Length: 0",
)
_SSDP = text_lines(
    "M-SEARCH * HTTP/1.1", "HOST: 239.255.255.250:1900", 'MAN: "ssdp:discover"', "MX: 1",
    "ST: upnp:rootdevice",
)
_DHT = b"d1:ad2:id20:portulan-asks-only--e1:q4:ping1:t4:\0\0\0\0" b"1:y1:qe"
_QUAKE = b"\xff\xff\xff\xffgetinfo 00000000\n"
_DOOM = b"\xff\xffgetInfo\0\0\0\0\0"
_RAKNET = b"\x01" + bytes(8) + _hex("00ffff00fefefefefdfdfdfd12345678") + bytes(8)
_COAP_CORE = _hex("4401000100000000") + b"\xbb.well-known\x04core"
_OPENVPN = b"\x38" + bytes(8) + b"\0" + bytes(4)
#: BOOTREQUEST, DHCPINFORM (RFC 2131 section 4.4.3): it asks for settings and takes no address.
_DHCP = (
    _hex("01010600") + bytes(232) + _hex("63825363") + _hex("350108") + _hex("370103") + b"\xff")
_L2TP = l2tp_open()

PAYLOADS: Final[tuple[Payload, ...]] = (
    Payload("empty", (), b"", "RFC 768"),
    Payload("lines", (), b"\r\n\r\n", "text protocols"),
    Payload("echo", (7,), b"00000000", "RFC 862", Mark(0, 8, 0, hexadecimal=True)),
    Payload("daytime", (13,), b"\n", "RFC 867"),
    Payload("qotd", (17,), b"\n", "RFC 865"),
    Payload("chargen", (19,), b"\n", "RFC 864"),
    Payload("time", (37,), b"\n", "RFC 868"),
    Payload("dns", (53, 5300), dns_query("version.bind", 16, group=3), "RFC 1035, RFC 4892",
            _same(0, 2)),
    Payload("dns-root", (53, 5300), dns_query("", 2), "RFC 1035", _same(0, 2)),
    Payload("dhcp-inform", (67,), _DHCP, "RFC 2131", _same(4, 4)),
    Payload("tftp", (69,), b"\0\1portulan-asks-only\0octet\0", "RFC 1350"),
    Payload("kerberos", (88,), kerberos_as_request(), "RFC 4120"),
    Payload("portmap", (111,), rpc_null(100_000, 2), "RFC 1833", _same(0, 4)),
    Payload("ntp-v4", (123,), b"\x23" + bytes(47), "RFC 5905", Mark(40, 8, 24)),
    Payload("ntp-v3", (123,), b"\x1b" + bytes(47), "RFC 1305", Mark(40, 8, 24)),
    Payload("netbios-ns", (137,), node_status(), "RFC 1002", _same(0, 2)),
    Payload("snmp-v3", (161,), _V3, "RFC 3414", _marked(_V3, _POSITIVE, width=3)),
    Payload("snmp-v1", (161,), _V1, "RFC 1157", _marked(_V1, _POSITIVE, width=3)),
    Payload("snmp-v2c", (161,), _V2, "RFC 3416", _marked(_V2, _POSITIVE, width=3)),
    Payload("xdmcp", (177,), words(1, 2, 1) + b"\0", "X Display Manager Control Protocol 1.1"),
    Payload("cldap", (389,), _CLDAP, "RFC 1798", _marked(_CLDAP, _POSITIVE, width=3)),
    Payload("slp", (427,), slp_request(), "RFC 2608", _same(10, 2)),
    Payload("quic", (443, 80, 8443, 784, 853), quic_unknown_version(), "RFC 9000",
            Mark(15, 8, 6)),
    Payload("dtls", (443, 2083, 3391, 4433, 4740, 5061, 5349, 5684, 6514, 10161), dtls_hello(),
            "RFC 6347"),
    Payload("ike-v2", (500,), ike_v2(), "RFC 7296", _same(0, 8)),
    Payload("ike-v1", (500,), ike_v1(), "RFC 2409", _same(0, 8)),
    Payload("ike-nat-v2", (4500,), bytes(4) + ike_v2(), "RFC 3948", _same(4, 8)),
    Payload("ike-nat-v1", (4500,), bytes(4) + ike_v1(), "RFC 3948", _same(4, 8)),
    Payload("rip", (520,), _hex("01020000") + bytes(16) + words(16, width=4), "RFC 2453"),
    Payload("ripng", (521,), _hex("01010000") + bytes(19) + b"\x10", "RFC 2080"),
    Payload("db2", (523,), b"DB2GETADDR\0SQL08020\0", "IBM Db2 administration server"),
    Payload("ipmi", (623,), _hex("0600ff07") + bytes(9) + _hex("09" "2018c8" "810038" "8e04b5"),
            "IPMI 2.0 section 22.13"),
    Payload("asf-ping", (623,), _hex("0600ff06" "000011be" "80000000"), "ASF 2.0 section 3.2.4.2"),
    Payload("openvpn", (1194,), _OPENVPN, "OpenVPN wire protocol", Mark(1, 8, 14)),
    Payload("mssql-browser", (1434,), b"\x03", "[MS-SQLR] section 2.2.2"),
    Payload("l2tp", (1701,), _L2TP, "RFC 2661", Mark(len(_L2TP) - 2, 2, 4)),
    Payload("radius-status", (1645, 1646, 1812, 1813),
            b"\x0c\0" + words(38) + bytes(16) + b"\x50\x12" + bytes(16), "RFC 5997",
            _same(1, 1)),
    Payload("ssdp", (1900,), _SSDP, "UPnP Device Architecture 1.1 section 1.3.2"),
    Payload("nfs", (2049,), rpc_null(100_003, 3), "RFC 1813", _same(0, 4)),
    Payload("gtp-v2", (2123,), _hex("40010004") + bytes(4), "3GPP TS 29.274", _same(4, 3)),
    Payload("gtp-v1", (2123, 2152), _hex("32010004") + bytes(8), "3GPP TS 29.281",
            _same(8, 2)),
    Payload("addp", (2362,), b"DIGI" + words(1, 6) + b"\xff" * 6, "Digi discovery protocol"),
    Payload("mgcp", (2427,), text_lines("AUEP 1 *@portulan.invalid MGCP 1.0"), "RFC 3435"),
    Payload("apple-remote-desktop", (3283,), _hex("0014000103"), "Apple Net Assistant"),
    Payload("rdp", (3389,), rdp_open(), "[MS-RDPEUDP]", Mark(8, 4, 0)),
    Payload("stun", (3478, 3479, 5349, 19302), _hex("000100002112a442") + bytes(12), "RFC 8489",
            _same(8, 8)),
    Payload("knx", (3671,), _hex("06100203000e" "0801") + bytes(6), "EN 50090-6-2"),
    Payload("ws-discovery", (3702,), WS_PROBE, "WS-Discovery 1.0"),
    Payload("iax2", (4569,), _hex("80010000" "00000000" "0000061e"), "RFC 5456"),
    Payload("sip", (5060, 5061), _SIP, "RFC 3261",
            _marked(_SIP, b"z9hG4bK", width=8, digits=True)),
    Payload("nat-pmp", (5351,), _hex("0000"), "RFC 6886"),
    Payload("pcp", (5351,), _hex("0200") + bytes(22), "RFC 6887"),
    Payload("mdns", (5353,), dns_query("_services._dns-sd._udp.local", 12), "RFC 6762",
            _same(0, 2)),
    Payload("llmnr", (5355,), dns_query("portulan", 1), "RFC 4795", _same(0, 2)),
    Payload("pcanywhere", (5632,), b"NQ", "Symantec pcAnywhere"),
    Payload("coap-ping", (5683,), _hex("40000000"), "RFC 7252", _same(2, 2)),
    Payload("coap-core", (5683,), _COAP_CORE, "RFC 6690", _same(4, 4)),
    Payload("dht", (6881, 6882, 6883, 51413), _DHT, "BEP 5", _marked(_DHT, b"1:t4:", width=4)),
    Payload("afs", tuple(range(7000, 7008)), bytes(20) + _hex("0d010000" "00000000"),
            "Rx protocol", _same(0, 4)),
    Payload("gamespy", (7778, 23_000), b"\\info\\", "GameSpy query protocol"),
    Payload("ubiquiti", (10_001,), _hex("01000000"), "Ubiquiti discovery"),
    Payload("memcached", (11_211,), bytes(4) + words(1, 0) + b"version\r\n",
            "memcached protocol.txt", _same(0, 2)),
    Payload("raknet", (19_132, 19_133), _RAKNET, "RakNet unconnected ping", _same(1, 8)),
    Payload("mountd", (20_048,), rpc_null(100_005, 3), "RFC 1813", _same(0, 4)),
    Payload("minecraft-query", (25_565,), _hex("fefd0900000001"), "GameSpy 4 handshake"),
    Payload("steam", tuple(range(27_015, 27_021)), b"\xff\xff\xff\xffTSource Engine Query\0",
            "Valve A2S_INFO"),
    Payload("doom3", (27_666,), _DOOM, "Doom 3 getInfo", _marked(_DOOM, b"getInfo\0", width=4)),
    Payload("quake3", (27_960, 27_961, 30_720, 44_400), _QUAKE, "Quake III getinfo",
            _marked(_QUAKE, b"getinfo ", width=8, digits=True)),
    Payload("lantronix", (30_718,), _hex("000000f6"), "Lantronix configuration query"),
    Payload("ethernet-ip", (44_818,), _hex("63") + bytes(23), "CIP volume 2 section 2-4.2",
            _same(12, 8)),
    Payload("bacnet", (47_808,), _hex("810a0011" "0104" "0005010c" "0c023fffff" "194b"),
            "ASHRAE 135 annex J"),
    # It answers nobody whose key it doesn't know, and drops this at the price of one hash.
    Payload("wireguard", (51_820,), b"\x01" + bytes(147), "WireGuard handshake"),
    Payload("mumble", (64_738,), bytes(12), "Mumble ping", _same(4, 8)),
)

#: Asked of ports that nobody in the table has.
UNKNOWN: Final = (0, 1)


def _by_port() -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    for number, payload in enumerate(PAYLOADS):
        for port in payload.ports:
            found[port] = (*found.get(port, ()), number)
    return found


BY_PORT: Final = _by_port()
"""Port -> places in `PAYLOADS`, in the order of the tries."""
