"""What a service is asked, one table: body, usual ports, where it is defined.

The order is that of asking a port of which nothing is known: the likeliest and the harmless first.

>>> [probe.name for probe in usual(6379)]
['redis-ping']
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from . import probe_bodies as bodies
from .probe_bodies import CONTACT, HOST, dns_query, http_get, lines


@dataclass(frozen=True, slots=True)
class Probe:
    """One question.

    `usual_only` keeps it from ports that are not its own; `tls` makes it a TLS handshake; `body`
    may hold `HOST` and `CONTACT`, which `filled` replaces.
    """

    name: str
    body: bytes
    ports: tuple[int, ...] = ()
    source: str = ""
    transport: Literal["tcp", "udp"] = "tcp"
    usual_only: bool = False
    tls: bool = False
    elsewhere: bool = False
    """The answer comes from another port, as TFTP's does (RFC 1350 section 4)."""

    def filled(self, host: str, contact: str = "") -> bytes:
        """Return the body for a target, with whom to ask about it."""
        words = "".join(c for c in contact if c.isascii() and c.isprintable() and c not in "()")
        told = f"; {words}".encode() if words else b""
        return self.body.replace(HOST, host.encode("ascii", "ignore")).replace(CONTACT, told)


LISTEN: Final = Probe("", b"")
"""Says nothing: the service may speak first."""
TLS: Final = Probe("tls", b"", (
    443, 261, 448, 465, 563, 614, 636, 684, 695, 832, 853, 989, 990, 992, 993, 994, 995, 1311, 2376,
    2484, 3269, 4443, 4843, 5061, 5223, 5269, 5349, 5671, 5986, 6443, 6514, 6697, 7443, 8443, 8883,
    8531, 9001, 9443, 10250, 16993, 27015), "RFC 8446", tls=True)
HTTP: Final = Probe("http-get", http_get("/"), (
    80, 81, 88, 280, 443, 591, 593, 631, 777, 1080, 1311, 2375, 2376, 2379, 3000, 3128, 4000, 4040,
    4443, 5000, 5357, 5601, 5800, 5984, 5985, 5986, 6443, 7001, 7070, 7080, 7443, 7474, 8000, 8001,
    8008, 8009, 8080, 8081, 8082, 8086, 8088, 8090, 8118, 8123, 8180, 8200, 8222, 8443, 8500, 8834,
    8880, 8888, 8983, 9000, 9001, 9080, 9090, 9091, 9093, 9100, 9200, 9443, 9999, 10000, 10250,
    10255, 15672, 16992, 16993, 50000), "RFC 9112")

GREETERS: Final = frozenset({
    13, 17, 19, 21, 22, 23, 25, 37, 79, 105, 106, 109, 110, 119, 143, 194, 220, 433, 465, 563, 587,
    873, 990, 992, 993, 995, 1300, 2000, 2121, 2222, 2323, 2525, 2605, 2628, 2947, 3306, 3307, 3690,
    4190, 4222, 4949, 5038, 5222, 5900, 5901, 5902, 5903, 6600, 7634, 8021, 10011, 10809, 33060,
})
"""Ports whose usual services speak first: their greeting is waited for longer."""
PRINTERS: Final = range(9_100, 9_108)
"""Printers put on paper what comes to these: they are only listened to."""

_hex = bytes.fromhex


def _tcp(name: str, body: bytes, ports: Iterable[int], source: str, *, usual: bool = False
         ) -> Probe:
    return Probe(name, body, tuple(ports), source, usual_only=usual)


