"""QUIC: long headers, and the client's hello in an Initial packet."""

from __future__ import annotations

from functools import partial
from typing import Final

from portulan.wire.header import Header
from portulan.wire.hello import Hello
from portulan.wire.inside import Inside, Lazy, Told, Value, number_at
from portulan.wire.layout import u8, u32
from portulan.wire.quic_initial import V1, V2, crypto_octets, varint

CID_MAX_OCTETS: Final = 20
"""RFC 9000 section 17.2: of a connection identifier in versions 1 and 2."""
_TYPES: Final = {
    V1: ("initial", "0-rtt", "handshake", "retry"), V2: ("retry", "initial", "0-rtt", "handshake"),
}
_HELLO: Final = ("sni", "alpn", "versions", "ciphers", "extensions", "groups", "point_formats",
                 "signatures", "handshake", "hello_version", "ja3", "ja3_hash", "ja4")


class QUIC(Header, udp=443):
    """A QUIC packet with a long header (RFC 9000 section 17.2, RFC 9369).

    first: form, type, and bits that are protected
    version: 1, 0x6b3343cf for version 2, 0 for version negotiation
    dcid_length: of the receiver's connection identifier [bytes]
    """

    first: u8 = 0xC0
    version: u32 = V1
    dcid_length: u8 = 0

    dcid = Told("receiver's connection identifier in hex digits")
    scid = Told("sender's connection identifier in hex digits")
    type = Told("initial, 0-rtt, handshake, retry or negotiation")
    token_length = Told("of the token in an Initial packet", int, "bytes")
    length = Told("packet number and what is encrypted", int, "bytes")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a long header of a known version begins here; short ones have no marks."""
        if end - at < cls.size + 1 or octets[at] < 0x80 or octets[at + 5] > CID_MAX_OCTETS:
            return False
        version = number_at(octets, at + 1, 4)
        return version == 0 or (version in _TYPES and octets[at] & 0x40 != 0)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell identifiers, decrypt the hello if asked, and return the next packet."""
        start = at + self.size + self.dcid_length
        if start >= end or start + 1 + octets[start] > end or self.dcid_length > CID_MAX_OCTETS:
            return Inside(at + self.size, end, defect="connection identifiers cut short")
        dcid, scid_at = octets[at + self.size : start], start + 1
        where = scid_at + octets[start]
        kind = _TYPES.get(self.version, ("negotiation",) * 4)[self.first >> 4 & 3]
        told: dict[str, Value] = {
            "dcid": dcid.hex(), "scid": octets[scid_at:where].hex(), "type": kind}
        brief = f"QUIC {kind} version {self.version:#x}"
        if kind in ("negotiation", "retry"):
            return Inside(where, end, told=told, brief=brief)
        if kind == "initial":
            token, where = varint(octets, where, end)
            told["token_length"] = max(token, 0)
            where += max(token, 0)
        length, where = varint(octets, where, end)
        if length < 0:
            return Inside(where, end, told=told, brief=brief, defect="cut short")
        told["length"], stop = length, where + length
        if stop > end:
            defect = f"packet of {length} bytes is not whole in this datagram"
            return Inside(where, end, told=told, brief=brief, defect=defect)
        more = QUIC if self.claims(octets, stop, end) else None
        if kind != "initial":
            return Inside(stop, end, more, told, brief)
        opened = _Opened(self.version, dcid, octets[at:stop], where - at)
        made = {f"tls.{name}": partial(opened.get, name) for name in _HELLO}
        return Inside(stop, end, more, Lazy(told, made), brief)


class _Opened:
    """The hello of one Initial, decrypted once, when one of its fields is asked for."""

    def __init__(self, version: int, dcid: bytes, packet: bytes, number_offset: int) -> None:
        self._what = (version, dcid, packet, number_offset)
        self._hello: Hello | None = None

    def get(self, name: str) -> Value | None:
        """Return a field of the hello; None if there is none, or it is the server's packet."""
        if self._hello is None:
            version, dcid, packet, number_offset = self._what
            octets = crypto_octets(version, dcid, packet, number_offset)
            self._hello = Hello.read(octets, transport="q")
        told = self._hello.told_with_fingerprints()
        return told.get(name)
