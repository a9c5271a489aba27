"""Builders of the datagrams in `payloads`, where hexadecimal alone would hide what they say.

Ids are left zero: the kind writes its cookie over them.
"""

from __future__ import annotations

from typing import Final

#: Octets that Initial packets of QUIC and RDP's UDP opening must fill.
QUIC_LEAST: Final = 1_200
RDP_LEAST: Final = 1_232
#: The first octet of an INTEGER whose other three are the id: positive, and never shortened.
_POSITIVE: Final = b"\x12"

_INTEGER, _OCTETS, _NULL, _OID, _ENUM, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x0A, 0x30


def words(*values: int, width: int = 2) -> bytes:
    """Return numbers in network order, `width` octets each."""
    return b"".join(value.to_bytes(width, "big") for value in values)


# -- names -------------------------------------------------------------------------------------


def dns_query(name: str, kind: int, *, group: int = 1, flags: int = 0) -> bytes:
    """Return a DNS query with one question (RFC 1035 section 4.1)."""
    labels = b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return words(0, flags, 1, 0, 0, 0) + labels + b"\0" + words(kind, group)


def node_status() -> bytes:
    """Return a NetBIOS node status request of `*` (RFC 1002 section 4.2.17)."""
    return dns_query("CK" + "A" * 30, 0x21)


# -- BER ---------------------------------------------------------------------------------------


def ber(tag: int, *parts: bytes) -> bytes:
    """Return one BER value with a definite length below 65,536 (X.690 section 8.1)."""
    body = b"".join(parts)
    size = len(body)
    length = bytes([size]) if size < 128 else b"\x82" + words(size)
    return bytes([tag]) + length + body


