"""Protocols that answer in binary: told by their framing, strings taken out by their lengths."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from . import ber, ntlm
from .facts import Facts
from .text import decode

Reader = Callable[[bytes], "Facts | None"]


def parse(data: bytes) -> Facts | None:
    """Return the protocol whose framing `data` fulfils, or None."""
    if len(data) == 1:
        return _ONE_OCTET.get(data)
    for start, name in _MAGIC:
        if data.startswith(start):
            return Facts(name, {}, 0.95)
    for read in _READERS:
        facts = read(data)
        if facts:
            return facts
    return None


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _mysql(data: bytes) -> Facts | None:
    """Read the greeting: length, sequence 0, protocol 10, version up to NUL; or an error."""
    if len(data) < 7 or data[3] != 0 or int.from_bytes(data[:3], "little") > max(len(data), 512):
        return None
    if data[4] == 0xFF and data[5:7] in (b"\x6a\x04", b"\x69\x04", b"\x10\x04"):
        return Facts("mysql", {"mysql.error": decode(data[7:512])}, 0.95)
    end = data.find(b"\0", 5, 128)
    if data[4] not in (9, 10) or end < 6:
        return None
    version = decode(data[5:end])
    if not version[0].isdigit():
        return Facts("mysql", {"mysql.banner": version}, 0.8)
    # MariaDB 10 and later write a false 5.5.5- in front, for old replicas' sake.
    told = version.removeprefix("5.5.5-") if "maria" in version.lower() else version
    return Facts("mysql", {"mysql.version": told}, 0.98)


def _dns(data: bytes) -> Facts | None:
    """Read an answer to version.bind, with or without the two length octets of TCP."""
    if len(data) > 14 and _u16(data, 0) == len(data) - 2:
        data = data[2:]
    if len(data) < 12 or not data[2] & 0x80 or data[2] & 0x78 or data[3] & 0x40:
        return None
    if _u16(data, 4) > 1 or max(_u16(data, at) for at in (6, 8, 10)) > 64:
        return None
    at = data.find(b"\x07version\x04bind\0\0\x10\0\x03")
    if at < 0:
        return Facts("domain", {}, 0.8) if _u16(data, 4) == 1 and len(data) > 16 else None
    at += 18
    if data[at : at + 6] != b"\xc0\x0c\0\x10\0\x03" or at + 13 > len(data):
        return Facts("domain", {}, 0.95)
    size = data[at + 12]
    return Facts("domain", {"dns.version": decode(data[at + 13 : at + 13 + size])}, 0.98)


def _ntp(data: bytes) -> Facts | None:
    fits = len(data) == 48 and data[0] & 7 == 4 and 3 <= data[0] >> 3 & 7 <= 4 and data[1] <= 16
    return Facts("ntp", {}, 0.9) if fits else None


def _ntp_control(data: bytes) -> Facts | None:
    """Read an answer to mode 6, read variables (RFC 9327 section 2)."""
    if len(data) < 16 or data[0] & 7 != 6 or not data[1] & 0x80 or data[1] & 0x1F > 12:
        return None
    size = _u16(data, 10)
    if not 0 < size <= len(data) - 12:
        return None
    return Facts("ntp", {"ntp.variables": decode(data[12 : 12 + size])}, 0.95)


def _tls(data: bytes) -> Facts | None:
    if len(data) < 7 or data[0] not in (0x15, 0x16) or data[1] != 3 or data[2] > 4:
        return None
    return Facts("tls", {}, 0.9) if data[0] == 0x16 or _u16(data, 3) == 2 else None


def _radius(data: bytes) -> Facts | None:
    fits = 20 <= len(data) <= 4096 and data[0] in (2, 3, 5, 11) and _u16(data, 2) == len(data)
    return Facts("radius", {}, 0.8) if fits else None


def _zabbix(data: bytes) -> Facts | None:
    """Read a framed answer: length at 5, little endian; a part of it tells no version yet."""
    if not data.startswith(b"ZBXD\x01") or len(data) < 13:
        return None
    size = int.from_bytes(data[5:9], "little")
    version = re.match(rb"[0-9]+(?:\.[0-9a-z]+){1,3}", data[13 : 13 + min(size, 64)])
    whole = version is not None and len(data) >= 13 + size
    told = {"zabbix-agent.version": decode(version[0])} if version and whole else {}
    return Facts("zabbix-agent", told, 0.98)


def _postgres(data: bytes) -> Facts | None:
    """Read an error; PostgreSQL itself names the C file that made it, its poolers do not."""
    fits = data[:1] == b"E" and 8 < int.from_bytes(data[1:5], "big") < 4096 and data[5:6] == b"S"
    if not fits or b"\0C" not in data[:256]:
        return None
    told = {"M": "", "F": "", "R": ""}
    for part in data[5:4096].split(b"\0"):
        kind = part[:1].decode("latin-1")
        if kind in told:
            told[kind] = decode(part[1:])
    source = f"{told['F']} {told['R']} {told['M']}".strip()
    return Facts("postgresql", {"postgresql.error": source} if source else {}, 0.95)


def _rdp(data: bytes) -> Facts | None:
    """Read an X.224 answer; xrdp ends a session it was not asked for in its own words."""
    if data == _XRDP_ENDS:
        return Facts("rdp", {"rdp.product": "xrdp"}, 0.85)
    fits = len(data) >= 9 and data[:2] == b"\x03\0" and _u16(data, 2) == len(data)
    return Facts("rdp", {}, 0.9) if fits and (data[5] == 0xD0 or data[4:6] == b"\x02\xf0") else None


def _openvpn(data: bytes) -> Facts | None:
    body = data[2:] if len(data) > 16 and _u16(data, 0) == len(data) - 2 else data
    fits = 14 <= len(body) <= 128 and body[0] == 0x40 and body[9:10] == b"\x01"
    return Facts("openvpn", {}, 0.9) if fits else None


def _socks(data: bytes) -> Facts | None:
    return Facts("socks5", {}, 0.8) if len(data) == 2 and data in _SOCKS else None


_SOCKS: Final = {b"\x05\x00", b"\x05\x02", b"\x05\xff"}
_XRDP_ENDS: Final = bytes.fromhex("0300000902f0802180")
_ONE_OCTET: Final = {
    b"N": Facts("postgresql", {}, 0.5), b"S": Facts("postgresql", {}, 0.5),
    # iperf3 takes 37 octets for a cookie and asks for the test's parameters (9), or is busy (-1).
    b"\t": Facts("iperf3", {"iperf3.product": "iperf3"}, 0.75),
}
_MAGIC: Final = (
    (b"AMQP\0\0", "amqp"), (b"AMQP\0\1", "amqp"), (b"AMQP\3\1", "amqp"),
    (b"\x20\x02\x00", "mqtt"), (b"\x20\x03\x00", "mqtt"),
    (b"\x20\x02\x01", "mqtt"), (b"\x13BitTorrent protocol", "bittorrent"),
    (b"GIOP\x01", "giop"), (b"JDWP-Handshake", "jdwp"),
    (b"NBDMAGIC", "nbd"), (b"ACK\x01", "opcua"), (b"ERRF", "opcua"), (b"\x4e\x00\x0e\x00", "jrmp"),
)
_READERS: Final[tuple[Reader, ...]] = (
    _zabbix, ntlm.smb, _rdp, _postgres, ber.snmp, ber.ldap, _tls, _openvpn, _radius, _dns, _mysql,
    _ntp, _ntp_control, _socks,
)
