"""STARTTLS: how protocols turn a plain connection into TLS, once they have said what they are.

RFC 3207 (SMTP), 2595 (IMAP, POP3), 4217 (FTP), 4642 (NNTP), 6120 (XMPP), 4511 (LDAP), 5804
(ManageSieve); PostgreSQL 55.2.10, [MS-RDPBCGR] 5.4.5, MySQL's protocol.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from .probe_bodies import ber
from .probes import Probe


@dataclass(frozen=True, slots=True)
class Step:
    """One message on the way, and the answer that lets us go on; None: none is to come."""

    probe: Probe
    ready: re.Pattern[bytes] | None


@dataclass(frozen=True, slots=True)
class _Way:
    """The steps to TLS, for those whose last reply shows that they would take them."""

    steps: tuple[Step, ...]
    offered: re.Pattern[bytes] = re.compile(b"")


def _step(name: str, body: bytes, ready: bytes | None) -> Step:
    pattern = re.compile(ready, re.DOTALL | re.IGNORECASE) if ready is not None else None
    return Step(Probe(name, body), pattern)


def _mysql_request() -> bytes:
    """Return an SSLRequest: protocol 4.1, TLS, secure connection; packet number 1."""
    body = struct.pack("<IIB23x", 0x8A00, 1 << 24, 33)
    return struct.pack("<I", len(body) | 1 << 24) + body


_EIGHT: Final = re.escape(bytes(octet for octet in range(256) if octet & 8))
"""The upper octet of MySQL's capabilities where TLS is one of them."""
_LDAP: Final = ber(0x30, b"\x02\x01\x09", ber(0x77, ber(0x80, b"1.3.6.1.4.1.1466.20037")))
_WAYS: Final = {
    "smtp": _Way((
        _step("smtp-ehlo", b"EHLO portulan.invalid\r\n",
              rb"(?=.*\b250[- ]STARTTLS\b).*\b250 [^\n]*\n$"),
        _step("smtp-starttls", b"STARTTLS\r\n", rb"220\b"))),
    "imap": _Way((_step("imap-starttls", b"a9 STARTTLS\r\n", rb".*\ba9 OK\b"),)),
    "pop3": _Way((_step("pop3-stls", b"STLS\r\n", rb"\+OK\b"),)),
    "ftp": _Way((_step("ftp-auth-tls", b"AUTH TLS\r\n", rb"234\b"),)),
    "nntp": _Way((_step("nntp-starttls", b"STARTTLS\r\n", rb"382\b"),)),
    "xmpp": _Way((_step("xmpp-starttls", b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
                        rb".*<proceed\b"),)),
    "ldap": _Way((_step("ldap-starttls", _LDAP, rb"0.+\x0a\x01\x00"),)),
    "managesieve": _Way((_step("sieve-starttls", b"STARTTLS\r\n", rb'OK\b'),)),
    "mysql": _Way((_step("mysql-tls", _mysql_request(), None),),
                  re.compile(rb".{3}\0\x0a[^\0]+\0.{12}\0.[" + _EIGHT + rb"]", re.DOTALL)),
    "postgresql": _Way((), re.compile(rb"S$")),
    "rdp": _Way((), re.compile(rb"\x03\0.{2}\x0e\xd0.{5}\x02.\x08\0[\x01\x02\x03\x08]", re.DOTALL)),
}


def upgrade(name: str, reply: bytes) -> tuple[Step, ...] | None:
    """Return the steps to TLS for a service that has just said `reply`; None: there is no way."""
    way = _WAYS.get(name)
    return way.steps if way is not None and way.offered.match(reply) else None
