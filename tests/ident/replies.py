"""One whole reply of each protocol that is told by its shape, made after its specification."""

from __future__ import annotations

from portulan.ident.probe_bodies import ber

TNS = b"(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189))"
UDP = {"wireguard", "l2tp", "quic", "tftp", "rip", "nat-pmp", "coap", "mumble"}
REPLIES = {
    "oracle-tns": (len(TNS) + 12).to_bytes(2, "big") + b"\0\0\x04\0\0\0\x22\0\0\x30" + TNS,
    "ms-sql-s": bytes.fromhex("0401002b0000010000001a00060100200001020021000103002200000400220001ff"
                              "0f0007d0000002") + b"\0\0",
    "mongodb": (44).to_bytes(4, "little") + bytes(8) + b"\x01\0\0\0" + b"\x02version\0\x06\0\0\0"
               b"7.0.5\0" + bytes(9),
    "cassandra": b"\x84\0\0\x01\x06\0\0\0\x04abcd",
    "kafka": b"\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\0\0\x0c",
    "clickhouse": b"\0\x0aClickHouse\x18\x03", "mysqlx": b"\x05\0\0\0\x0b\x08\x05\x1a\0",
    "bolt": b"\0\0\x04\x05", "drda": b"\0\x08\xd0\x02\0\x01\0\x02",
    "firebird": b"\0\0\0\x03\xff\xff\x80\x0d\0\0\0\x01\0\0\0\x03",
    "amqp": b"\x01\0\0\0\0\0\x40\0\x0a\0\x0a\0\x09\0\0\0\x30\x07productS\0\0\0\x08RabbitMQ"
            b"\x07versionS\0\0\0\x073.12.14",
    "gearman": b"\0RES\0\0\0\x11\0\0\0\0", "memcached": b"\x81\x0b" + bytes(9) + b"\x05" + bytes(12)
                 + b"1.6.9",
    "redis": b"$90\r\n# Server\r\nredis_version:7.2.4\r\n",
    "rpcbind": b"\x80\0\0\x18\0\0\0\x07\0\0\0\x01" + bytes(16),
    "msrpc": b"\x05\0\x0c\x03\x10\0\0\0\x18\0\0\0\x01\0\0\0\xb8\x10\xb8\x10\0\0\0\0",
    "netbios-ssn": b"\x83\0\0\x01\x82",
    "netbios-ns": b"\0\x01\x84\0\0\0\0\x01\0\0\0\0\x20CK" + b"A" * 30 + b"\0\0\x21\0\x01"
                 + bytes(20),
    "x11": b"\x01\0\x0b\0\0\0\x20\0" + bytes(32) + b"The X.Org Foundation" + bytes(20),
    "spice": b"REDQ\x02\0\0\0\x02\0\0\0", "adb": b"CNXN\0\0\0\x01\0\x10\0\0",
    "ajp13": b"AB\0\x01\x09", "git": b"0032ERR access denied or repository not exported: /\n",
    "epmd": b"\0\0\x11\x11name rabbit at port 25672\n", "iso-tsap": bytes.fromhex(
        "0300001611d00001000200c0010ac1020100c2020102"),
    "s7comm": bytes.fromhex("0300001b02f080320300000000000800000000f0000001000100f0"),
    "modbus": bytes.fromhex("000100000003018301"),
    "bacnet": bytes.fromhex("810a000e0100300c0c023fffff19"),
    "ethernetip": b"\x63\0\x02\0" + bytes(20) + b"\0\0",
    "dnp3": bytes.fromhex("056405000100020000"),
    "iec-104": bytes.fromhex("68040b000000"), "fins": b"FINS\0\0\0\x10\0\0\0\x01",
    "knx": b"\x06\x10\x02\x02\0\x08\0\0", "ipmi": bytes.fromhex("0600ff07000000000000000000"),
    "nrpe": b"\0\x02\0\x02\x01\x02\x03\x04\0\0NRPE v4.1.0" + bytes(30),
    "pptp": b"\0\x9c\0\x01\x1a\x2b\x3c\x4d\0\x02" + bytes(18) + b"gate".ljust(64, b"\0")
            + b"linux".ljust(64, b"\0"),
    "l2tp": b"\xc8\x02\0\x0c" + bytes(8),
    "isakmp": b"cookiesI" + b"cookiesR" + b"\x01\x10\x02\0" + bytes(4) + b"\0\0\0\x20abcd",
    "stun": b"\x01\x01\0\x0c\x21\x12\xa4\x42" + bytes(12) + b"\x80\x22\0\x08Coturn-4",
    "dhcps": b"\x02\x01\x06" + bytes(233) + b"\x63\x82\x53\x63\x35\x01\x02",
    "wireguard": b"\x02\0\0\0" + bytes(88), "dtls": b"\x16\xfe\xff\0\0" + bytes(8),
    "quic": b"\xc0\0\0\0\0\x04abcd\0\0\0\0\x01", "tftp": b"\0\x05\0\x01File not found\0",
    "rip": b"\x02\x02\0\0\0\x02" + bytes(18), "nat-pmp": b"\0\x80\0\0" + bytes(8),
    "slp": b"\x02\x02\0\0\x10" + bytes(11), "xdmcp": b"\0\x01\0\x05\0\x04abcd",
    "coap": b"\x60\x45\0\x01\xff", "mdns": b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x05_http" + bytes(8),
    "socks4": b"\0\x5a" + bytes(6),
    "wsdd": b'<?xml version="1.0"?><e xmlns="http://schemas.xmlsoap.org/ws/2005/04/discovery"/>',
    "mumble": b"\0\x01\x04\0" + bytes(20),
    "minecraft": b'\x40\0\x3e{"version":{"name":"1.20.4","protocol":765}}',
    "steam": b"\xff\xff\xff\xffI\x11toy\0", "quake3": b"\xff\xff\xff\xffstatusResponse\n",
    "bitcoin": b"\xf9\xbe\xb4\xd9version\0\0\0\0\0" + bytes(9) + b"/Satoshi:26.0.0/",
    "bittorrent-dht": b"d1:rd2:id20:", "bittorrent-tracker": b"d14:failure reason3:noee",
    "rtmp": b"\x03" + bytes(1536), "icap": b"ICAP/1.0 200 OK\r\n",

    "spamd": b"SPAMD/1.5 0 PONG\r\n", "guacd": b"4.args,13.VERSION_1_1_0,8.hostname;",
    "tinc": b"0 office 17.7\n", "printer": b"lpd: portulan: unknown printer\n",
    "gdb": b"+$PacketSize=3fff;QPassSignals+#c8", "qmp": b'{"QMP": {"version": {"qemu": {}}}}\r\n',
    "svdrp": b"220 vdr SVDRP VideoDiskRecorder 2.6.0; Sat Nov 21; UTF-8\r\n",
    "openwire": b"\0\0\1\x40\x01ActiveMQ\0\0\0\x0c\1\0\0", "zmtp": b"\xff" + bytes(8) + b"\x7f",
    "barrier": b"\0\0\0\x0bBarrier\0\x01\0\x06", "sane-port": b"\0\0\0\0\1\0\0\3",
    "ident": b"22 , 9 : ERROR : X\r\n",
    "asterisk-ami": b"Asterisk Call Manager/7.0.3\r\n", "teamspeak-query": b"TS3\n\r",
    "freeswitch-event": b"Content-Type: auth/request\n\n", "hddtemp": b"|/dev/sda|X|30|C|",
    "managesieve": b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n', "dbus": b"REJECTED EXTERNAL\r\n",
    "jetdirect": b"@PJL INFO ID\r\n", "gopher": b"1Files\t/f\thost\t70\r\n",
    "finger": b"Login: root  \t\tName: root\r\n", "zookeeper": b"imok",
    "daytime": b"Monday, January 1, 2024 10:00:00-UTC\r\n", "nessus": b"< OTP/2.0 >\n",
    "elasticsearch-transport": b"This is not an HTTP port", "cvspserver": b"cvs [pserver aborted]",
    "distccd": b"DONE00000001", "nut": b"ERR UNKNOWN-COMMAND\n",
    "ganglia": b'<?xml version="1.0"?>\n<!DOCTYPE GANGLIA_XML [',
    "perforce": b"\x11\x0a\x01\x01\0\0\0xfiles\0",
}
NTLM = (b"NTLMSSP\0\x02\0\0\0" + bytes(28) + b"\x0c\0\x0c\0\x38\0\0\0\x06\x01\0\0\0\0\0\x0f"
        + b"\x01\0\x06\0T\0O\0Y\0" + bytes(4))