TABLE: Final[tuple[Probe, ...]] = (
    HTTP, TLS,
    _tcp("lines", b"\r\n\r\n", (70, 79, 7, 512, 513, 514), "text protocols"),
    _tcp("postgresql-ssl", _hex("0000000804d2162f"), (5432, 5433, 6432, 26257), "PostgreSQL 55.7"),
    _tcp("version", b"version\r\n", (11211, 4730), "memcached protocol.txt, Gearman"),
    _tcp("smb", bodies.smb_negotiate(), (445, 139), "[MS-SMB2]"),
    _tcp("redis-ping", b"PING\r\n", (6379, 6380, 16379, 26379), "Redis protocol"),
    _tcp("mqtt", bodies.mqtt_connect(), (1883, 8883, 1884), "MQTT 3.1.1"),
    _tcp("rdp", bodies.rdp_open(), (3389, 3388), "[MS-RDPBCGR]"),
    _tcp("ldap", bodies.ldap_root(), (389, 636, 3268, 3269, 1389, 10389), "RFC 4511"),
    _tcp("amqp", b"AMQP\0\0\x09\1", (5672, 5671), "AMQP 0-9-1"),
    _tcp("socks5", _hex("050100"), (1080, 9050, 9150, 1081), "RFC 1928"),
    _tcp("dns-version", dns_query("version.bind", 16, 3, stream=True), (53, 853), "RFC 4892"),
    _tcp("mongodb", bodies.mongo_build_info(), (27017, 27018, 27019, 28017), "MongoDB"),
    _tcp("irc", b"NICK portulan\r\nUSER portulan 0 * :portulan\r\n", (
        194, 529, 6660, 6665, 6666, 6667, 6668, 6669, 6697, 7000), "RFC 2812"),
    _tcp("x11", _hex("6c000b000000000000000000"), range(6000, 6010), "X11 protocol"),
    _tcp("stats", b"stats\r\n", (11300,), "beanstalkd"),
    _tcp("zookeeper", b"srvr\n", (2181, 2182), "ZooKeeper"),
    _tcp("zabbix", bodies.zabbix_version(), (10050, 10051), "Zabbix protocol"),
    _tcp("xmpp", bodies.xmpp_open("client"), (5222, 5223, 5269, 5280), "RFC 6120"),
    _tcp("sip", bodies.sip_options("TCP"), (5060, 5061), "RFC 3261"),
    _tcp("rtsp", lines("OPTIONS * RTSP/1.0", "CSeq: 1"), (554, 8554, 7070, 5554), "RFC 2326"),
    _tcp("rpc", bodies.rpc_null(100_000, 2), (111,), "RFC 5531"),
    _tcp("nrpe", bodies.nrpe_version(), (5666,), "NRPE"),
    _tcp("openvpn", _hex("000e38") + b"portulan" + bytes(5), (1194, 443), "OpenVPN"),
    _tcp("git", bodies.git_upload_pack(), (9418,), "gitprotocol-pack"),
    _tcp("mssql", bodies.tds_prelogin(), (1433, 1434, 2433), "[MS-TDS]"),
    _tcp("oracle", bodies.tns_version(), (1521, 1522, 1526, 2483), "Oracle Net"),
    _tcp("cassandra", bodies.cassandra_options(), (9042, 9142), "CQL native protocol"),
    _tcp("kafka", bodies.kafka_versions(), (9092, 9093, 9094), "Kafka protocol"),
    _tcp("firebird", bodies.firebird_connect(), (3050,), "Firebird"),
    _tcp("opcua", bodies.opcua_hello(), (4840, 4843, 48010), "OPC UA part 6"),
    _tcp("ajp13", _hex("123400010a"), (8009,), "AJPv13 CPing"),
    _tcp("h2", bodies.http2_get(), (50051, 8050), "RFC 9113"),
    _tcp("stun", _hex("000100002112a442") + b"portulanasks", (3478, 3479, 5349), "RFC 8489"),
    _tcp("stomp", b"CONNECT\naccept-version:1.2\nhost:localhost\n\n\0", (61613, 61614),
         "STOMP 1.2"),
    _tcp("distcc", bodies.distcc_compile(), (3632,), "distcc protocol 1"),
    _tcp("help", b"HELP\r\n", (), "text protocols"),
    _tcp("bolt", _hex("6060b017") + _hex("00000404 00000004 00000003 00000002"), (7687,), "Bolt"),
    _tcp("epmd", _hex("00016e"), (4369,), "Erlang distribution protocol"),
    _tcp("jrmp", _hex("4a524d4900024b"), (1099, 1098), "Java RMI"),
    _tcp("jdwp", b"JDWP-Handshake", (5005, 8000, 8787), "JDWP"),
    _tcp("msrpc", bodies.msrpc_bind(), (135, 593), "C706"),
    _tcp("netbios-ssn", bodies.netbios_session(), (139,), "RFC 1002"),
    _tcp("mysqlx", _hex("0100000001"), (33060,), "X protocol"),
    _tcp("nfs", bodies.rpc_null(100_003, 3), (2049,), "RFC 1813"),
    _tcp("icap", lines("OPTIONS icap://localhost/ ICAP/1.0", "Host: localhost"), (1344,),
         "RFC 3507"),
    _tcp("nut", b"VER\n", (3493,), "NUT network protocol"),
    _tcp("ident", b"1, 1\r\n", (113,), "RFC 1413"),
    _tcp("minecraft", bodies.minecraft_status(), (25565,), "Java edition protocol"),
    _tcp("modbus", _hex("000100000005002b0e0100"), (502,), "Modbus 6.21"),
    _tcp("spamd", b"PING SPAMC/1.2\r\n\r\n", (783,), "SpamAssassin spamd protocol"),
    _tcp("tinc", b"0 portulan 17.7\n", (655,), "tinc 1.0 protocol"),
    _tcp("guacd", b"6.select,3.vnc;", (4822,), "Guacamole protocol"),
    _tcp("printer", b"\4portulan\n", (515,), "RFC 1179"),
    _tcp("sane", _hex("00000000 01000003 00000000"), (6566,), "SANE network protocol"),
    _tcp("pptp", bodies.pptp_start(), (1723,), "RFC 2637"),
    _tcp("spice", bodies.spice_link(), (5930,), "SPICE protocol"),
    _tcp("dbus", b"\0AUTH\r\n", (), "D-Bus specification"),
    _tcp("gdb", b"$qSupported#37", (1234, 2345, 2159), "GDB remote protocol"),
    _tcp("s7", bodies.s7_open(), (102,), "RFC 1006"),
    _tcp("ethernet-ip", _hex("63") + bytes(23), (44818,), "CIP volume 2"),
    _tcp("bittorrent", bodies.bittorrent_handshake(), (6881, 51413), "BEP 3"),
    _tcp("rtmp", b"\x03" + bytes(1536), (1935,), "RTMP 1.0"),
    # These ask somebody at a screen, or are for machines that take strangers ill.
    _tcp("adb", bodies.adb_connect(), (5555,), "Android debug bridge", usual=True),
    _tcp("teamviewer", _hex("1724") + b"\x0a\x20" + bytes(16), (5938,), "seen", usual=True),
    _tcp("bitcoin", bodies.bitcoin_version(), (8333,), "Bitcoin P2P", usual=True),
    _tcp("couchbase", _hex("800b") + bytes(22), (11210,), "memcached binary", usual=True),
    _tcp("iec-104", _hex("680443000000"), (2404,), "IEC 60870-5-104", usual=True),
    _tcp("fins", b"FINS" + _hex("0000000c0000000000000000 00000000"), (9600,), "FINS/TCP",
         usual=True),
)
DATAGRAMS: Final[tuple[Probe, ...]] = (
    Probe("radius", bodies.radius_ask(), (1812, 1645, 1813, 1646), "RFC 2865", "udp"),
)
"""Questions to UDP ports beside those that a scan asks them."""
MUTE: Final = {
    ("udp", 51820): "WireGuard answers nobody whose key it does not know",
    ("udp", 1194): "OpenVPN with tls-auth or tls-crypt answers nobody without its key",
    ("udp", 4500): "IPsec behind NAT answers only those it is configured for",
    ("udp", 514): "syslog takes messages and never answers",
    ("udp", 162): "SNMP traps are taken and never answered",
    ("udp", 2055): "NetFlow is taken and never answered",
    ("udp", 4739): "IPFIX is taken and never answered",
    ("udp", 6343): "sFlow is taken and never answered",
    ("udp", 67): "DHCP answers by broadcast, or only on its own link",
    ("udp", 69): "TFTP says nothing of files that some servers do not have",
    ("tcp", 9100): "a printer puts on paper what it is sent, so it was only listened to",
    ("tcp", 514): "a remote shell waits for a login, which was not tried",
}
"""Why usual services of a port may be silent by design."""
BY_NAME: Final = {probe.name: probe for probe in TABLE}


def usual(port: int, table: Iterable[Probe] = TABLE) -> list[Probe]:
    """Return the probes for a port's usual services, those with few ports first."""
    return sorted((p for p in table if port in p.ports), key=lambda probe: len(probe.ports))


def order(port: int | None, table: Iterable[Probe] = TABLE) -> list[Probe]:
    """Return all probes for a port in the order of asking."""
    if port in PRINTERS:
        return []
    table = tuple(table)
    first = usual(port, table) if port is not None else []
    return first + [p for p in table if p not in first and not p.usual_only]
