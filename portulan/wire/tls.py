"""TLS: records, and what the hellos in them say."""

from __future__ import annotations

from dataclasses import dataclass, field

from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, Value, items_of, number_at, text_of
from portulan.wire.layout import u8, u16

_HANDSHAKE = 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_TYPES = {20: "change cipher", 21: "alert", 22: "handshake", 23: "data", 24: "heartbeat"}
_NAMES = {1: "client hello", 2: "server hello", 4: "ticket", 8: "extensions", 11: "certificate",
          12: "server key", 14: "server done", 16: "client key", 20: "finished"}
_VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2",
             0x304: "TLS 1.3"}
_SNI, _GROUPS, _FORMATS, _SIGNATURES, _ALPN, _SUPPORTED = 0, 10, 11, 13, 16, 43
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

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a record begins here."""
        if end - at < cls.size or octets[at] not in _TYPES or octets[at + 1] != 3:
            return False
        return octets[at + 2] <= 4 and number_at(octets, at + 3, 2) <= RECORD_MAX_OCTETS

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell a hello, and return the next record of the segment."""
        start, stop = at + self.size, at + self.size + self.length
        told: dict[str, Value] = {}
        brief = f"TLS {_TYPES.get(self.type, self.type)}"
        defect = ""
        if self.type == _HANDSHAKE and min(stop, end) - start >= 4:
            hello = _Hello(octets, start, min(stop, end), told)
            hello.read()
            words = [_NAMES.get(octets[start], "encrypted handshake"), str(told.get("sni", ""))]
            words.append(_agreed(told))
            brief, defect = " ".join(["TLS", *filter(None, words)]), hello.defect
        if stop > end:
            defect = defect or f"record of {self.length} bytes is not whole in this segment"
            return Inside(end, end, told=told, brief=brief, defect=defect)
        more = self.claims(octets, stop, end)
        return Inside(stop, end, TLS if more else None, told, brief, defect)


def _agreed(told: dict[str, Value]) -> str:
    """Return the version a hello means: the last of those offered is not always the best."""
    versions = told.get("versions", [])
    known = [each for each in versions if each in _VERSIONS] if isinstance(versions, list) else []
    plain = told.get("hello_version", 0)
    best = max((int(each) for each in known), default=plain if isinstance(plain, int) else 0)
    return _VERSIONS.get(best, "")


@dataclass(slots=True)
class _Hello:
    """Reads a hello that may be cut: what is there is told."""

    octets: bytes
    at: int
    end: int
    told: dict[str, Value] = field(default_factory=dict)
    defect: str = ""

    def read(self) -> None:
        kind, size = self.octets[self.at], number_at(self.octets, self.at + 1, 3)
        if kind not in _NAMES:
            return  # encrypted
        self.told["handshake"] = kind
        if kind not in (_CLIENT_HELLO, _SERVER_HELLO):
            return
        self.at += 4
        if self.at + size > self.end:
            self.defect = "the hello goes on in another record or segment"
        self.end = min(self.end, self.at + size)
        if self.at + 35 > self.end:
            self.defect = "hello cut short"
            return
        self.told["hello_version"] = number_at(self.octets, self.at, 2)
        self.at += 34
        self._skip(1)
        self._client() if kind == _CLIENT_HELLO else self._server()

    def _client(self) -> None:
        ciphers = self._list(2)
        self.told["ciphers"] = _words(ciphers)
        self._skip(1)
        self._extensions(client=True)

    def _server(self) -> None:
        self.told["cipher"] = number_at(self.octets[: self.end], self.at, 2)
        self.at += 3
        self._extensions(client=False)

    def _skip(self, width: int) -> None:
        self._list(width)

    def _list(self, width: int) -> bytes:
        """Return the octets behind a length of `width` octets, and move behind them."""
        size = number_at(self.octets[: self.end], self.at, width)
        start = self.at + width
        self.at = min(start + size, self.end)
        return self.octets[start : self.at]

    def _extensions(self, *, client: bool) -> None:
        if self.at + 2 > self.end:
            return
        size = number_at(self.octets, self.at, 2)
        start = self.at + 2
        kinds: list[int] = []
        for item in items_of(self.octets, start, min(start + size, self.end), kind=2, length=2):
            kinds.append(item.kind)
            self._extension(item.kind, self.octets[item.at : item.end], client=client)
        self.told["extensions"] = kinds

    def _extension(self, kind: int, data: bytes, *, client: bool) -> None:
        if kind == _SNI and len(data) > 5:
            size = number_at(data, 3, 2)
            self.told["sni"] = text_of(data[5 : 5 + size])
        elif kind == _ALPN:
            self.told["alpn"] = _strings(data[2:])
        elif kind == _SUPPORTED:
            self.told["versions"] = _words(data[1:] if client else data)
        elif kind in (_GROUPS, _SIGNATURES) and client:
            self.told["groups" if kind == _GROUPS else "signatures"] = _words(data[2:])
        elif kind == _FORMATS and client:
            self.told["point_formats"] = list(data[1:])


def _words(data: bytes) -> list[int]:
    return [number_at(data, at, 2) for at in range(0, len(data) // 2 * 2, 2)]


def _strings(data: bytes) -> list[str]:
    found, at = list[str](), 0
    while at < len(data):
        found.append(text_of(data[at + 1 : at + 1 + data[at]]))
        at += 1 + data[at]
    return found
