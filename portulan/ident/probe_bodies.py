"""What probes say: builders, where hexadecimal alone would hide it.

Every body only asks: no login, no write, nothing that lasts.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

HOST: Final = b"{host}"
"""Stands in bodies for the target as a client would write it: name or address, and port."""
CONTACT: Final = b"{contact}"
"""Stands where a protocol has room to say who may be asked about us."""
AGENT: Final = "Mozilla/5.0 (compatible; Portulan{contact})"
"""Few servers turn away what calls itself so, and their logs say who it was."""


def lines(*texts: str) -> bytes:
    """Return lines ended by CRLF, and an empty one behind them."""
    return "\r\n".join((*texts, "", "")).encode()


def http_get(path: str, *headers: str) -> bytes:
    """Return an HTTP/1.1 request that lets the server close (RFC 9112 section 9.6)."""
    return lines(
        f"GET {path} HTTP/1.1", "Host: {host}", f"User-Agent: {AGENT}", "Accept: */*",
        *headers, "Connection: close",
    )


def http2_get() -> bytes:
    """Return preface, SETTINGS and a GET of `/` (RFC 9113 section 3.4, RFC 7541 appendix A)."""
    block = b"\x82\x86\x84\x41\x09localhost"
    request = struct.pack(">I", len(block))[1:] + b"\1\5" + struct.pack(">I", 1) + block
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + request


def ber(tag: int, *parts: bytes) -> bytes:
    """Return one BER value (X.690 section 8.1)."""
    body = b"".join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + body


def ldap_root(number: int = 2) -> bytes:
    """Return an anonymous bind and a search of the root DSE (RFC 4511, RFC 4512 section 5.1)."""
    bind = ber(0x30, b"\x02\x01\x01", ber(0x60, b"\x02\x01\x03", ber(0x04), ber(0x80)))
    wanted = (b"vendorName", b"vendorVersion", b"supportedLDAPVersion", b"namingContexts",
              b"supportedControl", b"dnsHostName", b"isGlobalCatalogReady", b"objectClass",
              b"structuralObjectClass", b"forestFunctionality", b"*", b"+")
    search = ber(
        0x63, ber(0x04), b"\x0a\x01\x00" b"\x0a\x01\x00" b"\x02\x01\x00" b"\x02\x01\x00"
        b"\x01\x01\x00", ber(0x87, b"objectClass"), ber(0x30, *(ber(0x04, w) for w in wanted)))
    return bind + ber(0x30, bytes([2, 1, number]), search)


def dns_query(name: str, kind: int, group: int = 1, *, stream: bool = False) -> bytes:
    """Return a DNS query, over TCP behind its length (RFC 1035 section 4.2.2)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    query = struct.pack(">6H", 0x1234, 0, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, group)
    return struct.pack(">H", len(query)) + query if stream else query


def smb_negotiate() -> bytes:
    """Return an SMB1 negotiation that also offers SMB2 ([MS-SMB2] section 3.2.4.2.2.1)."""
    dialects = b"".join(b"\x02" + text + b"\0" for text in (
        b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"))
    head = b"\xffSMB\x72" + bytes(4) + b"\x18\x53\xc8" + bytes(12) + b"\xff\xff" + bytes(6)
    body = head + b"\0" + struct.pack("<H", len(dialects)) + dialects
    return struct.pack(">I", len(body)) + body


def smb_challenge() -> bytes:
    """Return an SMB2 negotiation and a session's first step, which NTLM answers by its challenge.

    No name and no password is in it: nobody logs in ([MS-SMB2] 2.2.3, 2.2.5, [MS-NLMP] 2.2.1.1).
    """
    def framed(command: int, number: int, body: bytes) -> bytes:
        header = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1, 0, command, 31, 0, 0, number,
                             0xFEFF, 0, 0, bytes(16))
        return struct.pack(">I", len(header) + len(body)) + header + body

    dialects = struct.pack("<HH", 0x0202, 0x0210)
    negotiate = struct.pack("<HHHHI16sQ", 36, 2, 1, 0, 0, b"portulan" * 2, 0) + dialects
    asked = b"NTLMSSP\0" + struct.pack("<II", 1, 0xA2088207) + bytes(16) + b"\x06\x01" + bytes(5) \
        + b"\x0f"
    kinds = ber(0xA0, ber(0x30, ber(6, bytes.fromhex("2b06010401823702020a"))))
    token = ber(0x60, ber(6, bytes.fromhex("2b0601050502")), ber(0xA0, ber(
        0x30, kinds, ber(0xA2, ber(4, asked)))))
    setup = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0) + token
    return framed(0, 0, negotiate) + framed(1, 1, setup)


def tpkt(body: bytes) -> bytes:
    """Return an ISO transport packet (RFC 1006 section 6)."""
    return struct.pack(">BBH", 3, 0, len(body) + 4) + body


