"""TLS: records, and what the hellos in them say."""

from __future__ import annotations

from collections.abc import Mapping

from portulan.wire.header import Header
from portulan.wire.hello import MESSAGES, Hello
from portulan.wire.inside import Inside, Told, Value, number_at
from portulan.wire.layout import u8, u16

_HANDSHAKE = 22
_TYPES = {20: "change cipher", 21: "alert", 22: "handshake", 23: "data", 24: "heartbeat"}
RECORD_MAX_OCTETS = 16_384 + 2_048
"""RFC 5246 section 6.2.3: more is no record."""


class TLS(Header, tcp=(443, 465, 636, 853, 993, 995, 8443), anywhere=True):
    """A TLS record (RFC 8446 section 5.1).

    type: 20 change cipher, 21 alert, 22 handshake, 23 data
    version: of the record; 769 to 771 whatever was agreed
    length: what follows [bytes]
    """

    type: u8 = _HANDSHAKE
    version: u16 = 0x303
    length: u16 = 0

    handshake = Told("type of the first handshake message: 1 client hello, 2 server hello", int)
    hello_version = Told("version in the hello, 771 even for TLS 1.3", int)
    sni = Told("server's name that the client asks for")
    alpn = Told("protocols that the client offers, or the one the server took", list)
    ciphers = Told("cipher suites that the client offers", list)
    cipher = Told("cipher suite that the server took", int)
    extensions = Told("types of the hello's extensions, in order", list)
    versions = Told("versions that the client offers, or the one the server took", list)
    groups = Told("key exchange groups that the client offers", list)
    point_formats = Told("elliptic curve point formats that the client offers", list)
    signatures = Told("signature schemes that the client takes", list)
    ja3 = Told("fingerprint of the client's hello: its numbers in plain text")
    ja3_hash = Told("fingerprint of the client's hello, as most lists have it")
    ja3s = Told("fingerprint of the server's hello")
    ja4 = Told("fingerprint of the client's hello that does not depend on its order")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a record begins here."""
        if end - at < cls.size or octets[at] not in _TYPES or octets[at + 1] != 3:
            return False
        return octets[at + 2] <= 4 and number_at(octets, at + 3, 2) <= RECORD_MAX_OCTETS

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell a hello, and return the next record of the segment."""
        start, stop = at + self.size, at + self.size + self.length
        told: Mapping[str, Value] = {}
        brief = f"TLS {_TYPES.get(self.type, self.type)}"
        defect = ""
        if self.type == _HANDSHAKE and min(stop, end) - start >= 4:
            hello = Hello.read(octets, start, min(stop, end))
            told, defect = hello.told_with_fingerprints(), hello.defect
            words = [MESSAGES.get(hello.message, "encrypted handshake"),
                     str(hello.told.get("sni", "")), hello.agreed]
            brief = " ".join(["TLS", *filter(None, words)])
        if stop > end:
            defect = defect or f"record of {self.length} bytes is not whole in this segment"
            return Inside(end, end, told=told, brief=brief, defect=defect)
        more = self.claims(octets, stop, end)
        return Inside(stop, end, TLS if more else None, told, brief, defect)