OTHERS = [
    # A root DSE, an SNMP answer with a description, one with an engine.
    bytes.fromhex("3030020102642b040030273025040b6f626a656374436c6173733116040374"
                  "6f70040f4f70656e4c444150726f6f74445345300c02010265070a010004000400"),
    bytes.fromhex("302b02010104067075626c6963a21e02010102010002010030133011"
                  "06082b060102010101000405546f7920317e"),
    ber(0x30, b"\x02\x01\x03", ber(0x30), ber(4, ber(0x30, ber(4, bytes.fromhex(
        "80001f880401020304")), b"\x02\x01\x01")), ber(0x30)),
    b"\0\0\0\x90\xfeSMB" + bytes(60) + b"\x41\0\x01\0\x11\x03\0\0" + b"A" * 16 + bytes(40) + NTLM,
    b"E\0\0\0\x40SFATAL\0VFATAL\0C0A000\0Munsupported\0Fpostmaster.c\0L1\0RProcess\0\0",
    b"\x16\x82\0\x01\0\0\0\0\0\0\0\x1a" + b'version="ntpd 4.2.8p15@1"\r',
    b"ZBXD\x01\x06\0\0\0\0\0\0\x006.0.14", b"\t", bytes.fromhex("0300000902f0802180"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Jenkins: 2.3\r\n\r\n"
    b"1e\r\ntoy_build_info{version=\"1.2.3\"\r\n4\r\n} 1\n\r\n0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nDate: x\r\n\r\n<meta name=\"generator\" content=\"Toy 1.2\">",
    b'HTTP/1.0 200 OK\r\n\r\n{"etcdserver":"3.4.23"}', b"Tarantool 2.6.0 (Binary) x\n",
    b'INFO {"server_id":"x","version":"2.9.10"}\r\n', b"munins node on h version: 2.0.73\n",
    b"\x90\x03\0\x01\0\x31\x2d\0\x13$SYS/broker/versionmosquitto version 2.0.11",
    b":h 002 me :Your host is h, running version ngircd-26.1\r\n",
]
"""Replies of protocols that are told by their own readers, not by a shape."""