def rdp_open() -> bytes:
    """Return a connection request that offers TLS and CredSSP ([MS-RDPBCGR] 2.2.1.1)."""
    return tpkt(bytes.fromhex("0ee000000000000100080003000000"))


def s7_open() -> bytes:
    """Return a connection request to slot 2 of rack 0 (RFC 905 section 13.3)."""
    return tpkt(bytes.fromhex("11e00000001400c1020100c2020102c0010a"))


def rpc_null(program: int, version: int, *, stream: bool = True) -> bytes:
    """Return a call of procedure 0 (RFC 5531 section 9), over TCP as one record."""
    call = struct.pack(">10I", 0x504F5254, 0, 2, program, version, 0, 0, 0, 0, 0)
    return struct.pack(">I", 0x80000000 | len(call)) + call if stream else call


def mongo_build_info() -> bytes:
    """Return OP_MSG with `buildInfo`, which needs no user (MongoDB wire protocol)."""
    document = b"\x10buildInfo\0\1\0\0\0\x02$db\0\6\0\0\0admin\0\0"
    body = b"\0\0\0\0\0" + struct.pack("<I", len(document) + 4) + document
    return struct.pack("<4i", len(body) + 16, 1, 0, 2013) + body


def mongo_query() -> bytes:
    """Return OP_QUERY with `isMaster`, which servers before 3.6 know."""
    document = b"\x10isMaster\0\1\0\0\0\0"
    body = (bytes(4) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1)
            + struct.pack("<I", len(document) + 4) + document)
    return struct.pack("<4i", len(body) + 16, 2, 0, 2004) + body


def tds_prelogin() -> bytes:
    """Return a PRELOGIN without login ([MS-TDS] section 2.2.6.5)."""
    options = bytes.fromhex("00001500060100 1b000102001c000c0300280004ff".replace(" ", ""))
    values = bytes.fromhex("110000000000" "02") + b"MSSQLServer\0" + bytes(4)
    body = options + values
    return struct.pack(">BBHHBB", 0x12, 1, len(body) + 8, 0, 0, 0) + body


def tns_version() -> bytes:
    """Return a TNS connect that asks for the listener's version."""
    ask = b"(CONNECT_DATA=(COMMAND=version))"
    head = struct.pack(">HHHHHHHHHHHHI", 0x0136, 0x012C, 0, 0x0800, 0x7FFF, 0x7F08, 0, 1,
                       len(ask), 58, 0, 0, 0)
    body = head + bytes(50 - len(head)) + ask
    return struct.pack(">HHBBH", len(body) + 8, 0, 1, 0, 0) + body


def mqtt_connect() -> bytes:
    """Return CONNECT of version 3.1.1 with a clean session and no user (MQTT 3.1.1, 3.1)."""
    body = b"\0\4MQTT\4\2\0\x0f" + b"\0\x08portulan"
    return bytes([0x10, len(body)]) + body


def mqtt_subscribe() -> bytes:
    """Return SUBSCRIBE to the broker's own version topic."""
    body = b"\0\1\0\x13$SYS/broker/version\0"
    return bytes([0x82, len(body)]) + body


def nrpe_version() -> bytes:
    """Return NRPE's version query: packet version 2, checksum over the whole of it."""
    body = struct.pack(">HHIH", 2, 1, 0, 0) + b"_NRPE_CHECK".ljust(1024, b"\0") + bytes(2)
    return body[:4] + struct.pack(">I", zlib.crc32(body)) + body[8:]


def zabbix_version() -> bytes:
    """Return a request for the item `agent.version`."""
    key = b"agent.version"
    return b"ZBXD\1" + struct.pack("<II", len(key), 0) + key


def opcua_hello() -> bytes:
    """Return HEL (OPC UA part 6, 7.1.2.3)."""
    url = b"opc.tcp://localhost/"
    body = struct.pack("<6I", 0, 65536, 65536, 0, 0, len(url)) + url
    return b"HELF" + struct.pack("<I", len(body) + 8) + body


def firebird_connect() -> bytes:
    """Return op_connect that offers protocols 10 to 13, without a user."""
    offered = b"".join(
        struct.pack(">5I", version, 1, 0, 5, weight)
        for version, weight in ((10, 2), (0x800B, 4), (0x800C, 6), (0x800D, 8)))
    return struct.pack(">4I", 1, 19, 3, 1) + struct.pack(">I", 0) + struct.pack(
        ">2I", 4, 0) + offered


def cassandra_options() -> bytes:
    """Return OPTIONS of protocol 4 (native protocol v4, 4.1.3)."""
    return struct.pack(">BBHBI", 4, 0, 0, 5, 0)


def kafka_versions() -> bytes:
    """Return ApiVersions v0 (KIP-35)."""
    body = struct.pack(">hhih", 18, 0, 1, 8) + b"portulan"
    return struct.pack(">I", len(body)) + body


