"""Bytes to other bytes as they flow: character sets, hex, base64, line ends, safe text, hex dumps.

A coder is called with each piece and once with `final`; what a piece cuts apart (a character, a
pair of digits) waits inside for the next.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from portulan.errors import PeerError, UsageError

TRANSFERS: Final = ("hex", "base64", "unhex", "unbase64")
"""`un...` is the other way round: `--encode unhex` makes bytes of typed digits."""
DUMP_WIDTH: Final = 16


class Coder(Protocol):
    """Turns pieces into pieces; raises `PeerError` on what it cannot turn."""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        """Return what a piece becomes, together with what was kept of those before."""


def encoder(name: str, *, where: str = "--encode") -> Coder:
    """Return what turns our UTF-8 or bytes into the named form; raises `UsageError`."""
    makers: dict[str, Callable[[], Coder]] = {
        "hex": lambda: _each(_to_hex), "unhex": lambda: _Groups(_from_hex, 2),
        "base64": lambda: _Groups(base64.b64encode, 3, raw=True),
        "unbase64": lambda: _Groups(_from_base64, 4),
    }
    return makers[name]() if name in makers else _Charset("utf-8", _charset(name, where))


def decoder(name: str, *, where: str = "--decode") -> Coder:
    """Return what turns the named form into our UTF-8 or bytes; raises `UsageError`."""
    if name in TRANSFERS:
        return encoder(name.removeprefix("un") if name.startswith("un") else f"un{name}")
    return _Charset(_charset(name, where), "utf-8", errors="replace")


def _charset(name: str, where: str) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise UsageError("no such encoding", text=name, where=where,
                         hint="as in utf-8, shift_jis, euc-jp, iso-2022-jp, euc-kr, cp949, gb18030,"
                              f" latin-1, or {', '.join(TRANSFERS)}") from None


class _Charset:
    """From one character set to another, whatever the reads cut apart."""

    def __init__(self, source: str, sink: str, errors: str = "strict") -> None:
        self._decoder = codecs.getincrementaldecoder(source)(errors)
        self._encoder = codecs.getincrementalencoder(sink)("strict")
        self._sink = sink

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        try:
            return self._encoder.encode(self._decoder.decode(data, final), final)
        except UnicodeDecodeError:
            raise PeerError("the input is not UTF-8, so it cannot be encoded") from None
        except UnicodeEncodeError as error:
            letter = error.object[error.start]
            raise PeerError(f"{self._sink} has no {letter!r} (U+{ord(letter):04X})") from None


class _Groups:
    """Groups of a size; white space between them is left out unless the bytes are `raw`."""

    def __init__(self, turn: Callable[[bytes], bytes], size: int, *, raw: bool = False) -> None:
        self._turn, self._size, self._raw, self._rest = turn, size, raw, b""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        whole = self._rest + (data if self._raw else b"".join(data.split()))
        cut = len(whole) if final else len(whole) - len(whole) % self._size
        self._rest = whole[cut:]
        return self._turn(whole[:cut])


def _each(turn: Callable[[bytes], bytes]) -> Coder:
    def code(data: bytes, *, final: bool = False) -> bytes:
        return turn(data)

    return code


def _to_hex(data: bytes) -> bytes:
    return data.hex().encode()


def _from_hex(data: bytes) -> bytes:
    try:
        return binascii.unhexlify(data)
    except binascii.Error:
        raise PeerError("not hex: expects pairs of the digits 0-9 and a-f") from None


def _from_base64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise PeerError("not base64: expects groups of four of A-Z a-z 0-9 + / =") from None


class Crlf:
    r"""Ends lines with CR LF, as mail, FTP and HTTP want; those that do already stay.

    >>> code = Crlf()
    >>> code(b"a\nb\r") + code(b"\nc")
    b'a\r\nb\r\nc'
    """

    def __init__(self) -> None:
        self._last = b""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        """Return the piece with its line ends mended."""
        if not data:
            return b""
        mended = re.sub(rb"(?<!\r)\n", b"\r\n", self._last + data)[len(self._last):]
        self._last = data[-1:] if data.endswith(b"\r") else b""
        return mended


class SafeText:
    """UTF-8 for a terminal: what could move its cursor or its mind is shown escaped (CWE-150)."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        """Return the piece with control and bidi characters escaped; CR LF becomes LF."""
        text = self._held + self._decoder.decode(data, final)
        self._held = "\r" if text.endswith("\r") and not final else ""
        return neutral(text.removesuffix(self._held)).encode()


def neutral(text: str) -> str:
    r"""Return text of any length with all but LF, tab and printable characters escaped.

    >>> neutral("a\x1b[2J\tb\r\n")
    'a\\x1b[2J\tb\n'
    """
    text = text.replace("\r\n", "\n")
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t"
                   else letter.encode("unicode_escape").decode() for letter in text)


def chain(coders: list[Coder]) -> Coder:
    """Return coders one after the other."""
    def code(data: bytes, *, final: bool = False) -> bytes:
        for each in coders:
            data = each(data, final=final)
        return data

    return code


def unescape(text: str, *, where: str = "--send") -> bytes:
    r"""Return a text with \r \n \t \0 \\ \xHH read; raises `UsageError` on others.

    >>> unescape(r"GET / HTTP/1.0\r\n\r\n")
    b'GET / HTTP/1.0\r\n\r\n'
    """
    letters = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}

    def read(match: re.Match[bytes]) -> bytes:
        word = match[1].decode()
        if word.startswith("x"):
            return bytes.fromhex(word[1:])
        return letters[word]

    data = text.encode("utf-8", "surrogateescape")
    if bad := re.search(rb"(?:\\\\)*\\(?!x[0-9a-fA-F]{2}|[rnt0\\])", re.sub(rb"\\\\", b"", data)):
        raise UsageError("unknown escape", text=bad[0].decode() + text[bad.end():bad.end() + 1],
                         where=where, hint=r"there are \r \n \t \0 \\ \xHH")
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|[rnt0\\])", read, data)


class Dump:
    """A running hex dump of one direction: mark, offset, sixteen bytes, their letters."""

    def __init__(self, mark: str) -> None:
        self._mark, self._at = mark, 0

    def __call__(self, data: bytes) -> str:
        """Return the lines of a piece; a piece begins a line."""
        row = partial(self._row, data)
        lines = "".join(row(at) for at in range(0, len(data), DUMP_WIDTH))
        self._at += len(data)
        return lines

    def _row(self, data: bytes, at: int) -> str:
        part = data[at : at + DUMP_WIDTH]
        digits = f"{part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}"
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        return f"{self._mark} {self._at + at:08x}  {digits}  |{letters}|\n"
