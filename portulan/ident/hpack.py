"""Header blocks of HTTP/2 (RFC 7541), as far as a server's answer needs them.

The Huffman code is canonical: its lengths alone make it. Only lengths up to 15 bits are kept, which
all of printable ASCII has; a longer code ends the text.
"""

from __future__ import annotations

from typing import Final

HEADERS_MAX: Final = 100
INTEGER_MAX: Final = 1 << 20

_NAMES: Final = (  # noqa: SIM905 - one name a place, counted from 1 by the RFC
    ":authority :method :method :path :path :scheme :scheme :status :status :status :status :status"
    " :status :status accept-charset accept-encoding accept-language accept-ranges accept"
    " access-control-allow-origin age allow authorization cache-control content-disposition"
    " content-encoding content-language content-length content-location content-range content-type"
    " cookie date etag expect expires from host if-match if-modified-since if-none-match if-range"
    " if-unmodified-since last-modified link location max-forwards proxy-authenticate"
    " proxy-authorization range referer refresh retry-after server set-cookie"
    " strict-transport-security transfer-encoding user-agent vary via www-authenticate").split()
_VALUES: Final = {
    2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 8: "200", 9: "204",
    10: "206", 11: "304", 12: "400", 13: "404", 14: "500", 16: "gzip, deflate",
}
_LENGTHS: Final = {
    5: "012aceiost", 6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: "&*,;XZ", 10: "!\"()?", 11: "'+|", 12: "#>",
    13: "\0$@[]~", 14: "^}", 15: "<`{",
}


def _codes() -> dict[tuple[int, int], str]:
    """Return (length, code) -> character."""
    found, code, before = {}, 0, 5
    for length, characters in _LENGTHS.items():
        code <<= length - before
        before = length
        for character in characters:
            found[length, code] = character
            code += 1
    return found


_CODES: Final = _codes()
_LONGEST: Final = max(_LENGTHS)


def unhuffman(data: bytes) -> str:
    """Return the text of a Huffman-coded string, up to what is no printable ASCII."""
    text, code, length = [], 0, 0
    for octet in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | octet >> bit & 1, length + 1
            character = _CODES.get((length, code))
            if character is not None:
                text.append(character)
                code = length = 0
            elif length > _LONGEST:
                return "".join(text)
    return "".join(text)


def headers(block: bytes) -> list[tuple[str, str]]:
    """Return the headers of a block, as far as it can be read; never raises."""
    reader = _Reader(block)
    found: list[tuple[str, str]] = []
    while reader.more and len(found) < HEADERS_MAX:
        header = reader.header()
        if header is not None:
            found.append(header)
    return found


class _Reader:
    """Reads a block once, keeping the entries that it adds to the table."""

    def __init__(self, block: bytes) -> None:
        self._block, self._at = block, 0
        self._added: list[tuple[str, str]] = []

    @property
    def more(self) -> bool:
        return self._at < len(self._block)

    def header(self) -> tuple[str, str] | None:
        """Read one representation (section 6); None for a change of the table's size."""
        first = self._block[self._at]
        if first & 0x80:
            return self._entry(self._integer(7))
        if first & 0xE0 == 0x20:
            self._integer(5)
            return None
        index = self._integer(6 if first & 0x40 else 4)
        name = self._entry(index)[0] if index else self._string()
        header = name, self._string()
        if first & 0x40:
            self._added.insert(0, header)
        return header

    def _entry(self, index: int) -> tuple[str, str]:
        if 1 <= index <= len(_NAMES):
            return _NAMES[index - 1], _VALUES.get(index, "")
        at = index - len(_NAMES) - 1
        return self._added[at] if 0 <= at < len(self._added) else ("", "")

    def _integer(self, bits: int) -> int:
        """Read a prefixed integer (section 5.1)."""
        most = (1 << bits) - 1
        value = self._octet() & most
        if value < most:
            return value
        for shift in range(0, 21, 7):
            octet = self._octet()
            value += (octet & 0x7F) << shift
            if not octet & 0x80:
                return value
        self._at = len(self._block)  # longer than any honest one
        return 0

    def _octet(self) -> int:
        self._at += 1
        return self._block[self._at - 1] if self._at <= len(self._block) else 0

    def _string(self) -> str:
        coded = self.more and bool(self._block[self._at] & 0x80)
        length = min(self._integer(7), INTEGER_MAX)
        data = self._block[self._at : self._at + length]
        self._at += length
        return unhuffman(data) if coded else data.decode("latin-1")
