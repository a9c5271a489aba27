"""Which protocol the first octets of both sides look like.

What is found by its shape is named; what no shape fits has the name that its port is registered
for, with a question mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from portulan.target.ports import service_name
from portulan.wire.ipv4 import IpProtocol

HEAD_OCTETS: Final = 16
"""First octets that are kept of each side."""

Heads = NDArray[np.uint8]
Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shape:
    """A protocol's first octets, in hex digits with `.` for any; text behind a quote.

    With `answer` the other side's must look like that; with `ports` one of the ports must be
    among them: octets alone would say too little.
    """

    name: str
    head: str
    answer: str = ""
    ports: tuple[int, ...] = ()

    def fits(self, heads: tuple[Heads, Heads], ports: NDArray[np.int64]) -> Bits:
        """Say which rows have this shape, whoever spoke first."""
        found = np.zeros(len(ports), np.bool_)
        for one, other in (heads, heads[::-1]):
            fits = _like(one, self.head)
            if self.answer:
                fits &= _like(other, self.answer)
            found |= fits
        if self.ports:
            found &= np.isin(ports, self.ports).any(axis=1)
        return found


TCP_SHAPES: Final = (
    Shape("tls", "16 03 0."), Shape("http", "'GET "), Shape("http", "'POST "),
    Shape("http", "'HEAD "), Shape("http", "'HTTP/1."), Shape("http", "'PUT "),
    Shape("http", "'DELETE "), Shape("http", "'CONNECT "), Shape("http", "'PATCH "),
    Shape("http", "'PROPFIND "), Shape("http2", "'PRI * HTTP/2"), Shape("ssh", "'SSH-"),
    Shape("sip", "'SIP/2.0 "), Shape("sip", "'REGISTER sip"), Shape("sip", "'OPTIONS sip:"),
    Shape("sip", "'INVITE sip:"), Shape("rtsp", "'RTSP/1.0"), Shape("rtsp", "'OPTIONS rtsp:"),
    Shape("rtsp", "'DESCRIBE rtsp:"), Shape("http", "'OPTIONS "),
    Shape("smtp", "'220", "'EHLO"), Shape("smtp", "'220", "'HELO"), Shape("smtp", "'220", "'ehlo"),
    Shape("lmtp", "'220", "'LHLO"), Shape("ftp", "'220", "'USER "), Shape("ftp", "'220", "'AUTH "),
    Shape("smtp", "'220", ports=(25, 465, 587, 2525)), Shape("ftp", "'220", ports=(21,)),
    Shape("pop3", "'+OK"), Shape("imap", "'* OK"), Shape("nntp", "'200 ", ports=(119,)),
    Shape("redis", "'*", "'+"), Shape("redis", "'*", "'$"), Shape("redis", "'*", "'-"),
    Shape("redis", "2a 3. 0d 0a 24"), Shape("mqtt", "10 .. 00 04 4d 51 54 54"),
    Shape("mqtt", "10 .. 00 06 4d 51 49 73"), Shape("smb", "00 .. .. .. fe 53 4d 42"),
    Shape("smb", "00 .. .. .. ff 53 4d 42"), Shape("rdp", "03 00 .. .. .. e0"),
    Shape("amqp", "'AMQP"), Shape("vnc", "'RFB 00"), Shape("xmpp", "'<stream:"),
    Shape("xmpp", "'<?xml ", ports=(5222, 5269)), Shape("postgresql", "00 00 00 08 04 d2 16 2f"),
    Shape("postgresql", "00 00 .. .. 00 03 00 00"), Shape("mysql", ".. 00 00 00 0a 3"),
    Shape("socks", "05 0.", "05 .."), Shape("bittorrent", "13 42 69 74 54 6f 72 72 65 6e 74"),
    Shape("ldap", "30 .. 02 01 .. 60"), Shape("ldap", "30 .. 02 01 .. 63"),
    Shape("rsync", "'@RSYNCD:"), Shape("svn", "'( success"), Shape("mpd", "'OK MPD "),
    Shape("zabbix", "'ZBXD"), Shape("irc", "'NICK "), Shape("memcached", "'stats", "'STAT "),
    Shape("memcached", "'version", "'VERSION "), Shape("git", "30 30 .. .. 67 69 74 2d"),
    Shape("telnet", "ff f"), Shape("dns", ".. .. .. .. 0. .. 00 01 00 00 00 00"),
    Shape("dns", ".. .. .. .. .. .. 00 01", ports=(53,)),
    Shape("modbus", ".. .. 00 00 00", ports=(502,)),
)
UDP_SHAPES: Final = (
    Shape("dns", ".. .. .. .. 00 01", ports=(53,)),
    Shape("mdns", ".. .. .4 00", ports=(5353,)), Shape("mdns", "00 00 00 00", ports=(5353,)),
    Shape("llmnr", ".. .. .. .. 00 01", ports=(5355,)),
    Shape("nbns", ".. .. .. .. 00 0", ports=(137,)),
    Shape("dhcp", "0. 01 06", ports=(67, 68)), Shape("dhcp6", "0", ports=(546, 547)),
    Shape("quic", "c. 00 00 00 01"), Shape("quic", "e. 00 00 00 01"),
    Shape("quic", "d. 6b 33 43 cf"), Shape("quic", "c. 6b 33 43 cf"),
    Shape("dtls", "16 fe f"), Shape("stun", "0. .. .. .. 21 12 a4 42"),
    Shape("sip", "'SIP/2.0 "), Shape("sip", "'REGISTER sip"), Shape("sip", "'OPTIONS sip:"),
    Shape("sip", "'INVITE sip:"), Shape("ssdp", "'M-SEARCH "), Shape("ssdp", "'NOTIFY * HTTP"),
    Shape("ntp", ".", ports=(123,)), Shape("snmp", "30 .. 02 01 0", ports=(161, 162)),
    Shape("snmp", "30 81 .. 02 01 0", ports=(161, 162)), Shape("tftp", "00 0", ports=(69,)),
    Shape("radius", "0. .. 0", ports=(1812, 1813, 1645)), Shape("syslog", "'<", ports=(514,)),
    Shape("wireguard", "01 00 00 00", "02 00 00 00"),
    Shape("wireguard", "0. 00 00 00", ports=(51820,)),
    Shape("openvpn", "38 .. .. .. .. .. .. .. .. 00"),
    Shape("dns", ".. .. 01 00 00 01 00 00 00 00"),
)
_PROTOCOLS: Final = (
    (int(IpProtocol.TCP), "tcp", TCP_SHAPES), (int(IpProtocol.UDP), "udp", UDP_SHAPES))


def applications(
    heads: tuple[Heads, Heads], protocol: NDArray[Any], sport: NDArray[Any], dport: NDArray[Any]
) -> NDArray[Any]:
    """Return names, one a flow; None for flows without payload or of other protocols.

    `heads` are the first octets of the forward and of the other side, zeros where there are none.
    """
    found = np.full(len(protocol), None, object)
    spoken = heads[0].any(axis=1) | heads[1].any(axis=1)
    ports = np.stack([sport, dport], axis=1).astype(np.int64).reshape(len(protocol), 2)
    for number, text, shapes in _PROTOCOLS:
        rows = np.flatnonzero((protocol == number) & spoken)
        found[rows] = _of(shapes, (heads[0][rows], heads[1][rows]), ports[rows], text)
    return found


def _of(
    shapes: Sequence[Shape], heads: tuple[Heads, Heads], ports: NDArray[np.int64], protocol: str
) -> NDArray[Any]:
    found = np.full(len(ports), None, object)
    left = np.arange(len(ports))
    for shape in shapes:
        fits = shape.fits((heads[0][left], heads[1][left]), ports[left])
        found[left[fits]] = shape.name
        left = left[~fits]
    found[left] = [_guess(sport, dport, protocol) for sport, dport in ports[left].tolist()]
    return found


@lru_cache(4096)
def _guess(sport: int, dport: int, protocol: str) -> str | None:
    for port in (dport, sport):
        name = service_name(port, protocol)
        if name and name != "unknown":
            return f"{name}?"
    return None


def _like(heads: Heads, pattern: str) -> Bits:
    """Say which rows begin like a pattern."""
    found = np.ones(len(heads), np.bool_)
    for at, mask, value in _steps(pattern):
        found &= heads[:, at] & np.uint8(mask) == value
    return found


@lru_cache(256)
def _steps(pattern: str) -> tuple[tuple[int, int, int], ...]:
    """Return where a pattern looks: (octet, mask, value)."""
    if pattern.startswith("'"):
        return tuple((at, 255, octet) for at, octet in enumerate(pattern[1:].encode()))
    steps = []
    for at, digits in enumerate(pattern.split()):
        pair = digits.ljust(2, ".")
        mask = sum(15 << shift for digit, shift in zip(pair, (4, 0), strict=True) if digit != ".")
        steps.append((at, mask, int(pair.replace(".", "0"), 16)))
    return tuple(step for step in steps if step[1])
