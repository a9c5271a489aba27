"""TLS hellos: what client and server tell before anything is encrypted (RFC 8446 section 4.1).

>>> hello = Hello.read(bytes.fromhex("0200002e0303" + "22" * 32 + "00 1302 00 0006 002b 0002 0304"))
>>> hello.told["cipher"], hello.told["versions"], hello.agreed, hello.defect
(4866, [772], 'TLS 1.3', '')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from portulan.wire.fingerprint import ja3, ja3s, ja4, md5, numbers
from portulan.wire.inside import Lazy, Value, items_of, number_at, text_of

CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
MESSAGE_MAX_OCTETS = 1 << 17
"""No honest message is longer (OpenSSL takes 100 KiB of certificates): this one is encrypted."""
MESSAGES: Final = {
    1: "client hello", 2: "server hello", 4: "ticket", 8: "extensions", 11: "certificate",
    12: "server key", 14: "server done", 16: "client key", 20: "finished",
}
VERSIONS: Final = {
    0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3",
}
_SNI, _GROUPS, _FORMATS, _SIGNATURES, _ALPN, _SUPPORTED = 0, 10, 11, 13, 16, 43


@dataclass(slots=True)
class Hello:
    """A handshake message that may be cut: what is there is told."""

    octets: bytes
    at: int
    end: int
    transport: str = "t"
    """As JA4 has it: `t` over TCP, `q` over QUIC."""
    told: dict[str, Value] = field(default_factory=dict)
    first_alpn: bytes = b""
    defect: str = ""

    @classmethod
    def read(
        cls, octets: bytes, at: int = 0, end: int | None = None, *, transport: str = "t"
    ) -> Self:
        """Return what the message at byte `at` tells; any octets may be there."""
        self = cls(octets, at, len(octets) if end is None else end, transport)
        if self.end - self.at < 4 or octets[at] not in MESSAGES:
            return self
        size = number_at(octets, at + 1, 3)
        if size <= MESSAGE_MAX_OCTETS:
            self.told["handshake"] = octets[at]
            if octets[at] in (CLIENT_HELLO, SERVER_HELLO):
                self._read(size)
        return self

    def told_with_fingerprints(self) -> Mapping[str, Value]:
        """Return what is told, fingerprints made when they are asked for."""
        told = self.told
        if self.defect or "hello_version" not in told:
            return told
        if told["handshake"] == SERVER_HELLO:
            return Lazy(told, {"ja3s": lambda: md5(ja3s(told))})
        return Lazy(told, {
            "ja3": lambda: ja3(told),
            "ja3_hash": lambda: md5(ja3(told)),
            "ja4": lambda: ja4(told, transport=self.transport, first_alpn=self.first_alpn),
        })

    @property
    def message(self) -> int:
        """The message's type, -1 if it is in no clear."""
        found = self.told.get("handshake", -1)
        return found if isinstance(found, int) else -1

    @property
    def agreed(self) -> str:
        """The version a hello means: the last of those offered is not always the best."""
        offered = numbers(self.told, "versions") or numbers(self.told, "hello_version")
        return VERSIONS.get(max((each for each in offered if each in VERSIONS), default=0), "")

    def _read(self, size: int) -> None:
        client = self.octets[self.at] == CLIENT_HELLO
        self.at += 4
        if self.at + size > self.end:
            self.defect = "the hello goes on in another record or segment"
        self.end = min(self.end, self.at + size)
        if self.at + 35 > self.end:
            self.defect = "hello cut short"
            return
        self.told["hello_version"] = number_at(self.octets, self.at, 2)
        self.at += 34
        self._list(1)
        self._client() if client else self._server()

    def _client(self) -> None:
        self.told["ciphers"] = _words(self._list(2))
        self._list(1)
        self._extensions(client=True)

    def _server(self) -> None:
        self.told["cipher"] = number_at(self.octets[: self.end], self.at, 2)
        self.at += 3
        self._extensions(client=False)

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
            self.first_alpn = data[3 : 3 + data[2]] if len(data) > 2 else b""
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