def integer(value: int, tag: int = _INTEGER) -> bytes:
    """Return a BER INTEGER of a number that is not negative."""
    return ber(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def marked_integer() -> bytes:
    """Return a BER INTEGER of four octets, the last three of which are an id."""
    return ber(_INTEGER, _POSITIVE + bytes(3))


def snmp_get(version: int) -> bytes:
    """Return a Get of sysDescr.0 by community `public` (RFC 1157 section 4.1.2, RFC 3416)."""
    variable = ber(_SEQUENCE, ber(_OID, bytes.fromhex("2b06010201010100")), ber(_NULL))
    request = ber(
        0xA0, marked_integer(), integer(0), integer(0), ber(_SEQUENCE, variable))
    return ber(_SEQUENCE, integer(version), ber(_OCTETS, b"public"), request)


def snmp_v3_discovery() -> bytes:
    """Return the request that asks for an engine's id (RFC 3414 section 4)."""
    empty = ber(_OCTETS)
    header = ber(
        _SEQUENCE, marked_integer(), integer(65_507), ber(_OCTETS, b"\x04"), integer(3))
    security = ber(_SEQUENCE, empty, integer(0), integer(0), empty, empty, empty)
    request = ber(0xA0, integer(1), integer(0), integer(0), ber(_SEQUENCE))
    scoped = ber(_SEQUENCE, empty, empty, request)
    return ber(_SEQUENCE, integer(3), header, ber(_OCTETS, security), scoped)


def cldap_root() -> bytes:
    """Return a search of the root entry for one small attribute (RFC 1798, RFC 4511)."""
    search = ber(
        0x63, ber(_OCTETS), integer(0, _ENUM), integer(0, _ENUM), integer(0), integer(0),
        ber(0x01, b"\0"), ber(0x87, b"objectClass"),
        ber(_SEQUENCE, ber(_OCTETS, b"supportedLDAPVersion")),
    )
    return ber(_SEQUENCE, marked_integer(), search)


def kerberos_as_request() -> bytes:
    """Return an AS-REQ for a realm that is not there: any KDC answers an error (RFC 4120)."""
    names = ber(_SEQUENCE, ber(0x1B, b"krbtgt"), ber(0x1B, b"PORTULAN"))
    body = ber(
        _SEQUENCE,
        ber(0xA0, ber(0x03, bytes(5))), ber(0xA2, ber(0x1B, b"PORTULAN")),
        ber(0xA3, ber(_SEQUENCE, ber(0xA0, integer(2)), ber(0xA1, names))),
        ber(0xA5, ber(0x18, b"19700101000000Z")), ber(0xA7, integer(1)),
        ber(0xA8, ber(_SEQUENCE, integer(18), integer(17), integer(23))),
    )
    return ber(0x6A, ber(
        _SEQUENCE, ber(0xA1, integer(5)), ber(0xA2, integer(10)), ber(0xA4, body)))


# -- tunnels and keys --------------------------------------------------------------------------


def _ike(following: int, version: int, exchange: int, flags: int, *, body: bytes) -> bytes:
    head = bytes(16) + bytes([following, version, exchange, flags]) + bytes(4)
    return head + words(28 + len(body), width=4) + body


def ike_v1() -> bytes:
    """Return a main mode offer of AES-256 and 3DES with a shared key (RFC 2409 section 5)."""
    rest = bytes.fromhex("80020002 80030001 80040002 800b0001 800c7080")
    aes = bytes.fromhex("80010007 800e0100") + rest
    triple = bytes.fromhex("80010005") + rest
    first = b"\3\0" + words(8 + len(aes)) + b"\1\1\0\0" + aes
    second = b"\0\0" + words(8 + len(triple)) + b"\2\1\0\0" + triple
    proposal = b"\0\0" + words(8 + len(first + second)) + b"\1\1\0\2" + first + second
    association = b"\0\0" + words(12 + len(proposal)) + words(1, 1, width=4) + proposal
    return _ike(1, 0x10, 2, 0, body=association)


def ike_v2() -> bytes:
    """Return an IKE_SA_INIT for AES-256, SHA-256 and X25519 (RFC 7296 section 1.2)."""
    transforms = bytes.fromhex(
        "0300000c 0100000c 800e0100" "03000008 02000005" "03000008 0300000c" "00000008 0400001f")
    proposal = b"\0\0" + words(8 + len(transforms)) + b"\1\1\0\4" + transforms
    association = b"\x22\0" + words(4 + len(proposal)) + proposal
    # 9 is the base point of X25519: a valid share whose secret nobody uses.
    exchange = b"\x28\0" + words(40, 31, 0) + b"\x09" + bytes(31)
    nonce = b"\0\0" + words(36) + bytes(range(32))
    return _ike(0x21, 0x20, 34, 0x08, body=association + exchange + nonce)


def l2tp_open() -> bytes:
    """Return a Start-Control-Connection-Request (RFC 2661 section 6.1)."""
    def pair(kind: int, value: bytes) -> bytes:
        return words(0x8000 | 6 + len(value), 0, kind) + value

    pairs = (
        pair(0, words(1)) + pair(2, b"\1\0") + pair(3, words(3, width=4))
        + pair(7, b"portulan") + pair(9, words(0))
    )
    return words(0xC802, 12 + len(pairs), 0, 0, 0, 0) + pairs


def quic_unknown_version() -> bytes:
    """Return a long header of a version nobody speaks (RFC 9000 sections 6 and 15)."""
    head = b"\xc0" + bytes.fromhex("1a2a3a4a") + b"\x08" + bytes(8) + b"\x08" + bytes(8)
    return head + bytes(QUIC_LEAST - len(head))


def dtls_hello() -> bytes:
    """Return a DTLS 1.2 ClientHello without cookie (RFC 6347 section 4.2.1)."""
    def extension(kind: int, body: bytes) -> bytes:
        return words(kind, len(body)) + body

    suites = words(0xC02B, 0xC02F, 0xC02C, 0xC030, 0x009C, 0xC0A8, 0x002F)
    extensions = (
        extension(10, words(4, 29, 23)) + extension(11, b"\1\0")
        + extension(13, words(6, 0x0403, 0x0804, 0x0401)) + extension(23, b"")
    )
    hello = (
        b"\xfe\xfd" + bytes(range(32)) + b"\0\0" + words(len(suites)) + suites + b"\1\0"
        + words(len(extensions)) + extensions
    )
    size = words(len(hello), width=3)
    message = b"\1" + size + bytes(2) + bytes(3) + size + hello
    return b"\x16\xfe\xff" + bytes(8) + words(len(message)) + message


def rdp_open() -> bytes:
    """Return the SYN of RDP over UDP ([MS-RDPEUDP] section 3.1.5.1.1)."""
    head = words(0xFFFF_FFFF, width=4) + words(64, 1) + bytes(4) + words(RDP_LEAST, RDP_LEAST)
    return head + bytes(RDP_LEAST - len(head))


# -- calls -------------------------------------------------------------------------------------


def rpc_null(program: int, version: int) -> bytes:
    """Return a call of procedure 0, which does nothing (RFC 5531 section 9)."""
    return words(0, 0, 2, program, version, 0, 0, 0, 0, 0, width=4)


def slp_request() -> bytes:
    """Return a request for service agents (RFC 2608 section 8.1)."""
    def text(value: str) -> bytes:
        return words(len(value)) + value.encode()

    body = text("") + text("service:service-agent") + text("default") + text("") + text("")
    tail = bytes(5) + bytes(2) + text("en") + body
    return b"\2\1" + words(5 + len(tail), width=3) + tail


def text_lines(*lines: str) -> bytes:
    """Return a request of header lines, ended by an empty one."""
    return "\r\n".join([*lines, "", ""]).encode()


WS_PROBE: Final = (
    b'<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    b'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
    b"<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
    b"<a:MessageID>urn:uuid:7a6e3c52-7c1b-4b0e-9d55-5d1d6f0f2b11</a:MessageID>"
    b"<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></e:Header>"
    b"<e:Body><d:Probe/></e:Body></e:Envelope>"
)
"""WS-Discovery 1.0 section 5.3."""