def git_upload_pack() -> bytes:
    """Return a request for a repository that is not there (gitprotocol-pack)."""
    body = b"git-upload-pack /portulan-asks-only\0host=localhost\0"
    return b"%04x" % (len(body) + 4) + body


def pptp_start() -> bytes:
    """Return Start-Control-Connection-Request (RFC 2637 section 2.1)."""
    return (struct.pack(">HHIHHHHIIHH", 156, 1, 0x1A2B3C4D, 1, 0, 0x0100, 0, 1, 1, 0, 0)
            + bytes(64) + b"portulan".ljust(64, b"\0"))


def netbios_session() -> bytes:
    """Return a session request to `*SMBSERVER` (RFC 1002 section 4.3.2)."""
    def coded(name: bytes) -> bytes:
        return b"\x20" + b"".join(
            bytes([65 + (c >> 4), 65 + (c & 15)]) for c in name.ljust(16)) + b"\0"

    body = coded(b"*SMBSERVER") + coded(b"PORTULAN")
    return struct.pack(">BBH", 0x81, 0, len(body)) + body


def msrpc_bind() -> bytes:
    """Return a bind to the endpoint mapper (C706 chapter 12)."""
    mapper = bytes.fromhex("0883afe11f5dc91191a408002b14a0fa") + struct.pack("<HH", 3, 0)
    ndr = bytes.fromhex("045d888aeb1cc9119fe808002b104860") + struct.pack("<I", 2)
    body = struct.pack("<HHIBxxx", 4280, 4280, 0, 1) + struct.pack("<HBx", 0, 1) + mapper + ndr
    return struct.pack("<4BIHHI", 5, 0, 11, 3, 0x10, len(body) + 16, 0, 1) + body


def minecraft_status() -> bytes:
    """Return handshake and status request of the Java edition."""
    shake = b"\0" + b"\xff\xff\xff\xff\x0f" + b"\x09localhost" + b"\x63\xdd" + b"\x01"
    return bytes([len(shake)]) + shake + b"\x01\0"


def bittorrent_handshake() -> bytes:
    """Return a handshake for a torrent that nobody has (BEP 3)."""
    return b"\x13BitTorrent protocol" + bytes(8) + b"portulan-asks-only-0" + b"-PO0001-000000000000"


def adb_connect() -> bytes:
    """Return CNXN of the Android debug bridge."""
    name = b"host::\0"
    return struct.pack("<6I", 0x4E584E43, 0x01000000, 4096, len(name), sum(name),
                       0x4E584E43 ^ 0xFFFFFFFF) + name


def bitcoin_version() -> bytes:
    """Return `version` of a node that takes no blocks; the checksum is not looked at first."""
    from hashlib import sha256

    body = (struct.pack("<iQq", 70015, 0, 0) + bytes(26) + bytes(26) + bytes(8)
            + b"\x0a/Portulan/" + struct.pack("<i?", 0, False))
    check = sha256(sha256(body).digest()).digest()[:4]
    return b"\xf9\xbe\xb4\xd9" + b"version".ljust(12, b"\0") + struct.pack("<I", len(body)) + (
        check + body)


def spice_link() -> bytes:
    """Return a link message for the main channel."""
    body = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
    return b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body


def distcc_compile() -> bytes:
    """Return the compilation of an empty file: a distcc daemon answers nothing else."""
    words = (b"cc", b"-c", b"portulan.c", b"-o", b"portulan.o")
    arguments = b"".join(b"ARGV%08x%s" % (len(word), word) for word in words)
    return b"DIST00000001ARGC%08x%sDOTI00000000" % (len(words), arguments)


def radius_ask() -> bytes:
    """Return Access-Request without user or password: it can only be refused (RFC 2865, 4.1)."""
    return b"\1\x01" + struct.pack(">H", 20) + bytes(range(16))


def sip_options(transport: str) -> bytes:
    """Return OPTIONS (RFC 3261 section 11)."""
    return lines(
        "OPTIONS sip:nobody@portulan.invalid SIP/2.0",
        f"Via: SIP/2.0/{transport} portulan.invalid;branch=z9hG4bK1;rport", "Max-Forwards: 70",
        "From: <sip:nobody@portulan.invalid>;tag=1", "To: <sip:nobody@portulan.invalid>",
        "Call-ID: 1@portulan.invalid", "CSeq: 1 OPTIONS", "Contact: <sip:nobody@portulan.invalid>",
        "Accept: application/sdp", "Content-Length: 0",
    )


def xmpp_open(kind: str) -> bytes:
    """Return the opening of a stream (RFC 6120 section 4.2)."""
    return (f"<?xml version='1.0'?><stream:stream xmlns='jabber:{kind}' "
            "xmlns:stream='http://etherx.jabber.org/streams' to='{host}' version='1.0'>").encode()
